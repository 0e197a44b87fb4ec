"""`python -m tests.bench.media.rooms LIVEKIT_URL`: the avatar service of the measurement, with real rooms. It writes
its address as JSON, and ends with its input."""

import asyncio
import json
import sys

from pydantic import SecretStr

from adapters.simulator import Simulator, SimulatorOptions
from bot.core.clock import SystemClock
from tests.harness.livekit import KEY, SECRET
from tests.harness.programs import KEY as API_KEY


async def main(livekit: str) -> None:
    options = SimulatorOptions(api_key=SecretStr(API_KEY)).with_livekit(livekit, KEY, SecretStr(SECRET))
    async with Simulator(options, SystemClock()) as simulator:
        sys.stdout.write(f"{json.dumps(simulator.address)}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
