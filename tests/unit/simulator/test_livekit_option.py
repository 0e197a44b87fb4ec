"""`avatar-relay simulator --livekit`: what it takes and what the program says about it."""

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from adapters.simulator import LiveKitServer, SimulatorOptions
from bot import simulation
from bot.cli import main as cli


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> list[SimulatorOptions]:
    """What the command would run with; nothing is run."""
    seen: list[SimulatorOptions] = []

    async def note(options: SimulatorOptions, *_: object) -> None:
        seen.append(options)

    monkeypatch.setattr(simulation, "run_simulator", note)
    return seen


def call(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, ["simulator", *words])
    return result.exit_code, result.output


def test_the_defaults_are_those_of_a_development_server(simulated: list[SimulatorOptions]) -> None:
    code, said = call("--livekit", "ws://127.0.0.1:7880")
    assert (code, simulated[0].livekit) == (0, LiveKitServer("ws://127.0.0.1:7880", "devkey", SecretStr("secret")))
    assert said.startswith("LiveKit: v1 and LiveAvatar make their rooms at ws://127.0.0.1:7880.")


def test_without_a_server_it_says_what_stands_in(simulated: list[SimulatorOptions]) -> None:
    code, said = call()
    assert (code, simulated[0].livekit, "fake room" in said) == (0, None, True)


@pytest.mark.parametrize("url", ["http://127.0.0.1:7880", "7880"])
def test_an_address_that_is_no_websocket_is_refused(simulated: list[SimulatorOptions], url: str) -> None:
    code, said = call("--livekit", url)
    assert (code, simulated, "ws:// or wss://" in said) == (2, [], True)
