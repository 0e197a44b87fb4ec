"""Every way in which a session ends while words wait that were promised, and who is told of it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bot.core.errors import QuotaExhausted, Transient
from bot.core.events import LeftUnsaid
from bot.core.models import Actor, EndReason, SessionState
from bot.core.views import Visibility
from bot.relay import Message
from tests.harness.bot import ANA, CHANNEL, BotHarness, with_policy

BEN = Actor("console", "ben", "Ben")
CAL = Actor("console", "cal", "Cal")
LONG = " ".join(f"Sentence number {number} of a very long speech." for number in range(60))
POLICY = with_policy(idle_timeout=60.0, idle_warning=20.0, max_duration=120.0, unwatched_timeout=40.0)

Way = Callable[[BotHarness], Awaitable[object]]


def unsaid(world: BotHarness) -> dict[str, str]:
    """What each person was told, by their key; nobody is told twice."""
    told: dict[str, str] = {}
    for event in world.events:
        for words in event.people if isinstance(event, LeftUnsaid) else ():
            assert words.person not in told
            assert words.reply.visibility is Visibility.PRIVATE
            told[words.person] = words.reply.text
    return told


async def words_wait(world: BotHarness) -> None:
    """A live avatar, in whose queue three texts of two people wait, and what somebody wrote in the channel."""
    await world.start()
    await world.relay.receive(Message(CHANNEL, CAL, LONG, message_id="16"))
    await world.until(lambda: world.running is not None and world.running.speaker.current)
    await world.type("/avatar say one")
    await world.type("/avatar say two")
    await world.type("/avatar say three", BEN)
    await world.relay.receive(Message(CHANNEL, CAL, "written in the channel", message_id="17"))


async def stopped(world: BotHarness) -> None:
    await world.type("/avatar stop")


async def by_the_shell(world: BotHarness) -> None:
    assert world.running is not None
    await world.store.sessions.request_stop(world.running.session.id, "shell:operator")
    await world.sessions.apply_stop_requests()


async def idle(world: BotHarness) -> None:
    await world.type("/avatar interrupt")
    await world.pass_time(61)


async def stayed_too_long(world: BotHarness) -> None:
    await world.pass_time(121)


async def shut_down(world: BotHarness) -> None:
    for running in world.sessions:
        running.stop.request(EndReason.SHUTDOWN)


async def channel_gone(world: BotHarness) -> None:
    await world.sessions.end_in_channels(lambda channel: channel == CHANNEL, "deleted")


async def failed(world: BotHarness) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise QuotaExhausted("nothing left")

    provider = world.sessions.services.provider
    provider.speak = provider.create = fail  # type: ignore[method-assign, assignment]
    await world.type("/avatar skip")


async def crashed_while_it_closed(world: BotHarness) -> None:
    assert world.running is not None
    await world.store.sessions.advance(world.running.session.id, SessionState.CLOSING, end_reason=EndReason.STOPPED)
    await world.crash()
    await world.boot()


async def stopped_while_the_bot_was_away(world: BotHarness) -> None:
    assert world.running is not None
    await world.store.sessions.request_stop(world.running.session.id, "shell:operator")
    await world.crash()
    await world.boot()


async def adopted_and_stopped(world: BotHarness) -> None:
    await world.crash()
    await world.boot()
    await world.type("/avatar stop")


WAYS: list[Way] = [
    stopped, by_the_shell, idle, stayed_too_long, shut_down, channel_gone, failed,
    crashed_while_it_closed, stopped_while_the_bot_was_away, adopted_and_stopped,
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_however_a_session_ends_the_people_whose_words_waited_are_told_once(tmp_path: Path, way: Way) -> None:
    policy = POLICY if way is idle else replace(POLICY, unwatched_timeout=None)
    async with BotHarness(tmp_path, policy=policy) as world:
        await words_wait(world)
        await way(world)
        await world.until(lambda: world.running is None)

        told = unsaid(world)
        assert "2 of your messages (“one”, “two”)" in told[ANA.key]
        assert "your message “three”" in told[BEN.key]
        assert "left before it said" in told[BEN.key]
        assert CAL.key not in told


async def test_an_avatar_that_nobody_watches_leaves_nobody_in_the_dark(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, policy=replace(POLICY, idle_timeout=300.0)) as world:
        await words_wait(world)
        await world.type("/avatar interrupt")
        await world.pass_time(41)
        await world.until(lambda: world.running is None)

        assert {ANA.key, BEN.key} <= set(unsaid(world))


async def test_people_are_told_before_the_provider_confirms_the_close(tmp_path: Path) -> None:
    async with BotHarness(tmp_path) as world:
        await words_wait(world)
        provider = world.sessions.services.provider
        close = provider.close

        async def refuse(_upstream_id: str) -> None:
            raise Transient("down", may_have_taken_effect=False)

        provider.close = refuse  # type: ignore[method-assign,assignment]
        await world.type("/avatar stop")
        await world.until(lambda: {ANA.key, BEN.key} <= set(unsaid(world)))
        assert world.running is not None

        provider.close = close  # type: ignore[method-assign]
        await world.pass_time(5)
        await world.until(lambda: world.running is None)
        assert {ANA.key, BEN.key} == set(unsaid(world))


async def test_what_was_under_way_when_the_bot_died_may_have_been_said(tmp_path: Path) -> None:
    async with BotHarness(tmp_path) as world:
        await world.start()
        await world.type(f"/avatar say {LONG}")
        await world.until(lambda: world.running is not None and world.running.speaker.is_saying_something)
        await world.pass_time(2)
        await world.crash()
        await world.boot()

        await world.until(lambda: unsaid(world))
        assert "may not have been said. I do not repeat it" in unsaid(world)[ANA.key]
        assert len(world.sessions) == 1


async def test_nobody_is_told_of_words_that_were_said_or_dropped_by_people(tmp_path: Path) -> None:
    async with BotHarness(tmp_path) as world:
        await world.start()
        await world.type("/avatar say hello")
        await world.until(lambda: world.spoken == ["hello"])
        await world.relay.receive(Message(CHANNEL, CAL, LONG, message_id="16"))
        await world.type("/avatar say dropped")
        await world.type("/avatar clear")
        await world.rest()
        await world.type("/avatar stop")
        await world.until(lambda: world.running is None)

        assert unsaid(world) == {}
