"""The queue for a room that one page plays at a time: who has the seat, who waits, how it passes on. No I/O.

First come, first served. Whoever waits may request the seat. Its holder may keep it; if they do not answer, it passes
on. A page that disconnects keeps its place for a moment, because a reload looks like that from here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel

from bot.core.ports import Clock, Timer

RECONNECT_TIMEOUT = 6.0
"""Seconds in which a page may reconnect and find its place in the queue: a reload, or a lost connection."""

ANSWER_TIMEOUT = 15.0
"""Seconds in which the holder of the seat may say that they keep it."""

REQUEST_COOLDOWN = 60.0
"""Seconds in which nobody may request the seat again, once its holder has kept it."""


class Place(StrEnum):
    """Where a page stands."""

    SEATED = "seated"
    ASKED = "asked"
    """Has the seat, and somebody else has requested it."""
    WAITING = "waiting"
    ASKING = "asking"


class SeatStatus(BaseModel, frozen=True):
    """What one page is told, as it is sent (`protocol.py`).

    `watching` counts the connected pages, this one too; `ahead` those that get a free seat earlier. `seconds`: until a
    requested seat passes on. `may_ask`: whether a request would change anything.
    """

    type: Literal["seat"] = "seat"
    place: Place
    watching: int
    ahead: int
    seconds: float | None = None
    may_ask: bool = False


@dataclass(slots=True)
class _Visitor:
    on_change: Callable[[], None]
    is_connected: bool = True
    removal: Timer | None = field(default=None, repr=False)


class SeatQueue:
    """The queue for the one seat of a session. Visitors are named by a key of their own choice."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._visitors: dict[str, _Visitor] = {}
        self._holder: str | None = None
        self._holder_plays = False
        self._requester: str | None = None
        self._answer_due = 0.0
        self._answer_timer: Timer | None = None
        self._cooldown: Timer | None = None

    def __len__(self) -> int:
        return len(self._visitors)

    def connect(self, visitor: str, on_change: Callable[[], None], *, plays: bool = False) -> None:
        """Somebody opens the page, or reconnects. `on_change` is called whenever their status may have changed; it must
        not call back into the queue.

        plays: says that it plays the room. After a restart of the server this page gets the seat, and not whoever
        reconnects first; it cannot take it from a holder who plays.
        """
        known = self._visitors.get(visitor)
        if known is None:
            self._visitors[visitor] = _Visitor(on_change)
        else:
            known.is_connected, known.on_change = True, on_change
            _cancel(known.removal)
        if self._holder is None or (plays and not self._holder_plays):
            self._close_request()
            self._seat(visitor)
        self._notify()

    def note_playing(self, visitor: str) -> None:
        """The holder plays."""
        self._holder_plays = self._holder_plays or visitor == self._holder

    def disconnect(self, visitor: str) -> None:
        """The connection of a page has ended; its place is kept for `RECONNECT_TIMEOUT`."""
        known = self._visitors.get(visitor)
        if known is not None and known.is_connected:
            known.is_connected = False
            known.removal = self._clock.call_later(RECONNECT_TIMEOUT, lambda: self._remove(visitor))
            self._notify()

    def request(self, visitor: str) -> None:
        """Somebody who waits requests the seat. Changes nothing while another request is open."""
        if visitor in self._visitors and self._may_request(visitor):
            self._requester = visitor
            self._answer_due = self._clock.monotonic() + ANSWER_TIMEOUT
            self._answer_timer = self._clock.call_later(ANSWER_TIMEOUT, self._pass_to_requester)
            self._notify()

    def keep(self, visitor: str) -> None:
        """The holder turns the request down."""
        if visitor == self._holder and self._requester is not None:
            self._close_request()
            self._cooldown = self._clock.call_later(REQUEST_COOLDOWN, self._end_cooldown)
            self._notify()

    def release(self, visitor: str) -> None:
        """The holder gives the seat to whoever requested it."""
        if visitor == self._holder and self._requester is not None:
            self._pass_to_requester()

    def status_of(self, visitor: str) -> SeatStatus:
        """What to tell a visitor. Raises ValueError for one who has not connected."""
        others = [name for name in self._visitors if name != self._holder]
        watching = sum(each.is_connected for each in self._visitors.values())
        seconds = max(0.0, self._answer_due - self._clock.monotonic())
        if visitor == self._holder:
            if self._requester is None:
                return SeatStatus(place=Place.SEATED, watching=watching, ahead=0)
            return SeatStatus(place=Place.ASKED, watching=watching, ahead=0, seconds=seconds)
        ahead = others.index(visitor)
        if visitor == self._requester:
            return SeatStatus(place=Place.ASKING, watching=watching, ahead=ahead, seconds=seconds)
        return SeatStatus(place=Place.WAITING, watching=watching, ahead=ahead, may_ask=self._may_request(visitor))

    def has_seat(self, visitor: str) -> bool:
        """Whether this visitor may play now."""
        return visitor == self._holder

    def close(self) -> None:
        """Forget everybody, and cancel every timer."""
        for visitor in self._visitors.values():
            _cancel(visitor.removal)
        _cancel(self._answer_timer)
        _cancel(self._cooldown)
        self._visitors.clear()
        self._seat(None)
        self._requester = None

    def _may_request(self, visitor: str) -> bool:
        return self._requester is None and self._cooldown is None and visitor != self._holder

    def _pass_to_requester(self) -> None:
        requester, holder = self._requester, self._holder
        self._close_request()
        if holder is not None and requester is not None:
            self._visitors[holder] = self._visitors.pop(holder)  # to the end of the queue
        self._seat(requester)
        self._notify()

    def _seat(self, visitor: str | None) -> None:
        self._holder, self._holder_plays = visitor, False

    def _close_request(self) -> None:
        _cancel(self._answer_timer)
        self._requester = self._answer_timer = None

    def _end_cooldown(self) -> None:
        self._cooldown = None
        self._notify()

    def _remove(self, visitor: str) -> None:
        del self._visitors[visitor]
        if visitor == self._requester:
            self._close_request()
        if visitor == self._holder:
            connected = (name for name, each in self._visitors.items() if each.is_connected)
            self._seat(self._requester or next(connected, None))
            self._close_request()
            _cancel(self._cooldown)
            self._cooldown = None
        self._notify()

    def _notify(self) -> None:
        for visitor in self._visitors.values():
            if visitor.is_connected:
                visitor.on_change()


def _cancel(timer: Timer | None) -> None:
    if timer is not None:
        timer.cancel()
