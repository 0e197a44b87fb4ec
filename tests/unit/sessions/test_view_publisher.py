"""A session is shown at once, and under load every half second at most, as it is then."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from bot.announcer import Announcer
from bot.core.events import EventBus, SessionChanged, Subscription
from bot.core.mailbox import Mailbox
from bot.core.precedence import CROWD, Precedence
from bot.core.views import Phase, SessionView
from bot.sessions.view_publisher import INTERVAL, ViewPublisher
from tests.builders import CHANNEL, a_session_view
from tests.harness.clock import ManualClock
from tests.harness.crowd import crowd


class Ground:
    """A session whose view is what the test says, with a queue as long as it says."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.mailbox = Mailbox(self.clock)
        self.precedence = Precedence(self.clock)
        self.event_bus = EventBus()
        self.drawn = 0
        self.view = a_session_view()
        announcer = Announcer(self.view.session_id, CHANNEL, self.event_bus)
        self.publisher = ViewPublisher(self._draw, announcer, self.mailbox, self.clock, self.precedence)

    def _draw(self) -> SessionView:
        self.drawn += 1
        return self.view

    def change(self, queue_length: int) -> None:
        self.view = replace(self.view, queue_length=queue_length)
        self.publisher.publish_soon()

    async def pass_time(self, seconds: float) -> None:
        await self.clock.advance(seconds)
        if not self.mailbox.is_empty:
            await self.mailbox.serve()


@pytest.fixture
def ground() -> Ground:
    return Ground()


@pytest.fixture
def following(ground: Ground) -> Iterator[Subscription]:
    with ground.event_bus.subscribe() as following:
        yield following


async def shown(following: Subscription) -> list[int]:
    following.close()
    return [event.view.queue_length async for event in following if isinstance(event, SessionChanged)]


async def test_every_change_is_shown_at_once(ground: Ground, following: Subscription) -> None:
    with crowd(ground.precedence, CROWD - 1):
        for length in (1, 2, 3):
            ground.change(length)
    assert ground.clock.due == []
    assert await shown(following) == [1, 2, 3]


async def test_under_load_the_first_change_is_shown_and_then_the_latest(
    ground: Ground, following: Subscription
) -> None:
    with crowd(ground.precedence):
        for length in (1, 2, 3, 4):
            ground.change(length)
        assert ground.drawn == 1
        await ground.pass_time(INTERVAL)
        ground.change(5)
        ground.change(6)
        await ground.pass_time(INTERVAL)
        await ground.pass_time(INTERVAL)
        ground.change(7)
    assert ground.drawn == 4
    assert await shown(following) == [1, 4, 6, 7]


async def test_once_the_load_is_over_what_was_put_off_is_shown_with_the_next_change(
    ground: Ground, following: Subscription
) -> None:
    with crowd(ground.precedence):
        ground.change(1)
        ground.change(2)
    ground.change(3)
    await ground.pass_time(INTERVAL)
    assert await shown(following) == [1, 3]


async def test_what_must_be_shown_at_once_is(ground: Ground, following: Subscription) -> None:
    with crowd(ground.precedence):
        ground.change(1)
        ground.view = replace(ground.view, phase=Phase.ENDED, queue_length=0)
        ground.publisher.publish()
    assert await shown(following) == [1, 0]
