"""The sound of a session, over all its streams, for everybody who listens: one subscription to the stream's source, and
only while somebody listens.

An interrupt is heard at once: who listens is told to forget what they hold, and what the source still sends of the
speech that was cut is left out. Knows no outlet and no source, only `bot.core.sound` and `bot.streams.pictures`.
"""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing, contextmanager

import structlog

from bot.core.errors import PictureUnavailable
from bot.core.models import Playback, Stream
from bot.core.ports import Clock
from bot.core.sound import FRAME, Listener, Sound
from bot.core.tasks import TaskSet
from bot.streams.pictures import StreamPictures

log = structlog.get_logger(__name__)

LISTEN_AGAIN = 1.0
"""Seconds until a source that could not be heard is tried again."""

UNSETTLED_LIMIT = 5.0
"""Seconds for which the provider may take to answer that it was interrupted; then sound is let through again."""

QUIET_PIECES = 2
"""Pieces of silence after which the speech that was cut is over: 40 ms."""

AFTERMATH = 0.5
"""Seconds of sound after the provider has confirmed an interrupt that may still be of the speech that was cut, where it
ends in no silence."""


class CutGate:
    """What of the sound is left out after an interrupt: all that was made before the provider had it, and then what
    comes until there is silence."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._cut_at: float | None = None
        self._settled_at: float | None = None
        self._quiet = 0

    def cut(self) -> None:
        """Speech is being cut."""
        self._cut_at, self._settled_at, self._quiet = self._clock.monotonic(), None, 0

    def settle(self) -> None:
        """The provider has been told."""
        if self._cut_at is not None:
            self._settled_at = self._clock.monotonic()

    def lets_through(self, sound: Sound) -> bool:
        """Whether a piece is to be heard."""
        if self._cut_at is None:
            return True
        settled_at = self._settled_at
        if settled_at is None:
            if self._clock.monotonic() < self._cut_at + UNSETTLED_LIMIT:
                return False
            settled_at = self._settled_at = self._cut_at
        if sound.at + FRAME <= settled_at:
            return False
        self._quiet = self._quiet + 1 if sound.is_quiet else 0
        if self._quiet < QUIET_PIECES and sound.at < settled_at + AFTERMATH:
            return False
        self._cut_at = None
        return True


class SessionSound:
    """What one session sounds like. `begin` and `end` follow its streams, `cut` and `settle` its interrupts."""

    def __init__(self, pictures: StreamPictures, clock: Clock) -> None:
        self._pictures = pictures
        self._clock = clock
        self._gate = CutGate(clock)
        self._listeners: list[Listener] = []
        self._stream: tuple[Stream, Playback] | None = None
        self._followed: tuple[Stream, Playback] | None = None
        self._following: asyncio.Task[None] | None = None
        self._tasks = TaskSet()

    @contextmanager
    def listen(self, listener: Listener) -> Iterator[None]:
        """Have a listener hear the session, until the block is left."""
        self._listeners.append(listener)
        self._renew()
        try:
            yield
        finally:
            self._listeners.remove(listener)
            self._renew()

    def begin(self, stream: Stream, playback: Playback) -> None:
        """The session has a stream that can be watched."""
        self._stream = (stream, playback)
        self._renew()

    def end(self) -> None:
        """Its stream is over. What listeners hold is heard to the end; who cuts says so."""
        self._stream = None
        self._renew()

    def cut(self) -> None:
        """Speech is being cut: silence now. `settle` follows, whatever came of it."""
        self._gate.cut()
        for listener in self._listeners:
            listener.hush()

    def settle(self) -> None:
        """The provider was told of the cut, or was not: what it makes from now on is heard."""
        self._gate.settle()

    async def aclose(self) -> None:
        """The session is over."""
        self._stream = None
        await self._tasks.close()

    def _renew(self) -> None:
        """Follow the stream there is, if anybody listens."""
        wanted = self._stream if self._listeners else None
        if wanted == self._followed:
            return
        if self._following is not None:
            self._following.cancel()
        self._followed, self._following = wanted, None
        if wanted is not None:
            self._following = self._tasks.create_task(self._follow(*wanted), name=f"sound of {wanted[0].id}")

    async def _follow(self, stream: Stream, playback: Playback) -> None:
        while True:
            try:
                async with aclosing(self._pictures.listen(stream, playback)) as sounds:
                    async for sound in sounds:
                        if self._gate.lets_through(sound):
                            for listener in self._listeners:
                                listener.hear(sound)
            except PictureUnavailable as trouble:
                log.info("a stream cannot be heard just now", stream=stream.id, why=str(trouble))
            await self._clock.sleep(LISTEN_AGAIN)
