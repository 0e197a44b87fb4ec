"""The HTML: the watch page, and the error page with one clear sentence."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

from aiohttp import web

PROXY_PREFIX = "/.proxy"
"""What Discord's proxy once wanted in front of every path, and still takes; pages and files are there as well."""

_TEMPLATES = Path(__file__).parent / "templates"


class Pages:
    """Fills the templates. URLs in them are relative, so the server may be behind any path of a proxy."""

    def __init__(self, assets_version: str) -> None:
        self._version = assets_version
        self._watch = Template((_TEMPLATES / "watch.html").read_text("utf-8"))
        self._error = Template((_TEMPLATES / "error.html").read_text("utf-8"))

    def watch(self, request: web.Request, rooms: Sequence[str], policy: str) -> web.Response:
        """The watch page; its content comes over its WebSocket. `rooms` is where its `policy` lets it join rooms."""
        response = self._html(self._filled(request, {}, rooms), 200)
        response.headers["Content-Security-Policy"] = policy
        return response

    def framed(self, request: web.Request, host: str, ticket: str, facts: Mapping[str, str]) -> web.Response:
        """The same page in a frame of a chat client: `host` is which, `facts` are what its script needs to know."""
        feed = f"{_up(request)}embed/{ticket}/live"
        return self._html(self._filled(request, {"embed": host, "feed": feed, **facts}), 200)

    def _filled(self, request: web.Request, data: Mapping[str, str], rooms: Sequence[str] = ()) -> str:
        return self._watch.substitute(
            assets=self._assets_for(request),
            rooms=escape(" ".join(rooms)),
            data="".join(f' data-{escape(name)}="{escape(value)}"' for name, value in data.items()),
            sound="Sound on" if data else "Unmute",
        )

    def error(self, request: web.Request, status: int, title: str, text: str) -> web.Response:
        """The error page."""
        html = self._error.substitute(assets=self._assets_for(request), title=escape(title), text=escape(text))
        return self._html(html, status)

    def _assets_for(self, request: web.Request) -> str:
        return f"{_up(request)}static/{self._version}"

    @staticmethod
    def _html(html: str, status: int) -> web.Response:
        return web.Response(text=html, status=status, content_type="text/html", headers={"Cache-Control": "no-store"})


def _up(request: web.Request) -> str:
    """The way from a page to the server's first folder: its own addresses begin with that."""
    depth = request.rel_url.raw_path.count("/") - 1
    # What a proxy of Discord's may leave in front is no folder of ours.
    depth -= request.rel_url.raw_path.startswith(f"{PROXY_PREFIX}/")
    return "../" * depth or "./"


def link_expired(pages: Pages, request: web.Request) -> web.Response:
    """The link was valid once."""
    return pages.error(
        request, 410, "This link has expired", "Ask for a new one in the channel: use the watch command."
    )


def link_revoked(pages: Pages, request: web.Request) -> web.Response:
    """The signature is ours, but the session has another link now."""
    return pages.error(
        request,
        410,
        "This link is no longer valid",
        "It was replaced or taken back. The watch command in the channel gives you the current one.",
    )


def link_unknown(pages: Pages, request: web.Request) -> web.Response:
    """The address was never a link."""
    return pages.error(
        request, 404, "This link does not work", "Part of it may be missing: open it again from the channel."
    )


def frame_over(pages: Pages, request: web.Request) -> web.Response:
    """A frame in a chat client asks for something that is over, or never was."""
    return pages.error(
        request, 410, "This has been closed", "Close it, and open it again from the channel, with the panel's button."
    )


def frame_used(pages: Pages, request: web.Request) -> web.Response:
    """A frame was made for one person and has loaded before."""
    return pages.error(
        request,
        410,
        "This view was opened already",
        "Each view opens once. Refresh this pane for a new one, or open it again from the panel in the channel.",
    )


def not_found(pages: Pages, request: web.Request, status: int = 404) -> web.Response:
    """No route has this path."""
    return pages.error(
        request, status, "There is nothing here", "Watch links start with /w/ and are handed out in the channel."
    )


def wrong_origin(pages: Pages, request: web.Request) -> web.Response:
    """A page of another site tried to connect to the feed."""
    return pages.error(request, 403, "Not allowed from there", "Only the watch page itself may connect here.")


def busy(pages: Pages, request: web.Request) -> web.Response:
    """The store does not answer."""
    return pages.error(request, 503, "We cannot look this up right now", "Wait a moment, then load the page again.")


def broken(pages: Pages, request: web.Request, reference: str) -> web.Response:
    """A bug of ours; `reference` is also in the log."""
    return pages.error(
        request,
        500,
        "Something went wrong on our side",
        f"Try again. If it keeps happening, tell the operator: {reference}.",
    )
