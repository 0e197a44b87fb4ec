"""`python -m tests.bench.simulator`: a simulator whose avatars speak in no time, so that only the program is
measured."""

import asyncio
import sys

from adapters.simulator import Simulator, SimulatorOptions, SpeechModel
from bot.core.clock import SystemClock


async def main() -> None:
    options = SimulatorOptions(
        speech=SpeechModel(per_character=0.0, lead=0.0005),
        v1_concurrency=100_000,
        v3_concurrency=100_000,
        v3_pending=0.05,
        auto_viewer=True,
        viewer_delay=0.05,
    )
    async with Simulator(options, SystemClock()) as simulator:
        sys.stdout.write(f"{simulator.address}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


asyncio.run(main())
