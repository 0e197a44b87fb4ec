"""The security headers of every response."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from aiohttp import web

from bot.core.embeds import EmbedHost

_OWN_HOST = re.compile(r"[A-Za-z0-9.\-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
_SOURCE = re.compile(r"[^\s;,'\"]+")

FIXED = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow, noarchive",
    "Permissions-Policy": (
        "camera=(), microphone=(), display-capture=(), geolocation=(), usb=(), serial=(), hid=(), midi=(), payment=()"
    ),
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""The headers that every response has, but for what is shared and what is framed."""

SHARED = web.RequestKey("shared", bool)
"""Set on a request whose answer pages of any origin may use: frames in chat clients have none of their own. For files
that anybody may have, and for those that a ticket in the address opens."""

FRAMED = web.RequestKey("framed", EmbedHost)
"""Set on a request to the `EmbedHost` in whose client the answer is to be framed."""

_OF_SHARED = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}


class SecurityHeaders:
    """Puts the headers on a response; an `on_response_prepare` signal, so that errors and WebSockets get them too."""

    def __init__(self, media_sources: Sequence[str], image_sources: Sequence[str]) -> None:
        """Both are CSP source expressions, such as `https:` or `http://127.0.0.1:43211`: from where a page may play
        besides this server, and where the pictures of avatars are.

        Raises ValueError if one is not a single expression.
        """
        for source in (*media_sources, *image_sources):
            if _SOURCE.fullmatch(source) is None:
                raise ValueError(f"not a single source of a Content-Security-Policy: {source!r}")
        self._media_sources = tuple(media_sources)
        self._image_sources = tuple(image_sources)

    async def __call__(self, request: web.Request, response: web.StreamResponse) -> None:
        """Complete the headers of `response`; those its handler has set stay."""
        if request.get(SHARED):
            response.headers.update(_OF_SHARED)
        for name, value in FIXED.items():
            response.headers.setdefault(name, value)
        own_host = request.headers.get("Host", "")
        if (host := request.get(FRAMED)) is not None:
            # It knows no list of hosts, and browsers go by frame-ancestors where both are there.
            del response.headers["X-Frame-Options"]
            response.headers["Content-Security-Policy"] = self.framed_policy(own_host, host)
        response.headers.setdefault("Content-Security-Policy", self.policy(own_host))
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["Server"] = "avatar-relay"

    def policy(self, own_host: str, rooms: Sequence[str] = ()) -> str:
        """The Content-Security-Policy for a page that the browser knows under `own_host` (host or host:port), and that
        may join LiveKit rooms at `rooms`, see `room_sources`. (A policy does not cover a room's media, WebRTC.)

        Scripts and styles are served from here alone. hls.js plays through blob: URLs; its worker is switched off. A
        browser that plays HLS by itself plays what this server serves. The
        WebSocket is listed as well as 'self', because in older Safari 'self' does not cover it.
        """
        own = (f"ws://{own_host}", f"wss://{own_host}") if _OWN_HOST.fullmatch(own_host) else ()
        media = self._media_sources
        return _policy(("https:", *self._image_sources), (*own, *media, *rooms), media, ("'none'",))

    def framed_policy(self, own_host: str, host: EmbedHost) -> str:
        """The policy for a page in a frame of a chat client, which plays what comes from here and nothing else.

        Browsers know the page under an address of the platform's, which is listed for its WebSocket.
        """
        names = [own_host, *(urlsplit(origin).netloc for origin in host.origins)]
        own = tuple(f"wss://{name}" for name in names if _OWN_HOST.fullmatch(name))
        ancestors = tuple(source for source in host.frame_ancestors if _SOURCE.fullmatch(source)) or ("'none'",)
        return _policy((), own, (), ancestors)


def _policy(images: Sequence[str], connections: Sequence[str], media: Sequence[str], ancestors: Sequence[str]) -> str:
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            _directive("img-src", "'self'", *images),
            _directive("connect-src", "'self'", *connections),
            _directive("media-src", "'self'", "blob:", *media),
            "worker-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
            _directive("frame-ancestors", *ancestors),
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def room_sources(url: str) -> tuple[str, ...]:
    """The CSP sources with which a page can join a room at a LiveKit server's `url`: exactly this host.

    livekit-client asks the same host over HTTP why a connection was refused, and a LiveKit cloud for its regions.
    """
    parts = urlsplit(url)
    schemes = {"wss": ("wss", "https"), "https": ("wss", "https"), "ws": ("ws", "http"), "http": ("ws", "http")}
    if parts.scheme not in schemes or _OWN_HOST.fullmatch(parts.netloc) is None:
        return ()
    return tuple(f"{scheme}://{parts.netloc}" for scheme in schemes[parts.scheme])


def _directive(name: str, *sources: str) -> str:
    return " ".join((name, *dict.fromkeys(sources)))
