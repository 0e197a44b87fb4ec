"""The static files of the page, read once into memory and served forever under the hash of their content."""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

_FOLDER = Path(__file__).parent / "static"
_KINDS = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}

FOR_EVER = "public, max-age=31536000, immutable"
"""The address changes with the content, so no browser ever needs to ask again."""


@dataclass(frozen=True, slots=True)
class _Asset:
    kind: str
    plain: bytes
    zipped: bytes


class Assets:
    """Every file of `static/` that a browser may have, under one version: the hash of them all.

    One version for the whole tree lets modules import each other by relative address.
    """

    def __init__(self, folder: Path = _FOLDER) -> None:
        self._assets: dict[str, _Asset] = {}
        digest = hashlib.sha256()
        for path in sorted(folder.rglob("*")):
            kind = _KINDS.get(path.suffix)
            if kind is None or not path.is_file():
                continue
            name = path.relative_to(folder).as_posix()
            plain = path.read_bytes()
            digest.update(name.encode() + b"\0" + plain)
            self._assets[name] = _Asset(kind, plain, gzip.compress(plain, mtime=0))
        self.version = digest.hexdigest()[:12]

    async def serve(self, request: web.Request) -> web.Response:
        """`GET /static/{version}/{name}`. A page of another version gets today's file, which it may not keep."""
        asset = self._assets.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        current = request.match_info["version"] == self.version
        zipped = "gzip" in request.headers.get("Accept-Encoding", "").lower()
        headers = {"Cache-Control": FOR_EVER if current else "no-cache", "Vary": "Accept-Encoding"}
        if zipped:
            headers["Content-Encoding"] = "gzip"
        return web.Response(
            body=asset.zipped if zipped else asset.plain, content_type=asset.kind, charset="utf-8", headers=headers
        )
