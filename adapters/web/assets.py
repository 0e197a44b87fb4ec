"""The static files of the page, read once into memory and served as immutable under the hash of their content."""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

_FOLDER = Path(__file__).parent / "static"
_CONTENT_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}

IMMUTABLE = "public, max-age=31536000, immutable"
"""The address changes with the content, so no browser ever needs to ask again."""


@dataclass(frozen=True, slots=True)
class _Asset:
    content_type: str
    content: bytes
    gzipped: bytes


class Assets:
    """Every file of `static/` that is served, under one version: the hash of them all.

    One version for the whole tree lets modules import each other by relative address.
    """

    def __init__(self, folder: Path = _FOLDER) -> None:
        self._assets: dict[str, _Asset] = {}
        digest = hashlib.sha256()
        for path in sorted(folder.rglob("*")):
            content_type = _CONTENT_TYPES.get(path.suffix)
            if content_type is None or not path.is_file():
                continue
            name = path.relative_to(folder).as_posix()
            content = path.read_bytes()
            digest.update(name.encode() + b"\0" + content)
            self._assets[name] = _Asset(content_type, content, gzip.compress(content, mtime=0))
        self.version = digest.hexdigest()[:12]

    async def serve(self, request: web.Request) -> web.Response:
        """`GET /static/{version}/{name}`. A page of another version gets the current file, uncached."""
        asset = self._assets.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        current = request.match_info["version"] == self.version
        gzipped = "gzip" in request.headers.get("Accept-Encoding", "").lower()
        headers = {"Cache-Control": IMMUTABLE if current else "no-cache", "Vary": "Accept-Encoding"}
        if gzipped:
            headers["Content-Encoding"] = "gzip"
        return web.Response(
            body=asset.gzipped if gzipped else asset.content,
            content_type=asset.content_type,
            charset="utf-8",
            headers=headers,
        )
