"""The simulator as the program runs it: alone, or for a bot (`bot.app`). Whoever runs one imports this module; nobody
else, since that takes 4 MB. It knows no other adapter.
"""

import asyncio

from adapters.simulator import Simulator, SimulatorOptions
from bot.core.bind_errors import explain_bind_error
from bot.core.errors import SettingsError
from bot.core.ports import Clock, Echo

__all__ = ["Simulator", "SimulatorOptions", "run_simulator"]


async def run_simulator(
    options: SimulatorOptions, clock: Clock, host: str, port: int, echo: Echo, stop: asyncio.Event
) -> None:
    """Run the simulator alone until `stop`. Raises `SettingsError` if it cannot listen."""
    simulator = Simulator(options, clock)
    try:
        url = await simulator.start(host, port)
    except OSError as error:
        raise SettingsError(explain_bind_error(error, host=("--host", host), port=("--port", port))) from error
    echo(f"The simulator runs at {url}. Point a bot at it: HEYGEN_API_URL={url} HEYGEN_API_KEY=<its key>")
    echo(f"Or, for AVATAR_PROVIDER=liveavatar: LIVEAVATAR_API_URL={url} LIVEAVATAR_API_KEY=<its key>")
    try:
        await stop.wait()
    finally:
        await simulator.stop()
