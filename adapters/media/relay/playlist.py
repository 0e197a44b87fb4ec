"""Reads a provider's playlist and writes our own: the same segments under names of ours, and nothing else that was in
it. Pure text; RFC 8216.

Strict on purpose. What is written is made of numbers and enumerated words that were understood; a tag that is not known
here is left out, and a playlist that could not be played without one is refused. The low-latency tags (parts, preload
hints, blocking reload) are among those left out, so a player sees an ordinary live playlist. The library for playlists,
m3u8, keeps what it does not know, reads what the RFC forbids, and writes titles and addresses back as they were.
"""

from adapters.media.relay.media_playlist import MediaPlaylist
from adapters.media.relay.multivariant_playlist import MultivariantPlaylist
from adapters.media.relay.syntax import NameOf, Playlist, PlaylistRefused


def rewrite(text: str, base: str, name_of: NameOf) -> Playlist:
    """The playlist `text`, which was fetched from `base`, as ours. Raises `PlaylistRefused`."""
    lines = [line for line in (line.strip() for line in text.split("\n")) if line]
    if not lines or lines[0] != "#EXTM3U":
        raise PlaylistRefused("it is not a playlist")
    if any(line.startswith("#EXT-X-STREAM-INF:") for line in lines):
        return MultivariantPlaylist(base, name_of).rewrite(lines)
    return MediaPlaylist(base, name_of).rewrite(lines)
