"""Outlets: places besides the watch page where a session can be heard. A platform that has such places offers them; the
core decides who may use them, and says what is in the way.

Protocols and values only; knows no platform.
"""

from dataclasses import dataclass
from typing import Protocol

from bot.core.models import Actor, Channel


@dataclass(frozen=True, slots=True)
class Place:
    """A place where a session can be heard, as it is for whoever asks.

    id: the platform's. name: what people call it. may_enter: whether who asks may go there themselves. missing: what
    the bot lacks there, in the platform's words. is_full: nobody more fits in. taken_by: the name of another
    place, where the platform lets the bot be in one of them at a time and it is in that.
    """

    id: str
    name: str
    may_enter: bool = True
    missing: tuple[str, ...] = ()
    is_full: bool = False
    taken_by: str | None = None


class Outlets(Protocol):
    """What a platform offers. Nothing here waits: what takes time goes on in the platform's own tasks, which tell the
    session's channel what came of it."""

    @property
    def unavailable(self) -> str | None:
        """Why no session can be heard on this platform, as a sentence; None if they can."""

    @property
    def joins_by_itself(self) -> bool:
        """Whether a session goes to the place of its own channel when it starts there."""

    def find(self, channel: Channel, actor: Actor, wanted: str) -> Place | None:
        """The place that somebody means: by its name or as the platform writes it in a message; where `wanted` is
        empty, where that person is, else the place of the channel itself. None if there is none."""

    def has_place(self, channel: Channel) -> bool:
        """Whether a channel has a place of its own."""

    def join(self, session_id: str, place_id: str) -> None:
        """Have a session heard at a place."""

    def leave(self, session_id: str) -> bool:
        """End that. False if it was heard nowhere."""


class OutletsByPlatform:
    """Who offers outlets. Platforms are known by name only."""

    def __init__(self) -> None:
        self._offers: dict[str, Outlets] = {}
        self.silent_because: str | None = None
        """Why nothing can be heard anywhere, as a sentence: the bot does not have the avatar's sound."""

    def offer(self, platform: str, outlets: Outlets) -> None:
        """A platform has outlets; the last to say so is asked."""
        self._offers[platform] = outlets

    def of(self, channel: Channel) -> Outlets | None:
        """The outlets of a channel's platform; None if it has none."""
        return self._offers.get(channel.platform)

    def offers_button(self, channel: Channel) -> bool:
        """Whether people in a channel are offered to have its session heard where they are."""
        outlets = self.of(channel)
        if outlets is None or self.silent_because is not None or outlets.unavailable is not None:
            return False
        return outlets.has_place(channel)
