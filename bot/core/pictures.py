"""The picture of a stream as files that any number of people can fetch: what the web asks for, and what makes them.

Protocols and values only. A source knows neither provider nor platform: it is given how a stream is played and hands
out HLS (RFC 8216): one playlist of a known name, and whatever that leads to.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from bot.core.models import Playback
from bot.core.sound import Sound

PLAYLIST = "index.m3u8"
"""The name of the file that every source begins with; a multivariant or a media playlist."""


@dataclass(frozen=True, slots=True)
class MediaFile:
    """One file of a picture. is_immutable: its name will never mean anything else, so it may be cached; a playlist is
    not."""

    body: bytes
    content_type: str
    is_immutable: bool


@dataclass(frozen=True, slots=True)
class PlaylistPosition:
    """What a player waits for in a low-latency playlist: the segment of this number, or this part of it, both counted
    from 0 (RFC 8216bis, 6.2.5.2: `_HLS_msn` and `_HLS_part`)."""

    segment: int
    part: int | None = None


class PictureSource(Protocol):
    """The picture of one stream, from its first viewer to 15 s after the last; and its sound alone, over the same
    input.

    There is no signing in or out of the picture: whoever plays fetches a playlist every few seconds, and whoever owns
    the source (`PictureSources`) closes it when nobody has for a while and nobody listens.
    """

    async def fetch(self, name: str, after: PlaylistPosition | None = None) -> MediaFile | None:
        """The file of this name; None if there is none, or no longer. Names come from anybody: check them.

        after: answer once the playlist has got so far, or after three target durations as it is then; a source
        without low latency answers at once. Any number may fetch one file at a time; cancelling one disturbs no other.
        Raises `bot.core.errors.PictureUnavailable` if it should be there and cannot be had right now.
        """

    def listen(self) -> AsyncGenerator[Sound, None]:
        """The sound alone, as it comes, from now on until the source is closed; close the generator to stop. Costs no
        picture: what is done for viewers alone is not done for it. Raises
        `bot.core.errors.PictureUnavailable` if it cannot be had right now."""

    async def aclose(self) -> None:
        """Stop everything that goes on for it, within a second or two. Also for one that has failed; does not raise."""


class PictureSourceFactory(Protocol):
    """Makes the sources of one kind."""

    def can_show(self, playback: Playback) -> bool:
        """Whether it makes sources for streams that are played so."""

    async def open(self, upstream_id: str, playback: Playback) -> PictureSource:
        """A source for the stream; the caller closes it. Returns soon: the first files may still have to be waited for,
        which is for `fetch` to do. Raises `bot.core.errors.PictureUnavailable`."""


class PictureSources(Protocol):
    """Every picture there is to watch, by link. The web knows this alone, so another process may answer it."""

    async def fetch(
        self, link_nonce: str, picture: str, name: str, after: PlaylistPosition | None = None
    ) -> MediaFile | None:
        """A file of the picture that the session behind a link shows; None if the link opens nothing (any more), the
        session shows another picture or none, or there is no such file.

        picture: which one, as `bot.core.views.SessionView.picture` names it; each stream has another.
        Raises `bot.core.errors.PictureUnavailable`, and `bot.core.errors.StoreError` if the link cannot be looked up.
        """
