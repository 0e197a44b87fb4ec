"""The picture, for whoever has a watch link or a ticket: the files of a stream that the bot serves itself.

Decides nothing about what there is to fetch: each request asks anew what its link or ticket opens (`PictureSources`),
so that it ends with the link, the session and the stream.
"""

import asyncio
import re
from collections.abc import Callable, Mapping

import structlog
from aiohttp import ClientConnectionResetError, web

from adapters.web.access import Access, Embeds, LinkAccess
from adapters.web.headers import SHARED
from adapters.web.links import SignedWatchLinks
from adapters.web.requests import frame_request
from bot.core.errors import EmbedUnavailable, LinkInvalid, PictureUnavailable
from bot.core.pictures import MediaFile, PictureSources, PlaylistPosition

ROUTE = "/w/{signed}/media/{picture}/{name}"
FRAMED_ROUTE = "/embed/{ticket}/media/{picture}/{name}"

PORTION = 64 << 10
"""Bytes that are given to a connection at a time; a larger file waits until it has taken them."""
SEND_TIMEOUT = 60.0
"""Seconds that a viewer may take for one file; players give up much earlier."""

KEPT = "private, max-age=3600, immutable"
"""By the viewer's browser alone: what stands between must not go on serving a link that has ended."""

_NUMBER = re.compile(r"[0-9]{1,12}")
"""Segments of a room are numbered from the seconds of the day they began on, which are ten digits."""

_log = structlog.get_logger(__name__)


class MediaFiles:
    """The files of pictures."""

    def __init__(self, links: SignedWatchLinks, embeds: Embeds, pictures: PictureSources) -> None:
        self._links = links
        self._embeds = embeds
        self._pictures = pictures

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """`ROUTE`. Answer with the file; 404 if the link opens no such file (any more), 503 if it cannot be had right
        now."""
        return await self._serve(request, lambda: LinkAccess(self._links, request.match_info["signed"]))

    async def serve_framed(self, request: web.Request) -> web.StreamResponse:
        """`FRAMED_ROUTE`, in the same way. A frame without an origin of its own may read it: whoever has the ticket
        could fetch it anyway."""
        asked = frame_request(request)
        request[SHARED] = True
        return await self._serve(request, lambda: self._embeds.access(request.match_info["ticket"], asked))

    async def _serve(self, request: web.Request, make_access: Callable[[], Access]) -> web.StreamResponse:
        try:
            after = _position(request.query)
            opened = await make_access().look_up()
        except LinkInvalid as invalid:
            return _told(410 if invalid.why == "expired" else 404)
        except EmbedUnavailable as failure:
            _log.warning("picture_not_served", error=str(failure))
            return _told(503)
        except ValueError:
            return _told(400)
        if opened.nonce is None:
            return _told(404)
        picture, name = request.match_info["picture"], request.match_info["name"]
        try:
            file = await self._pictures.fetch(opened.nonce, picture, name, after)
        except PictureUnavailable as failure:
            _log.debug("picture_not_served", error=str(failure))
            return _told(503)
        return _told(404) if file is None else await _send(request, file)


def _position(query: Mapping[str, str]) -> PlaylistPosition | None:
    """What a low-latency player waits for. Raises ValueError for what is no position."""
    segment, part = query.get("_HLS_msn"), query.get("_HLS_part")
    if segment is None:
        return None
    if not all(text is None or _NUMBER.fullmatch(text) for text in (segment, part)):
        raise ValueError("not a position in a playlist")
    return PlaylistPosition(int(segment), None if part is None else int(part))


def _told(status: int) -> web.Response:
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": "1"} if status == 503 else {})
    return web.Response(status=status, headers=headers)


async def _send(request: web.Request, file: MediaFile) -> web.StreamResponse:
    headers = {"Content-Type": file.content_type, "Cache-Control": KEPT if file.is_immutable else "no-store"}
    if len(file.body) <= PORTION:
        return web.Response(body=file.body, headers=headers)
    response = web.StreamResponse(headers=headers)
    response.content_length = len(file.body)
    body = memoryview(file.body)
    try:
        async with asyncio.timeout(SEND_TIMEOUT):
            await response.prepare(request)
            for start in range(0, len(body), PORTION):
                await response.write(body[start : start + PORTION])
            await response.write_eof()
    except (ClientConnectionResetError, TimeoutError):
        # Nobody is there to be told.
        response.force_close()
        if request.transport is not None:
            request.transport.close()
    return response
