"""Light feedback, on every platform: a reaction on a message says that it had to wait, was said, or was not said.

A message gets two at most, each put once and none taken away: platforms cannot replace a reaction, and taking one away
costs as much as putting one. Reactions of a line (a channel, or whatever a platform's limit is for) are put one after
another, and those of all lines no faster than the platform allows. Under load they are left out, those of waiting
first, so that nothing else is held up: where a line has too many, and where the process has too many messages to take
in; then those that say that a message was not said are put all the same. Knows no platform.
"""

import math
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Hashable
from enum import Enum, auto

from cachetools import LRUCache

from bot.core.events import Delivery
from bot.core.models import Channel, Utterance, UtteranceState
from bot.core.ports import Clock
from bot.core.precedence import Precedence
from bot.core.tasks import TaskSet
from bot.core.unexpected import report_unexpected
from bot.telemetry import metrics


class Mark(Enum):
    """What a reaction says of a message."""

    WAITS = auto()
    SPOKEN = auto()
    NOT_SPOKEN = auto()


_MARKS = {
    UtteranceState.QUEUED: Mark.WAITS,
    UtteranceState.SPOKEN: Mark.SPOKEN,
    UtteranceState.INTERRUPTED: Mark.NOT_SPOKEN,
    UtteranceState.DROPPED: Mark.NOT_SPOKEN,
    UtteranceState.FAILED: Mark.NOT_SPOKEN,
    UtteranceState.UNKNOWN: Mark.NOT_SPOKEN,
}

LINGER = 0.5
"""Seconds before the first mark of a line: what is said at once is never shown as waiting, and the request for its
speech does not stand behind one for a reaction (measured: a millisecond or two)."""

MAX_REMEMBERED = 1000
"""Messages whose marks are remembered, and lines whose number is; to put a mark again that was forgotten changes
nothing."""

_WINDOW = 60.0
"""Seconds in which the marks of a line are counted."""

_Message = tuple[Channel, str]


