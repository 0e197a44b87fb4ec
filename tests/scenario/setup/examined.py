"""What the tests of `avatar-relay doctor` set, and how they read what it says."""

import json
from typing import Any

from adapters.simulator import Simulator
from tests.platforms.running_bot import KEY
from tests.scenario.setup.shell import Ran

PORT = {"WEB_PORT": "0"}


def of_simulator(simulator: Simulator, **others: str) -> dict[str, str]:
    """Settings of a bot whose avatar service is `simulator`."""
    return PORT | {"HEYGEN_API_URL": simulator.address, "HEYGEN_API_KEY": KEY} | others


def found(ran: Ran) -> dict[str, dict[str, Any]]:
    """The rows of `doctor --json`, by what was looked at."""
    return {check["subject"]: check for check in json.loads(ran.out)}
