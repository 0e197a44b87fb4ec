"""`python -m tests.bench.provider [PORT]`: the provider of a benchmark, a simulator whose avatars speak in no time.

It writes its address to stdout, and to the port of this machine, if one is given, a line of JSON for each text that it
is asked to say: the text, and when the request came (seconds of `time.perf_counter`, which all processes of a machine
share). It ends with its input.
"""

import asyncio
import json
import sys
import time

from aiohttp import web

from adapters.simulator import Simulator, SimulatorOptions, SpeechModel
from bot.core.clock import SystemClock

SAY = "/v1/streaming.task"

OPTIONS = SimulatorOptions(
    speech=SpeechModel(per_character=0.0, lead=0.0005),
    v1_concurrency=100_000,
    v3_concurrency=100_000,
    v1_session_limit=3600,
    v3_pending=0.05,
    auto_viewer=True,
    viewer_delay=0.05,
)


class ReportingSimulator(Simulator):
    """Tells of every text when it came."""

    reports: asyncio.StreamWriter | None = None

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        at = time.perf_counter()
        if self.reports is not None and request.path == SAY:
            text = json.loads(await request.read())["text"]
            self.reports.write(json.dumps([text, at]).encode() + b"\n")
        return await super()._answer(request)


async def main(port: int | None) -> None:
    async with ReportingSimulator(OPTIONS, SystemClock()) as simulator:
        if port is not None:
            _, simulator.reports = await asyncio.open_connection("127.0.0.1", port)
        sys.stdout.write(f"{json.dumps(simulator.address)}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else None))
