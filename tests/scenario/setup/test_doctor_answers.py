"""`avatar-relay doctor` asks the chat API one small question, and says what came back. Each kind of trouble has its
sentence in `tests/unit/cli/test_doctor_chat_model.py`."""

from pathlib import Path

import pytest

from adapters.simulator import Simulator
from bot.core.clock import SystemClock
from tests.fakes.chat_api import ChatApi
from tests.platforms.running_bot import KEY
from tests.scenario.setup.examined import found, of_simulator
from tests.scenario.setup.shell import run

pytestmark = pytest.mark.slow


async def examined(folder: Path, simulator: Simulator, **settings: str) -> dict[str, str]:
    """What the doctor says of the answers."""
    chosen = {"CHAT_MODEL": "simulator", "CHAT_API_KEY": KEY, "CHAT_API_URL": f"{simulator.address}/v1"} | settings
    ran = await run(folder, "doctor", "--json", **of_simulator(simulator, **chosen))
    check = found(ran)["answers"]
    assert ran.code == (1 if check["outcome"] == "failure" else 0), ran.out
    assert KEY not in ran.out + ran.err
    return check


async def test_a_model_that_answers_is_said_so(tmp_path: Path, simulator: Simulator) -> None:
    async with ChatApi(SystemClock()) as api:
        check = await examined(tmp_path, simulator, CHAT_API_URL=f"{api.url}/chat/completions")
    assert (check["outcome"], check["found"]) == ("pass", "the chat model simulator answers")
    assert len(api.asked) == 1


async def test_wrong_key_is_named(tmp_path: Path, simulator: Simulator) -> None:
    check = await examined(tmp_path, simulator, CHAT_API_KEY="wrong-key-of-somebody")
    assert (check["outcome"], check["fix"]) == ("failure", "Copy the key from your account again: CHAT_API_KEY.")
    assert f"{simulator.address}/v1 does not accept the key" in check["found"]
    assert "wrong-key" not in str(check)
