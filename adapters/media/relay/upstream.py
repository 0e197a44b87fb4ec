"""The one way from the relay to a provider's files: what it may ask for, from whom, how much and for how long.

Nothing it raises or logs holds more of an address than the host. No key of ours goes along: these files are for whoever
has their address.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urljoin, urlsplit

import aiohttp
import httpx

from adapters.media.relay.addresses import AddressRefused, Reach, make_socket, reach_of, reaches_of_host
from adapters.media.relay.syntax import MAX_URL, ByteRange
from adapters.network import http_transport, is_proxied, told
from bot.core.errors import PictureUnavailable

MAX_REDIRECTS = 3
USER_AGENT = "avatar-relay"

_LIMITS = httpx.Limits(max_connections=1024, max_keepalive_connections=None, keepalive_expiry=15.0)
_STEP_TIMEOUT = httpx.Timeout(5.0, connect=5.0, pool=5.0)
"""Seconds to connect, to wait for a free connection, and between two portions of an answer."""
_GONE = (404, 410)
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that an answer may have: bytes, and seconds from the request to its last byte."""

    size: int
    time: float


@dataclass(frozen=True, slots=True)
class Download:
    """An answer; `url` is where it came from in the end, which what is in it is relative to."""

    body: bytes = field(repr=False)
    url: str = field(repr=False)


class Upstream:
    """Fetches files for everything that one provider shows. Enter it to open its connections, leave it to close them.

    Files come over https; over plain http only where the provider is itself addressed so. They come from the internet;
    from a private network, this link or this machine only where the provider itself is there. A name is not trusted:
    the address of each connection is looked at. Behind a proxy of the environment only addresses in figures can be: to
    look names up, and to refuse them, is the proxy's business there.
    """

    def __init__(self, api_url: str) -> None:
        """`api_url` is how the provider itself is addressed."""
        api = urlsplit(api_url)
        self._schemes = ("https", "http") if api.scheme == "http" else ("https",)
        self._api_host = api.hostname or ""
        self._allowed = {Reach.GLOBAL}
        self._direct: httpx.AsyncBaseTransport | None = None
        self._proxied: httpx.AsyncBaseTransport | None = None

    async def __aenter__(self) -> "Upstream":
        self._direct = http_transport(_LIMITS, partial(make_socket, self._allowed))
        self._proxied = http_transport(_LIMITS)
        return self

    async def __aexit__(self, *_: object) -> None:
        for transport in (self._direct, self._proxied):
            if transport is not None:
                await transport.aclose()
        self._direct = self._proxied = None

    async def look_up_provider(self) -> None:
        """Learn from where the provider itself is reached, which its files may be as well."""
        self._allowed |= await reaches_of_host(self._api_host) - {Reach.NOWHERE}

    async def get(self, url: str, bounds: Bounds, byte_range: ByteRange | None = None) -> Download | None:
        """Fetch a file; None if the provider says that there is none. Raises `PictureUnavailable`."""
        if byte_range is not None and byte_range.length > bounds.size:
            raise _failure(url, "is larger than it may be")
        try:
            async with asyncio.timeout(bounds.time):
                for _ in range(MAX_REDIRECTS + 1):
                    async with self._ask(url, byte_range) as response:
                        if response.status_code not in _REDIRECTS:
                            return await _read(response, url, bounds, byte_range)
                        url = self._redirected(url, response)
        except TimeoutError:
            raise _failure(url, "does not answer in time") from None
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, aiohttp.ClientError, OSError) as error:
            why = "is at an address that is not allowed" if _is_refused(error) else f"cannot be reached ({told(error)})"
            # From None: the request, with its address, hangs on the library's error.
            raise _failure(url, why) from None
        raise _failure(url, "leads from one address to the next")

    @asynccontextmanager
    async def _ask(self, url: str, byte_range: ByteRange | None) -> AsyncIterator[httpx.Response]:
        transport = self._transport_for(url)
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": USER_AGENT}
        if byte_range is not None:
            headers["Range"] = f"bytes={byte_range.offset}-{byte_range.offset + byte_range.length - 1}"
        request = httpx.Request("GET", url, headers=headers, extensions={"timeout": _STEP_TIMEOUT.as_dict()})
        response = await transport.handle_async_request(request)
        try:
            yield response
        finally:
            await response.aclose()

    def _transport_for(self, url: str) -> httpx.AsyncBaseTransport:
        """The connections that lead to `url`. Raises `PictureUnavailable` if it may not be asked for."""
        if self._direct is None or self._proxied is None:
            raise RuntimeError("enter the upstream before using it")
        try:
            parts = urlsplit(url)
        except ValueError:
            raise _failure(url, "has an address that cannot be used") from None
        if parts.scheme not in self._schemes:
            raise _failure(url, f"is not at an address that begins with {self._schemes[-1]}://")
        if not parts.hostname or "@" in parts.netloc or len(url) > MAX_URL:
            raise _failure(url, "has an address that cannot be used")
        try:
            reach = reach_of(parts.hostname)
        except ValueError:
            reach = None
        if reach is not None and reach not in self._allowed:
            raise _failure(url, "is at an address that is not allowed")
        return self._proxied if is_proxied(url) else self._direct

    @staticmethod
    def _redirected(url: str, response: httpx.Response) -> str:
        try:
            return urljoin(url, response.headers["Location"])
        except (KeyError, ValueError):
            raise _failure(url, "leads nowhere") from None


async def _read(response: httpx.Response, url: str, bounds: Bounds, byte_range: ByteRange | None) -> Download | None:
    if response.status_code in _GONE:
        return None
    if response.status_code != (200 if byte_range is None else 206):
        raise _failure(url, f"answers {response.status_code}")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise _failure(url, "is packed, which was not asked for")
    size = bounds.size if byte_range is None else byte_range.length
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced[:20]) > size:
        raise _failure(url, "is larger than it may be")
    body = bytearray()
    async for portion in response.aiter_raw():
        body += portion
        if len(body) > size:
            raise _failure(url, "is larger than it may be")
    if byte_range is not None and len(body) < size:
        raise _failure(url, "is cut short")
    return Download(bytes(body), url)


def _failure(url: str, why: str) -> PictureUnavailable:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    return PictureUnavailable(f"{host or 'a file'} {why}")


def _is_refused(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, AddressRefused) or isinstance(getattr(error, "os_error", None), AddressRefused):
            return True
        error = error.__cause__
    return False
