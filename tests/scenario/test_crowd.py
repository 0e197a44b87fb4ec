"""Where more messages come than a process can take in, a session is shown less often, and nothing else is different."""

from pathlib import Path

from adapters.simulator import SpeechModel
from bot.core.events import SessionChanged
from bot.core.models import UtteranceState
from bot.core.views import Phase, SessionView
from tests.harness.bot import BotHarness, simulated
from tests.harness.crowd import crowd


def views(world: BotHarness) -> list[SessionView]:
    return [event.view for event in world.events if isinstance(event, SessionChanged)]


async def test_in_a_crowd_a_session_is_shown_less_often_and_says_everything(tmp_path: Path) -> None:
    quick = simulated(speech=SpeechModel(per_character=0.0, lead=0.01))
    async with BotHarness(tmp_path, "heygen-streaming", options=quick) as world:
        running = await world.start()
        await world.pass_time(5)
        for number in range(3):
            await world.write(f"Hello {number}")
        before = len(views(world))
        await world.until(lambda: world.ended_as("Hello 2", UtteranceState.SPOKEN))
        alone = len(views(world)) - before

        before = len(views(world))
        with crowd(running._services.precedence):
            for number in range(3):
                await world.write(f"Again {number}")
            await world.rest()
            assert len(views(world)) - before <= 1
            await world.until(lambda: world.ended_as("Again 2", UtteranceState.SPOKEN))
            crowded = len(views(world)) - before
            await world.pass_time(1)
            assert views(world)[-1] == running.view()
        assert crowded < alone
        assert world.spoken == [f"{word} {number}" for word in ("Hello", "Again") for number in range(3)]


async def test_in_a_crowd_the_end_of_a_session_is_shown_at_once(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "heygen-streaming") as world:
        running = await world.start()
        await world.pass_time(5)
        with crowd(running._services.precedence):
            await world.write("one")
            await world.write("two")
            await world.type("/avatar stop")
            await world.until(running.closed.is_set)
            last = views(world)[-1]
            await world.pass_time(5)
        assert (last.phase, last.is_last) == (Phase.ENDED, True)
        assert views(world)[-1] is last
        assert world.open_streams == []
