"""Who follows what is told what happens, in order, and slows nobody down."""

import asyncio
from collections.abc import AsyncGenerator

from bot.core.events import BACKLOG, EventBus, Notice, SessionEvent, Subscription
from bot.core.models import Channel
from bot.core.views import Reply

CHANNEL = Channel("test", "workspace", "general")


def notice(text: str, session: str = "one") -> Notice:
    return Notice(CHANNEL, session, Reply(text))


def text_of(event: SessionEvent) -> str:
    assert isinstance(event, Notice)
    return event.reply.text


async def read(following: Subscription) -> list[str]:
    """Everything delivered so far."""
    following.close()
    return [text_of(event) async for event in following]


async def test_follower_of_all_hears_every_session_in_order() -> None:
    event_bus = EventBus()
    with event_bus.subscribe() as following:
        for text, session in (("a", "one"), ("b", "two"), ("c", "one")):
            event_bus.publish(notice(text, session))
        assert await read(following) == ["a", "b", "c"]


async def test_follower_of_one_session_hears_no_other() -> None:
    event_bus = EventBus()
    with event_bus.subscribe("one") as following:
        for text, session in (("a", "one"), ("b", "two"), ("c", "one")):
            event_bus.publish(notice(text, session))
        assert await read(following) == ["a", "c"]


async def test_follower_waits_for_what_comes_later() -> None:
    event_bus = EventBus()
    with event_bus.subscribe() as following:
        events = aiter(following)
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        assert not waiting.done()
        event_bus.publish(notice("late"))
        assert text_of(await waiting) == "late"
        assert isinstance(events, AsyncGenerator)
        await events.aclose()


async def test_what_happened_before_or_after_is_not_heard() -> None:
    event_bus = EventBus()
    event_bus.publish(notice("before"))
    with event_bus.subscribe() as following:
        pass
    event_bus.publish(notice("after"))
    assert await read(following) == []


async def test_follower_that_does_not_keep_up_loses_the_oldest_and_is_told_how_many() -> None:
    event_bus = EventBus()
    with event_bus.subscribe(backlog=2) as slow, event_bus.subscribe() as quick:
        for text in "abcd":
            event_bus.publish(notice(text))
        assert slow.dropped == 2
        assert quick.dropped == 0
        assert await read(slow) == ["c", "d"]
        assert await read(quick) == ["a", "b", "c", "d"]


async def test_backlog_is_bounded_where_nobody_says_how() -> None:
    event_bus = EventBus()
    with event_bus.subscribe() as following:
        for _ in range(BACKLOG + 1):
            event_bus.publish(notice("a"))
        assert following.dropped == 1
        assert len(await read(following)) == BACKLOG


async def test_pending_tells_whether_something_waits() -> None:
    event_bus = EventBus()
    with event_bus.subscribe() as following:
        assert not following.has_pending()
        event_bus.publish(notice("a"))
        assert following.has_pending()


async def test_closing_lets_the_follower_read_to_the_end() -> None:
    event_bus = EventBus()
    with event_bus.subscribe() as following:
        reading = asyncio.ensure_future(_texts(following))
        await asyncio.sleep(0)
        event_bus.publish(notice("last"))
        following.close()
        assert await reading == ["last"]


async def _texts(following: Subscription) -> list[str]:
    return [text_of(event) async for event in following]
