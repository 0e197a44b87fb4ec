"""Who can see or hear a session now: watch pages, and whatever else shows it. What shows it joins; the session asks
whether anybody is there, and is woken when that changes. Knows no page and no platform, and decides nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary

from bot.core.ports import Clock


class Presence:
    """One place at which a session can be seen or heard: an open page, a voice channel."""

    def __init__(self, audience: "Audience", name: str | None) -> None:
        """Made by `Audience.join`."""
        self._audience = audience
        self.name = name

    def attend(self, *, is_there: bool) -> None:
        """Note whether anybody is at this place, such as in front of a page. From the start somebody is."""
        self._audience.count(self, is_there=is_there)


class Audience:
    """Everybody who can see or hear one session.

    is_required: whether nothing is to be said without one. left_at: when the last left; while nobody has come yet,
    since when they are waited for. Seconds on the clock.
    """

    def __init__(self, clock: Clock, *, is_required: bool) -> None:
        self._clock = clock
        self._there: set[Presence] = set()
        self.is_required = is_required
        self.left_at = clock.monotonic()
        self._followers: list[Callable[[], None]] = []

    @property
    def size(self) -> int:
        """At how many places somebody is."""
        return len(self._there)

    @property
    def is_there(self) -> bool:
        """Whether anybody is."""
        return bool(self._there)

    @property
    def is_missing(self) -> bool:
        """Whether nothing may be said now, since nobody would see or hear it."""
        return self.is_required and not self._there

    @property
    def names(self) -> tuple[str, ...]:
        """What those are called of whom that is known, each once."""
        return tuple(sorted({presence.name for presence in self._there if presence.name is not None}))

    @contextmanager
    def join(self, name: str | None = None) -> Iterator[Presence]:
        """A place at which the session can be seen or heard, until the block is left. `name`: what the one person there
        is called, where that is known for certain."""
        presence = Presence(self, name)
        self.count(presence, is_there=True)
        try:
            yield presence
        finally:
            self.count(presence, is_there=False)

    @contextmanager
    def follow(self, on_size: Callable[[], None]) -> Iterator[None]:
        """Have `on_size` called whenever `size` is different, until the block is left."""
        self._followers.append(on_size)
        try:
            yield
        finally:
            self._followers.remove(on_size)

    def count(self, presence: Presence, *, is_there: bool) -> None:
        """See `Presence.attend`."""
        if (presence in self._there) is is_there:
            return
        if is_there:
            self._there.add(presence)
        else:
            self._there.discard(presence)
        if not self._there:
            self.left_at = self._clock.monotonic()
        for on_size in self._followers:
            on_size()


class Audiences:
    """The audience of each session of the process, for as long as anybody has to do with it: the session itself, or who
    watches it."""

    def __init__(self, clock: Clock, *, are_required: bool) -> None:
        """`are_required`: see `Audience.is_required`."""
        self._clock = clock
        self._are_required = are_required
        self._by_session: WeakValueDictionary[str, Audience] = WeakValueDictionary()

    def of(self, session_id: str) -> Audience:
        """The audience of a session, whether or not the session runs by now."""
        audience = self._by_session.get(session_id)
        if audience is None:
            audience = Audience(self._clock, is_required=self._are_required)
            self._by_session[session_id] = audience
        return audience
