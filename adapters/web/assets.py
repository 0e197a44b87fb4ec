"""The static files of the page, packed once into memory and served as immutable under the hash of their content.

Every browser takes them packed. For whoever does not, a file is unpacked each time, which is a matter of milliseconds,
rather than kept twice: the players are more than 1 MB.
"""

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aiohttp import web

from adapters.web.headers import SHARED

_FOLDER = Path(__file__).parent / "static"
_CONTENT_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}

_PORTION = 64 * 1024
"""Bytes of a file that are in memory at once: what is freed of more stays with the process."""

_AS_GZIP = zlib.MAX_WBITS + 16

IMMUTABLE = "public, max-age=31536000, immutable"
"""The address changes with the content, so no browser ever needs to ask again."""


@dataclass(frozen=True, slots=True)
class _Asset:
    content_type: str
    packed: bytes


class Assets:
    """Every file of `static/` that is served, under one version: the hash of them all.

    One version for the whole tree lets modules import each other by relative address.
    """

    def __init__(self, folder: Path = _FOLDER) -> None:
        self._assets, self.version = _load(folder)

    async def serve(self, request: web.Request) -> web.Response:
        """`GET /static/{version}/{name}`. A page of another version gets the current file, uncached."""
        # Anybody may have them. A frame without an origin of its own runs no module that is not shared.
        request[SHARED] = True
        asset = self._assets.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        current = request.match_info["version"] == self.version
        takes_packed = "gzip" in request.headers.get("Accept-Encoding", "").lower()
        headers = {"Cache-Control": IMMUTABLE if current else "no-cache", "Vary": "Accept-Encoding"}
        if takes_packed:
            headers["Content-Encoding"] = "gzip"
        return web.Response(
            body=asset.packed if takes_packed else gzip.decompress(asset.packed),
            content_type=asset.content_type,
            charset="utf-8",
            headers=headers,
        )


@cache
def _load(folder: Path) -> tuple[Mapping[str, _Asset], str]:
    """The files by their names, and their version. Once in a process, however many servers it starts: to pack the
    players takes 50 ms of a core."""
    assets: dict[str, _Asset] = {}
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        content_type = _CONTENT_TYPES.get(path.suffix)
        if content_type is None or not path.is_file():
            continue
        name = path.relative_to(folder).as_posix()
        digest.update(name.encode() + b"\0")
        assets[name] = _Asset(content_type, _packed(path, digest))
    return assets, digest.hexdigest()[:12]


def _packed(path: Path, digest: "hashlib._Hash") -> bytes:
    """The content of a file, packed; it goes into `digest` as it is."""
    packer = zlib.compressobj(wbits=_AS_GZIP)
    packed = []
    with path.open("rb") as file:
        while portion := file.read(_PORTION):
            digest.update(portion)
            packed.append(packer.compress(portion))
    return b"".join([*packed, packer.flush()])
