"""Tells everybody who follows what happens in sessions: chat adapters follow all, a watch page follows one.

Publishing never waits and never fails: each follower has a bounded queue of its own, and one that does not keep up
loses its oldest events, which it is told (`Subscription.dropped`), so a slow viewer slows nobody else.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Any

from bot.core.models import Channel, Utterance, Word
from bot.core.views import Reply, SessionView, UnsaidWords


class Delivery:
    """Tells when events that must reach people, also where the bot dies meanwhile, have been shown.

    Each event that carries it holds it until `show` of its platform has returned. What is shown later than that holds
    it once more, until it is shown or cannot be. What is only given up, for too much else, never lets go of it: it
    counts as not shown, and is told again by the next process.
    """

    def __init__(self, then: Callable[[], None]) -> None:
        """`then`: called once, when nothing holds it any more."""
        self._then = then
        self._held = 0

    def hold(self) -> "Delivery":
        """Something is still to be shown."""
        self._held += 1
        return self

    def release(self) -> None:
        """That has been shown, or cannot be."""
        self._held -= 1
        if not self._held:
            self._then()

    def after(self, work: Callable[[], Awaitable[object]]) -> Callable[[], Coroutine[Any, Any, None]]:
        """`work`, which shows something: held from now on until it has been done."""
        self.hold()

        async def show() -> None:
            await work()
            self.release()

        return show


@dataclass(frozen=True, slots=True)
class LeftUnsaid:
    """Words were not said, or may not have been, of people who had read that they were taken: the session has ended, or
    the bot died in the middle of them. Each person is there once, however much of theirs waited.

    may_tell_channel: whether the channel may read it for those who cannot be told alone; not if it was lost, or is
    to stay as closed as it is. delivery: that of what must reach people; None of all else.
    """

    channel: Channel
    session_id: str
    people: tuple[UnsaidWords, ...]
    may_tell_channel: bool = True
    delivery: Delivery | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class SessionChanged:
    """Something a panel shows is different now."""

    view: SessionView


@dataclass(frozen=True, slots=True)
class UtteranceChanged:
    """An utterance reached another state. answer: what a chat model has answered to it so far. delivery: that of what
    must reach people; None of all else."""

    channel: Channel
    utterance: Utterance
    answer: str | None = None
    delivery: Delivery | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class WordsSpoken:
    """Captions: words as the avatar says them."""

    session_id: str
    words: tuple[Word, ...]


class NoticeKind(StrEnum):
    """Why a channel is told something. A platform whose panel shows LIVE, WAITING and ENDED need not say them again."""

    LIVE = "live"
    WAITING = "waiting"
    WARNING = "warning"
    TROUBLE = "trouble"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the channel should read although nobody asked: it is live, it will close soon, it ended and why."""

    channel: Channel
    session_id: str
    reply: Reply
    occasion: NoticeKind = NoticeKind.TROUBLE


SessionEvent = SessionChanged | UtteranceChanged | WordsSpoken | Notice | LeftUnsaid


BACKLOG = 256
"""Events kept for a follower that is behind; a panel or a page can be redrawn from the newest ones."""


class Subscription:
    """One follower's place in the stream of events. Iterate it; leave the `with` block to stop following."""

    def __init__(self, event_bus: "EventBus", session_id: str | None, backlog: int) -> None:
        self._event_bus = event_bus
        self._session_id = session_id
        self._events: deque[SessionEvent] = deque(maxlen=backlog)
        self._arrived = asyncio.Event()
        self._closed = False
        self.dropped = 0

    def __enter__(self) -> "Subscription":
        self._event_bus.add(self, self._session_id)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._event_bus.remove(self, self._session_id)

    def deliver(self, event: SessionEvent) -> None:
        """Put an event at the end of this follower's queue."""
        if not self._events:
            self._arrived.set()
        elif len(self._events) == self._events.maxlen:
            self.dropped += 1
        self._events.append(event)

    def has_pending(self) -> bool:
        """Whether events wait to be read."""
        return bool(self._events)

    def close(self) -> None:
        """End the iteration once everything delivered so far has been read."""
        self._closed = True
        self._arrived.set()

    async def __aiter__(self) -> AsyncIterator[SessionEvent]:
        while True:
            while self._events:
                yield self._events.popleft()
            if self._closed:
                return
            self._arrived.clear()
            await self._arrived.wait()


class EventBus:
    """The board where sessions post what happens."""

    def __init__(self) -> None:
        self._of_all: set[Subscription] = set()
        self._of_one: dict[str, set[Subscription]] = {}

    def subscribe(self, session_id: str | None = None, *, backlog: int = BACKLOG) -> Subscription:
        """Follow one session, or every session where `session_id` is None."""
        return Subscription(self, session_id, backlog)

    def publish(self, event: SessionEvent) -> None:
        """Hand an event to whoever follows it."""
        for following in self._of_all:
            following.deliver(event)
        if self._of_one:
            for following in self._of_one.get(_session_of(event), ()):
                following.deliver(event)

    def add(self, following: Subscription, session_id: str | None) -> None:
        """Begin to deliver to a follower."""
        (self._of_all if session_id is None else self._of_one.setdefault(session_id, set())).add(following)

    def remove(self, following: Subscription, session_id: str | None) -> None:
        """Stop delivering to a follower."""
        if session_id is None:
            self._of_all.discard(following)
            return
        others = self._of_one.get(session_id, set())
        others.discard(following)
        if not others:
            self._of_one.pop(session_id, None)


def _session_of(event: SessionEvent) -> str:
    match event:
        case SessionChanged(view):
            return view.session_id
        case UtteranceChanged(_, utterance):
            return utterance.session_id
        case WordsSpoken(session_id) | Notice(_, session_id) | LeftUnsaid(_, session_id):
            return session_id
