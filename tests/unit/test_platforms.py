"""Chat platforms side by side: what happens to one is not felt on another, and who may end the program."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Self

import pytest

from bot.core.errors import SettingsError
from bot.core.events import Delivery, EventBus, LeftUnsaid, Notice, NoticeKind, SessionEvent, UtteranceChanged
from bot.core.models import Channel
from bot.core.views import Reply
from bot.facade import ChatAdapter, WebRoute
from bot.platforms import Platforms
from bot.settings import Settings
from bot.supervision import RESTART_DELAYS
from tests.builders import an_utterance
from tests.harness.bot import BotHarness


class Chat:
    """A platform that does as it is told."""

    routes: Sequence[WebRoute] = ()
    embed = None
    unhealthy_reason: str | None = None

    def __init__(self, name: str) -> None:
        self.name = name
        self.runs = 0
        self.shown: list[str] = []
        self.fails: list[Exception] = []
        self.fails_to_enter: Exception | None = None
        self.fails_to_show: Callable[[SessionEvent], bool] = lambda _: False
        self._failed = asyncio.Event()

    @classmethod
    def missing_settings(cls, settings: Settings) -> str | None:  # noqa: ARG003
        return None

    async def __aenter__(self) -> Self:
        if self.fails_to_enter is not None:
            raise self.fails_to_enter
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is left to do."""

    def fail(self, error: Exception) -> None:
        self.fails.append(error)
        self._failed.set()

    async def run(self) -> None:
        self.runs += 1
        await self._failed.wait()
        self._failed.clear()
        raise self.fails.pop(0)

    async def show(self, event: SessionEvent) -> None:
        if self.fails_to_show(event):
            raise RuntimeError("cannot be shown")
        if isinstance(event, Notice):
            self.shown.append(event.reply.text)


class Both:
    """Two platforms at work, `test` (where the world's avatars are) and `other`."""

    def __init__(self, world: BotHarness) -> None:
        self.world = world
        self.here, self.other = Chat("test"), Chat("other")
        self.told: list[str] = []
        self.event_bus = EventBus()
        chats: list[ChatAdapter] = [self.here, self.other]
        self.platforms = Platforms(chats, world.sessions, world.clock, self.told.append)
        self.serving: asyncio.Task[None]

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            following = stack.enter_context(self.event_bus.subscribe())
            await self.platforms.enter(stack)
            showing = asyncio.create_task(self.platforms.show(following))
            self.serving = asyncio.create_task(self._serve())
            await self.world.rest()
            yield
            self.serving.cancel()
            await asyncio.wait([self.serving])
            following.close()
            await showing

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as group:
            self.platforms.start(group)

    def say(self, platform: str, text: str) -> None:
        self.event_bus.publish(Notice(Channel(platform, "w", "c"), "s", Reply(text), NoticeKind.WARNING))


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    async with BotHarness(tmp_path) as world:
        yield Both(world)
        # Each of these tests makes a mistake on purpose.
        world.log.clear()


async def test_a_platform_that_fails_starts_again_and_is_red_meanwhile(both: Both) -> None:
    async with both.at_work():
        running = await both.world.start()
        both.here.fail(KeyError("type"))
        await both.world.rest()
        assert "starts again" in str(both.platforms.unhealthy_reasons["test"])
        assert both.platforms.unhealthy_reasons["other"] is None
        await both.world.pass_time(RESTART_DELAYS[0])
        assert both.platforms.unhealthy_reasons == {"test": None, "other": None}
        assert (both.here.runs, both.other.runs) == (2, 1)
        assert not both.serving.done()
        assert not running.stop.is_set


async def test_a_platform_that_only_the_operator_can_help_is_left_out_with_its_avatars(both: Both) -> None:
    async with both.at_work():
        running = await both.world.start()
        both.here.fail(SettingsError("the token is wrong"))
        await both.world.rest()
        assert running.stop.is_set
        await both.world.until(running.closed.is_set)
        assert both.told == ["Test: left out until the next start; the token is wrong"]
        assert "left out" in str(both.platforms.unhealthy_reasons["test"])
        assert "token" not in str(both.platforms.unhealthy_reasons)
        await both.world.pass_time(RESTART_DELAYS[0])
        assert (both.here.runs, both.other.runs) == (1, 1)
        assert not both.serving.done()


async def test_the_last_one_ends_the_program(both: Both) -> None:
    async with both.at_work():
        both.other.fail(SettingsError("the other token is wrong"))
        await both.world.rest()
        both.here.fail(SettingsError("the token is wrong"))
        await both.world.rest()
        assert both.serving.done()
        with pytest.raises(ExceptionGroup) as raised:
            await both.serving
    assert raised.group_contains(SettingsError, match="the token is wrong")


async def test_avatars_of_other_platforms_stay_when_one_is_left_out(both: Both) -> None:
    async with both.at_work():
        running = await both.world.start()
        both.other.fail(SettingsError("the token is wrong"))
        await both.world.pass_time(1)
        assert not running.stop.is_set


async def test_an_event_that_cannot_be_shown_hides_no_other(both: Both) -> None:
    both.here.fails_to_show = lambda event: isinstance(event, Notice) and event.reply.text == "odd"
    async with both.at_work():
        for platform, text in (("test", "odd"), ("test", "even"), ("other", "odd"), ("nowhere", "odd")):
            both.say(platform, text)
        await both.world.rest()
        assert both.here.shown == ["even"]
        assert both.other.shown == ["odd"]


async def test_what_must_reach_people_has_not_where_it_could_not_be_shown(both: Both) -> None:
    both.here.fails_to_show = lambda _: True
    delivered: list[str] = []
    async with both.at_work():
        for platform in ("test", "other", "nowhere"):
            channel, delivery = Channel(platform, "w", "c"), Delivery(partial(delivered.append, platform))
            both.event_bus.publish(UtteranceChanged(channel, an_utterance(), delivery=delivery.hold()))
            both.event_bus.publish(LeftUnsaid(channel, "s", (), delivery=delivery.hold()))
        await both.world.rest()
    assert delivered == ["other"]


async def test_a_platform_that_cannot_be_set_up_is_left_out(both: Both) -> None:
    both.here.fails_to_enter = RuntimeError("no way in")
    async with both.at_work():
        assert both.here.runs == 0
        assert both.other.runs == 1
        assert both.told[0].startswith("Test: left out until the next start; it could not be set up (ref ")
        both.say("test", "nobody reads this")
        await both.world.rest()
        assert both.here.shown == []


async def test_where_none_can_be_set_up_the_program_ends(both: Both) -> None:
    both.here.fails_to_enter = both.other.fails_to_enter = RuntimeError("no way in")
    async with AsyncExitStack() as stack:
        with pytest.raises(RuntimeError, match="no way in"):
            await both.platforms.enter(stack)