class ReactionMarker(ABC):
    """The marks on the messages of one platform."""

    def __init__(self, clock: Clock, precedence: Precedence, per_minute: int, per_second: int | None = None) -> None:
        """`per_minute`: marks of one line at most, of which those that say that a message waits get half.
        `per_second`: marks of all lines together, where the platform counts those, too; more of them wait."""
        self._clock = clock
        self._precedence = precedence
        self._per_minute = per_minute
        # When the latest marks of all lines were put, or are to be, as many as are allowed within a second.
        self._turns: deque[float] = deque([-math.inf] * (per_second or 0))
        self._wanted: dict[Hashable, OrderedDict[_Message, Mark]] = {}
        self._deliveries: dict[_Message, Delivery] = {}
        self._marks: LRUCache[_Message, set[Mark]] = LRUCache(MAX_REMEMBERED)
        self._recent: LRUCache[Hashable, deque[float]] = LRUCache(MAX_REMEMBERED)
        self._tasks = TaskSet()

    @abstractmethod
    def _line_of(self, channel: Channel) -> Hashable:
        """What shares one limit with the channel."""

    @abstractmethod
    async def _put(self, channel: Channel, message_id: str, mark: Mark) -> bool:
        """Put a mark, where that is possible. False: the message is gone."""

    def accepted(self, channel: Channel, utterance: Utterance) -> None:
        """A message waits, also where it is to be sent at once, since a stream may have to be opened for it; unless
        something has been told of it already, which is newer."""
        if utterance.message_id is not None and (channel, utterance.message_id) not in self._marks:
            self._want((channel, utterance.message_id), Mark.WAITS)

    def show(self, channel: Channel, utterance: Utterance, delivery: Delivery | None = None) -> None:
        """Mark the message of an utterance as its state asks; a command has none. `delivery`: of the mark."""
        if utterance.message_id is None:
            return
        message, mark = (channel, utterance.message_id), _MARKS.get(utterance.state)
        if mark is not None:
            self._want(message, mark, delivery)
        elif utterance.state is UtteranceState.SPEAKING:
            # It is said, so it is not shown as waiting any more.
            self._marks.setdefault(message, set())
            self._leave_out(message)

    def mark_not_spoken(self, channel: Channel, message_id: str) -> None:
        """Show that a message was not taken."""
        self._want((channel, message_id), Mark.NOT_SPOKEN)

    def forget(self, channel: Channel, message_id: str) -> None:
        """A message is gone: there is nothing to mark."""
        message = channel, message_id
        self._marks[message] = set(Mark)
        self._leave_out(message)
        self._settle(message)

    async def drained(self) -> None:
        """Wait until every mark is put that is not left out."""
        await self._tasks.drained()

    async def close(self) -> None:
        """Give up what is not put yet."""
        await self._tasks.close()

    def _want(self, message: _Message, mark: Mark, delivery: Delivery | None = None) -> None:
        if mark in self._marks.setdefault(message, set()):
            return
        if delivery is not None:
            self._deliveries[message] = delivery.hold()
        line = self._line_of(message[0])
        wanted = self._wanted.get(line)
        if wanted is None:
            wanted = self._wanted[line] = OrderedDict()
            self._tasks.create_task(self._put_all(line, wanted), name=f"reactions of {line}")
        wanted[message] = mark
        if len(wanted) > self._per_minute:
            left_out, _ = wanted.popitem(last=False)
            self._deliveries.pop(left_out, None)

    def _leave_out(self, message: _Message) -> None:
        if (wanted := self._wanted.get(self._line_of(message[0]))) is not None:
            wanted.pop(message, None)

    def _settle(self, message: _Message) -> None:
        if (delivery := self._deliveries.pop(message, None)) is not None:
            delivery.release()

    async def _put_all(self, line: Hashable, wanted: OrderedDict[_Message, Mark]) -> None:
        has_turn = False
        try:
            await self._clock.sleep(LINGER)
            while wanted:
                message, mark = next(iter(wanted.items()))
                if not self._has_room(line, mark):
                    metrics.reactions_left_out.inc()
                    del wanted[message]
                    self._deliveries.pop(message, None)
                    continue
                if not has_turn and (seconds := self._seconds_until_turn()) > 0:
                    await self._clock.sleep(seconds)
                    # It may be wanted no more by now; then the turn is that of the next one.
                    has_turn = True
                    continue
                has_turn = False
                del wanted[message]
                self._count(line)
                self._marks.setdefault(message, set()).add(mark)
                try:
                    if not await self._put(*message, mark):
                        self.forget(*message)
                    self._settle(message)
                except Exception as error:  # noqa: BLE001 - those behind it must not go with it
                    report_unexpected("a reaction was not put: unexpected error", error, channel=str(message[0]))
        finally:
            del self._wanted[line]

    def _has_room(self, line: Hashable, mark: Mark) -> bool:
        """Whether one more mark may be put in the line now."""
        if mark is not Mark.NOT_SPOKEN and self._precedence.is_crowded:
            return False
        recent = self._recent.setdefault(line, deque())
        _forget_before(recent, self._clock.monotonic() - _WINDOW)
        return len(recent) < (self._per_minute // 2 if mark is Mark.WAITS else self._per_minute)

    def _seconds_until_turn(self) -> float:
        """Take a turn among the marks of all lines, and return how long it is until then. Lines that only asked
        whether somebody else was before them would all wake for each mark that is put."""
        if not self._turns:
            return 0.0
        now = self._clock.monotonic()
        turn = max(now, self._turns.popleft() + 1.0)
        self._turns.append(turn)
        return turn - now

    def _count(self, line: Hashable) -> None:
        self._recent.setdefault(line, deque()).append(self._clock.monotonic())


def _forget_before(times: deque[float], earliest: float) -> None:
    while times and times[0] <= earliest:
        times.popleft()
