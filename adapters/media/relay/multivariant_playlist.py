"""Playlists that list playlists (RFC 8216, 4.3.4): the same picture in several sizes, and its sound apart."""

import re
from collections.abc import Iterator, Mapping

from adapters.media.relay.syntax import (
    NUMBER,
    SECONDS,
    Kind,
    NameOf,
    Playlist,
    PlaylistRefused,
    Reference,
    address_of,
    attributes_of,
)

MAX_RENDITIONS = 16

_CODECS = re.compile(r"[A-Za-z0-9.,_-]{1,200}")
_LANGUAGE = re.compile(r"[A-Za-z0-9-]{1,35}")

_SHOWN = {
    "BANDWIDTH": NUMBER,
    "AVERAGE-BANDWIDTH": NUMBER,
    "RESOLUTION": re.compile(r"[0-9]{1,5}x[0-9]{1,5}"),
    "FRAME-RATE": SECONDS,
    "VIDEO-RANGE": re.compile(r"SDR|HLG|PQ"),
}
"""What is told of a variant, as it stands, where it looks like what it must be."""


class MultivariantPlaylist:
    """One of them, while it is read. Subtitles, trick play and what else it offers are left out: the page
    has captions of its own."""

    def __init__(self, base: str, name_of: NameOf) -> None:
        self._base = base
        self._name_of = name_of
        self._groups: dict[str, str] = {}
        self._references: dict[str, Reference] = {}

    def rewrite(self, lines: list[str]) -> Playlist:
        """It as ours. Raises `PlaylistRefused`."""
        head = ["#EXTM3U", "#EXT-X-VERSION:7"]
        media: list[str] = []
        variants: list[str] = []
        offered: dict[str, str] | None = None
        for line in lines[1:]:
            tag, _, value = line.partition(":")
            if tag == "#EXT-X-DEFINE":
                raise PlaylistRefused("it needs EXT-X-DEFINE, which is not handed on")
            if tag == "#EXT-X-INDEPENDENT-SEGMENTS":
                head.append(tag)
            elif tag == "#EXT-X-MEDIA":
                media += self._audio(attributes_of(value), len(media))
            elif tag == "#EXT-X-STREAM-INF":
                offered = attributes_of(value)
            elif not line.startswith("#") and offered is not None:
                variants += self._variant(offered, line)
                offered = None
        if not variants:
            raise PlaylistRefused("it offers nothing to play")
        if len(self._references) > MAX_RENDITIONS:
            raise PlaylistRefused("it offers too much to choose from")
        return Playlist("\n".join((*head, *media, *variants)) + "\n", self._references)

    def _variant(self, offered: Mapping[str, str], uri: str) -> Iterator[str]:
        if "BANDWIDTH" not in offered:
            raise PlaylistRefused("a variant has no bandwidth")
        told = [f"{key}={offered[key]}" for key, form in _SHOWN.items() if form.fullmatch(offered.get(key, ""))]
        if _CODECS.fullmatch(codecs := offered.get("CODECS", "").replace(" ", "")):
            told.append(f'CODECS="{codecs}"')
        if "AUDIO" in offered:
            told.append(f'AUDIO="{self._group(offered["AUDIO"])}"')
        yield f"#EXT-X-STREAM-INF:{','.join(told)}"
        yield self._name(uri)

    def _audio(self, offered: Mapping[str, str], number: int) -> Iterator[str]:
        if offered.get("TYPE") != "AUDIO":
            return
        told = ["TYPE=AUDIO", f'GROUP-ID="{self._group(offered.get("GROUP-ID", ""))}"', f'NAME="Audio {number + 1}"']
        if _LANGUAGE.fullmatch(language := offered.get("LANGUAGE", "")):
            told.append(f'LANGUAGE="{language}"')
        told += [f"{flag}=YES" for flag in ("DEFAULT", "AUTOSELECT") if offered.get(flag) == "YES"]
        if "URI" in offered:
            told.append(f'URI="{self._name(offered["URI"])}"')
        yield f"#EXT-X-MEDIA:{','.join(told)}"

    def _group(self, theirs: str) -> str:
        return self._groups.setdefault(theirs, f"audio{len(self._groups)}")

    def _name(self, uri: str) -> str:
        reference = Reference(Kind.PLAYLIST, address_of(self._base, uri), sequence=len(self._references))
        name = self._name_of(reference)
        self._references[name] = reference
        return name
