"""The way out of the process: whoever makes a request over aiohttp or httpx takes it from here.

So that all have one idea of the network: the proxies of the environment (`bot.settings.proxies`), which certificates
are trusted, and what kind of trouble a failure is. `trust_env` of aiohttp is not used: it would also put the logins of
a `.netrc` in the place of our keys, knows no `wss`, and leaves `ALL_PROXY` out.
"""

import socket
import ssl
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import aiohttp
import httpx
import yarl
from httpx_aiohttp import AiohttpTransport

from bot.core.errors import Trouble
from bot.settings.proxies import Proxy, environment_proxies

_NEEDS_LOGIN = 407

SENT_WITHIN = 2.0
"""Seconds after which Linux drops what a provider's machine has not acknowledged, and ends the connection. Without that
a text could arrive, by repetition, long after another process has taken its session over (`bot.cluster.membership`)."""


class ProxyTrouble(aiohttp.ClientConnectionError):
    """The proxy is not there, or does not let us through. The message is a sentence, without user or password."""


class Connector(aiohttp.TCPConnector):
    """aiohttp's connections, through the proxy that is meant for each address, whoever asks for them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._proxies = environment_proxies()

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> aiohttp.connector.Connection:
        """See aiohttp. Raises `ProxyTrouble` besides."""
        proxy = self._proxies.of(str(req.url)) if self._proxies else None
        if proxy is None:
            # slack_sdk reads the environment by itself, without NO_PROXY.
            req.update_proxy(None, None, None)
            return await super().connect(req, traces, timeout)
        _send_through(req, proxy)
        failure: ProxyTrouble
        try:
            return await super().connect(req, traces, timeout)
        except aiohttp.ClientHttpProxyError as error:
            failure = ProxyTrouble(_refusal(proxy, req.host, error.status))
        except (aiohttp.ClientProxyConnectionError, aiohttp.ClientConnectorDNSError):
            failure = ProxyTrouble(f"{proxy} cannot be reached")
        # Raised out here so that no request, with its login, hangs on the error as its context.
        raise failure


def session(**options: Any) -> aiohttp.ClientSession:
    """A session of aiohttp whose requests and sockets take the way out that the environment wants."""
    return aiohttp.ClientSession(connector=Connector(), **options)


def http_client(
    timeout: httpx.Timeout, limits: httpx.Limits, transport: httpx.AsyncBaseTransport | None = None
) -> httpx.AsyncClient:
    """A client of httpx over aiohttp; `transport` replaces the network in tests of single answers."""
    return httpx.AsyncClient(transport=transport or http_transport(limits), timeout=timeout, trust_env=False)


def http_transport(
    limits: httpx.Limits,
    socket_factory: aiohttp.SocketFactoryType | None = None,
    before_body: Callable[[], None] | None = None,
) -> httpx.AsyncBaseTransport:
    """The connections alone, for whoever needs nothing of a client: no cookies, redirects or logins.

    before_body: called right before the body of a request leaves; where it raises, the request does not go out, and
    fails as a connection that broke.

    socket_factory: makes each socket, and may refuse to by an `OSError`, once it is known which address it is for;
    where a proxy leads there, that is the proxy's.
    """

    def connect() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=Connector(
                limit=limits.max_connections or 0,
                keepalive_timeout=limits.keepalive_expiry or 15.0,
                ssl=trust(),
                socket_factory=socket_factory,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[] if before_body is None else [_trace(before_body)],
        )

    return AiohttpTransport(verify=trust(), client=connect)


def prompt_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket that delivers what it is given within `SENT_WITHIN`, or never; for a `socket_factory`."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family=family, type=kind, proto=protocol)
    if hasattr(socket, "TCP_USER_TIMEOUT") and family in (socket.AF_INET, socket.AF_INET6):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(SENT_WITHIN * 1000))
    return made


def _trace(before_body: Callable[[], None]) -> aiohttp.TraceConfig:
    # aiohttp awaits this before it writes a part of the body (`aiohttp.http_writer.StreamWriter.write`).
    async def on_chunk(*_: object) -> None:
        before_body()

    trace = aiohttp.TraceConfig()
    trace.on_request_chunk_sent.append(on_chunk)
    return trace


def is_proxied(url: str) -> bool:
    """Whether a proxy of the environment leads to `url`, so that nobody here learns the address of its host."""
    return environment_proxies().of(url) is not None


def trouble_of(error: BaseException) -> Trouble:
    """What kind of trouble a failure of aiohttp, httpx or the socket below them is."""
    return next(filter(None, map(_kind, _causes(error))), Trouble.UNREACHABLE)


def told(error: BaseException) -> str:
    """A failure for the log: what the proxy did, where it was the proxy, else the kind of the innermost error."""
    causes = list(_causes(error))
    proxied = next((cause for cause in causes if isinstance(cause, ProxyTrouble)), None)
    return type(causes[-1]).__name__ if proxied is None else str(proxied)


def _send_through(req: aiohttp.ClientRequest, proxy: Proxy) -> None:
    authorization = proxy.authorization
    headers = {} if authorization is None else {"Proxy-Authorization": authorization.get_secret_value()}
    req.update_proxy(yarl.URL(proxy.url), None, headers)
    if not req.is_ssl():
        # Without TLS there is no tunnel: the proxy reads the request itself.
        req.headers.update(headers)


def _refusal(proxy: Proxy, host: str | None, status: int) -> str:
    if status != _NEEDS_LOGIN:
        return f"{proxy} does not lead to {host} ({status})"
    if proxy.login is None:
        return f"{proxy} wants a user and a password ({status})"
    return f"{proxy} does not accept the user and the password in it ({status})"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was made of, the outermost first; a library's wrapper often knows least."""
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            return
        yield seen
        below = getattr(seen, "os_error", None)
        seen = seen.__cause__ or (below if isinstance(below, BaseException) and below is not seen else None)


def _kind(error: BaseException) -> Trouble | None:
    match error:
        case (
            ProxyTrouble() | aiohttp.ClientHttpProxyError() | aiohttp.ClientProxyConnectionError() | httpx.ProxyError()
        ):
            return Trouble.PROXY
        case socket.gaierror() | aiohttp.ClientConnectorDNSError():
            return Trouble.NAME
        case ssl.SSLError() | aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return Trouble.TLS
        case ConnectionRefusedError():
            return Trouble.REFUSED
        case aiohttp.ServerTimeoutError() | TimeoutError() | httpx.ReadTimeout() | httpx.WriteTimeout():
            return Trouble.TIMEOUT
        case aiohttp.ClientResponseError(status=status) if status >= 500:
            return Trouble.SERVER_ERROR
        case aiohttp.ClientResponseError() | httpx.RemoteProtocolError() | httpx.DecodingError():
            return Trouble.MALFORMED
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | ConnectionError() | httpx.ReadError():
            return Trouble.RESET
        case aiohttp.ClientOSError() if not isinstance(error, aiohttp.ClientConnectorError):
            return Trouble.RESET
        case _:
            return None


@cache
def trust() -> ssl.SSLContext:
    """Reading the certificates of the world takes tens of milliseconds; once is enough."""
    return httpx.create_ssl_context()
