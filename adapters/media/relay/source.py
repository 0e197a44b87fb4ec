"""A stream's picture, relayed: the provider's playlists as ours, and what they lead to under names of ours.

A name is made with a key of this source and tells nothing. Only names that a playlist of ours has listed lead anywhere,
so nobody outside decides what is fetched.
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from urllib.parse import urlsplit

import structlog

from adapters.media.relay.files import FileCache
from adapters.media.relay.live_playlist import LivePlaylist
from adapters.media.relay.playlist import rewrite
from adapters.media.relay.sound import RelaySound
from adapters.media.relay.syntax import Kind, Playlist, PlaylistRefused, Reference
from adapters.media.relay.upstream import Bounds, Upstream
from adapters.media.sound import SoundDecoder
from bot.core.errors import PictureUnavailable
from bot.core.pictures import PLAYLIST, MediaFile, PlaylistPosition
from bot.core.ports import Clock
from bot.core.sound import Sound

PLAYLIST_BOUNDS = Bounds(512 << 10, 5.0)
"""An hour of segments of a second."""
LONG_PLAYLIST = 32 << 10
"""Bytes of a playlist from which on it is read in a thread: about 3 ms."""
LISTED_FOR = 30.0
"""Seconds that a name leads somewhere after no playlist lists it any more, for players that are behind."""
MAX_FILES = 512
MAX_PLAYLISTS = 64
"""Names of either kind at a time; a provider that lists more is not played."""
TELL_AGAIN = 60.0
"""Seconds until trouble is logged again, however many meet it."""

PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
_ENDINGS = {Kind.PLAYLIST: "m3u8", Kind.KEY: "key", Kind.MAP: "mp4"}

_log = structlog.get_logger(__name__)


class HlsRelay:
    """`bot.core.pictures.PictureSource` over a provider's HLS."""

    def __init__(self, url: str, upstream: Upstream, clock: Clock, decoder: SoundDecoder | None = None) -> None:
        """`decoder`: for who listens; without one there is a picture alone."""
        self._upstream = upstream
        self._decoder = decoder
        self._clock = clock
        self._secret = secrets.token_bytes(16)
        self._files = FileCache(upstream, clock)
        self._listed: dict[str, tuple[Reference, float]] = {}
        self._choices: dict[str, Reference] = {PLAYLIST: Reference(Kind.PLAYLIST, url)}
        self._playlists: dict[str, LivePlaylist] = {}
        self._told_at = -TELL_AGAIN

    async def fetch(self, name: str, after: PlaylistPosition | None = None) -> MediaFile | None:  # noqa: ARG002
        """See `PictureSource`. Playlists have no low latency."""
        try:
            return await self._read(name)
        except PictureUnavailable as failure:
            self._tell(failure)
            raise

    async def listen(self) -> AsyncGenerator[Sound, None]:
        """See `PictureSource`. The same files as for viewers, fetched once for all of them."""
        if self._decoder is None:
            raise PictureUnavailable("there is nothing to decode its sound with")
        async with aclosing(RelaySound(self.fetch, self._decoder, self._clock).listen()) as sounds:
            async for sound in sounds:
                yield sound

    async def aclose(self) -> None:
        """See `PictureSource`."""
        await asyncio.gather(self._files.aclose(), *(playlist.aclose() for playlist in self._playlists.values()))

    async def _read(self, name: str) -> MediaFile | None:
        if name in self._choices:
            if (playlist := await self._playlist(name).read()) is None:
                return None
            return MediaFile(playlist.text.encode(), PLAYLIST_TYPE, is_immutable=False)
        if (listed := self._listed.get(name)) is None:
            return None
        return await self._files.read(name, listed[0])

    def _playlist(self, name: str) -> LivePlaylist:
        if name not in self._playlists:
            self._playlists[name] = LivePlaylist(lambda: self._renew(name), self._clock)
        return self._playlists[name]

    async def _renew(self, name: str) -> Playlist | None:
        download = await self._upstream.get(self._choices[name].url, PLAYLIST_BOUNDS)
        if download is None:
            return None
        try:
            text = download.body.decode("utf-8-sig")
            if len(text) < LONG_PLAYLIST:
                playlist = rewrite(text, download.url, self._name_of)
            else:
                playlist = await asyncio.to_thread(rewrite, text, download.url, self._name_of)
            if name != PLAYLIST and playlist.target_duration is None:
                raise PlaylistRefused("it lists playlists, as does the one that led to it")
            self._list(playlist)
        except (UnicodeDecodeError, PlaylistRefused) as refusal:
            why = str(refusal) if isinstance(refusal, PlaylistRefused) else "it is not text"
            raise PictureUnavailable(f"the playlist of {urlsplit(download.url).hostname} is not used: {why}") from None
        return playlist

    def _list(self, playlist: Playlist) -> None:
        if playlist.target_duration is None:
            if len(choices := {**self._choices, **playlist.references}) > MAX_PLAYLISTS:
                raise PlaylistRefused("it has offered too much to choose from")
            self._choices = choices
            return
        now = self._clock.monotonic()
        for name, reference in playlist.references.items():
            # In the order of their last listing, so that the oldest are in front.
            self._listed.pop(name, None)
            self._listed[name] = (reference, now)
        for name, (_, listed_at) in list(self._listed.items()):
            if now - listed_at <= LISTED_FOR and len(self._listed) <= MAX_FILES:
                break
            del self._listed[name]
            self._files.forget(name)

    def _name_of(self, reference: Reference) -> str:
        """What is numbered keeps its name where the provider signs its address anew each time; a map or a key has no
        number, so its whole address counts."""
        is_segment = reference.kind is Kind.SEGMENT
        is_numbered = is_segment or reference.kind is Kind.PLAYLIST
        address = urlsplit(reference.url).path if is_numbered else reference.url
        of = f"{reference.kind.value} {reference.sequence} {address} {reference.byte_range}"
        digest = hashlib.blake2s(of.encode("utf-8", "surrogatepass"), key=self._secret, digest_size=8).hexdigest()
        if is_segment:
            return f"{reference.sequence}-{digest}.{'m4s' if reference.is_fragmented else 'ts'}"
        return f"{digest}.{_ENDINGS[reference.kind]}"

    def _tell(self, failure: PictureUnavailable) -> None:
        now = self._clock.monotonic()
        if now - self._told_at >= TELL_AGAIN:
            self._told_at = now
            _log.warning("a stream cannot be handed on to those who watch", error=str(failure))
