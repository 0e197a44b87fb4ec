"""`python -m tests.bench.media.origin`: a provider whose HLS has the size of a real one, and which counts.

It is the simulator; its segments are filled up to `BIT_RATE` with a box that players skip. Its avatars speak in no
time. Each line of its input is answered with how often its files were asked for until now, by kind.
"""

import asyncio
import json
import struct
import sys
from collections import Counter

from aiohttp import web

from adapters.simulator import Simulator, SimulatorOptions, SpeechModel
from adapters.simulator.streams import LiveStream
from adapters.simulator.video import hls
from bot.core.clock import SystemClock

BIT_RATE = 2_500_000
"""Bits a second: what 720p of a head takes in H264."""
SEGMENT_SIZE = round(BIT_RATE / 8 * hls.SEGMENT_SECONDS)

OPTIONS = SimulatorOptions(
    speech=SpeechModel(per_character=0.0, lead=0.0005), v3_concurrency=1000, v3_idle=3600.0, v3_pending=0.05
)

_as_it_is = hls.segment


def filled_segment(stream: LiveStream, number: int) -> bytes:
    """A segment of the simulator, as large as a real one."""
    body = _as_it_is(stream, number)
    size = max(8, SEGMENT_SIZE - len(body))
    return body + struct.pack(">I4s", size, b"free") + bytes(size - 8)


class CountingSimulator(Simulator):
    """Counts what its pictures are asked for."""

    def __init__(self) -> None:
        super().__init__(OPTIONS, SystemClock())
        self.asked: Counter[str] = Counter()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.startswith("/simulator/hls/"):
            self.asked[request.path.rpartition(".")[2]] += 1
        return await super()._answer(request)


async def main() -> None:
    hls.segment = filled_segment
    async with CountingSimulator() as simulator:
        say(simulator.address)
        while await asyncio.to_thread(sys.stdin.readline):
            say(simulator.asked)


def say(told: object) -> None:
    sys.stdout.write(f"{json.dumps(told)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
