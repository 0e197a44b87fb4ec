"""Who plays a room that has one place for all pages, who waits for it, and how it passes on. No I/O happens here.

The order is that of arrival. Whoever waits may ask for the seat; its holder is asked and may keep it, and only silence
gives it away, so nobody loses it by accident. A page that vanishes keeps its place for a moment, which is what a reload
looks like from here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from bot.core.ports import Clock, Timer

GRACE = 6.0
"""Seconds that the place of a page is kept after its connection has ended: a reload, or a line that comes back."""

ANSWER = 15.0
"""Seconds in which the holder of the seat may say that they keep it."""

REQUEST_COOLDOWN = 60.0
"""Seconds in which nobody may ask again, once the holder has kept the seat."""


class Place(StrEnum):
    """Where a page stands."""

    SEATED = "seated"
    ASKED = "asked"
    """Has the seat, and somebody would like to have it."""
    WAITING = "waiting"
    ASKING = "asking"


@dataclass(frozen=True, slots=True)
class SeatStatus:
    """What one page is told. `watching` counts the pages that are there, this one too; `ahead` those that get a free
    seat earlier. `seconds`: until an asked seat passes on. `may_ask`: whether asking for it would change anything."""

    place: Place
    watching: int
    ahead: int
    seconds: float | None = None
    may_ask: bool = False


@dataclass(slots=True)
class _Visitor:
    changed: Callable[[], None]
    is_here: bool = True
    leaving: Timer | None = field(default=None, repr=False)


class SeatQueue:
    """The line for the one seat of a session. Visitors are named by a key of their own choice."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._visitors: dict[str, _Visitor] = {}
        self._holder: str | None = None
        self._holder_plays = False
        self._asker: str | None = None
        self._answer_due = 0.0
        self._answer_timer: Timer | None = None
        self._peace: Timer | None = None

    def __len__(self) -> int:
        return len(self._visitors)

    def connect(self, visitor: str, changed: Callable[[], None], *, plays: bool = False) -> None:
        """Somebody opens the page, or is back within `GRACE`. `changed` is called whenever their standing may be
        another; it must not call back into the line.

        plays: says that it is in the room. After a restart of the server this one has the seat, and not whoever comes
        back first; it cannot oust a holder who plays.
        """
        known = self._visitors.get(visitor)
        if known is None:
            self._visitors[visitor] = _Visitor(changed)
        else:
            known.is_here, known.changed = True, changed
            _cancel(known.leaving)
        if self._holder is None or (plays and not self._holder_plays):
            self._settle_request()
            self._seat(visitor)
        self._notify()

    def note_playing(self, visitor: str) -> None:
        """The holder plays."""
        self._holder_plays = self._holder_plays or visitor == self._holder

    def disconnect(self, visitor: str) -> None:
        """The connection of a page has ended; its place is kept for `GRACE`."""
        known = self._visitors.get(visitor)
        if known is not None and known.is_here:
            known.is_here = False
            known.leaving = self._clock.call_later(GRACE, lambda: self._forget(visitor))
            self._notify()

    def ask(self, visitor: str) -> None:
        """Somebody who waits would like to have the seat. Changes nothing while another request is open."""
        if visitor in self._visitors and self._may_ask(visitor):
            self._asker = visitor
            self._answer_due = self._clock.monotonic() + ANSWER
            self._answer_timer = self._clock.call_later(ANSWER, self._pass_to_asker)
            self._notify()

    def keep(self, visitor: str) -> None:
        """The holder, who was asked, goes on watching."""
        if visitor == self._holder and self._asker is not None:
            self._settle_request()
            self._peace = self._clock.call_later(REQUEST_COOLDOWN, self._end_cooldown)
            self._notify()

    def give(self, visitor: str) -> None:
        """The holder lets the one who asked have the seat."""
        if visitor == self._holder and self._asker is not None:
            self._pass_to_asker()

    def standing(self, visitor: str) -> SeatStatus:
        """What to tell a visitor who has arrived. Raises KeyError for one who has not."""
        others = [name for name in self._visitors if name != self._holder]
        watching = sum(each.is_here for each in self._visitors.values())
        seconds = max(0.0, self._answer_due - self._clock.monotonic())
        if visitor == self._holder:
            if self._asker is None:
                return SeatStatus(Place.SEATED, watching, 0)
            return SeatStatus(Place.ASKED, watching, 0, seconds)
        ahead = others.index(visitor)
        if visitor == self._asker:
            return SeatStatus(Place.ASKING, watching, ahead, seconds)
        return SeatStatus(Place.WAITING, watching, ahead, may_ask=self._may_ask(visitor))

    def has_seat(self, visitor: str) -> bool:
        """Whether this visitor may play now."""
        return visitor == self._holder

    def close(self) -> None:
        """Forget everybody, and every moment to come."""
        for visitor in self._visitors.values():
            _cancel(visitor.leaving)
        _cancel(self._answer_timer)
        _cancel(self._peace)
        self._visitors.clear()
        self._seat(None)
        self._asker = None

    def _may_ask(self, visitor: str) -> bool:
        return self._asker is None and self._peace is None and visitor != self._holder

    def _pass_to_asker(self) -> None:
        asker, holder = self._asker, self._holder
        self._settle_request()
        if holder is not None and asker is not None:
            self._visitors[holder] = self._visitors.pop(holder)  # to the end of the line
        self._seat(asker)
        self._notify()

    def _seat(self, visitor: str | None) -> None:
        self._holder, self._holder_plays = visitor, False

    def _settle_request(self) -> None:
        _cancel(self._answer_timer)
        self._asker = self._answer_timer = None

    def _end_cooldown(self) -> None:
        self._peace = None
        self._notify()

    def _forget(self, visitor: str) -> None:
        del self._visitors[visitor]
        if visitor == self._asker:
            self._settle_request()
        if visitor == self._holder:
            here = (name for name, each in self._visitors.items() if each.is_here)
            self._seat(self._asker or next(here, None))
            self._settle_request()
            _cancel(self._peace)
            self._peace = None
        self._notify()

    def _notify(self) -> None:
        for visitor in self._visitors.values():
            if visitor.is_here:
                visitor.changed()


def _cancel(timer: Timer | None) -> None:
    if timer is not None:
        timer.cancel()
