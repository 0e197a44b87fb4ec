"""One provider's way to its upstream: the pool, time limits, repetition by rule 5, and network failures as errors.

It knows HTTP and no vendor: what a refusal means is told by the `ErrorMapper` each caller brings. Nothing it raises or
logs holds a key, a token, or a reference to the request that held one.

aiohttp below us sends a request again by itself when a reused connection turns out to be closed, but only GET, HEAD,
OPTIONS, TRACE, PUT and DELETE (`aiohttp.client.IDEMPOTENT_METHODS`): a POST is sent at most once per `call_once`.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from functools import cached_property, lru_cache, partial
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
import httpx
import stamina
from pydantic import BaseModel, Field, SecretStr, ValidationError

from adapters.network import ProxyTrouble, http_transport, prompt_socket, told, trouble_of
from adapters.wire.lenient import LenientModel, Number, parse_json
from bot.core import fence
from bot.core.errors import NotOurs, ProviderError, RateLimited, Transient, Trouble

Result = TypeVar("Result")
Model = TypeVar("Model", bound=BaseModel)

TIMEOUT = httpx.Timeout(30.0, connect=10.0, pool=10.0)
"""Seconds: 10 to connect (which includes waiting for a place in the pool and the name look-up), 30 between bytes."""

CALL_LIMIT = 60.0
"""Seconds for one request and its whole answer, however slowly it trickles in."""

LIMITS = httpx.Limits(max_connections=4096, max_keepalive_connections=None, keepalive_expiry=15.0)
"""1,000 streams hold one event stream each, plus what they say at the same time. Idle connections are given up
after 15 s: before load balancers do (60 s is a common default), so that a POST does not meet a closed connection."""

_OF_HTTPX = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "User-Agent": f"python-httpx/{httpx.__version__}"}
"""As httpx's client has them."""

_HEADERS = httpx.Headers(_OF_HTTPX)
_JSON_HEADERS = httpx.Headers({**_OF_HTTPX, "Content-Type": "application/json"})

MAX_BODY_SIZE = 4 << 20
"""Bytes of an answer; a full page of a catalogue has about 100 KB."""

MAX_WAIT = 30.0
"""Seconds that a `Retry-After` may make us wait; the vendor's own CLI uses the same cap."""

SPEAKING_PATIENCE = 2.0
"""Seconds a spoken message waits in here for a rate limit; past that the queue of the core is the better place."""

_PROXY_NEEDS_LOGIN = 407

DEFAULT_RETRY_AFTER = 1.0
"""Seconds, where a 429 names no delay; v1 never does."""


class RetryPolicy(Enum):
    """Which failed requests are sent again (rule 5)."""

    IDEMPOTENT = "reads"
    """Reading and closing: on anything that may pass."""
    IF_NOT_SENT = "unless_taken"
    """Creating and starting: only where the request surely had no effect."""
    IF_NOT_SENT_SHORT_WAIT = "briefly"
    """Speaking and interrupting: the same, and without waiting out a long rate limit."""


@dataclass(frozen=True)
class Answer:
    """What came back: HTTP status, `Retry-After` in seconds, and the body, at most `MAX_BODY_SIZE` bytes."""

    status: int
    content: bytes
    retry_after: float

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx, which says nothing about the body."""
        return 200 <= self.status < 300

    @cached_property
    def json(self) -> object:
        """The body as JSON, None if it is none."""
        return parse_json(self.content)

    def read(self, model: type[Model], complaint: str, *, may_have_taken_effect: bool) -> Model:
        """The body as `model`. Raises `Transient` with `complaint` where what it must have is not there."""
        with suppress(ValidationError):
            return model.model_validate(self.json)
        raise Transient(complaint, may_have_taken_effect=may_have_taken_effect, trouble=Trouble.MALFORMED)


class _Headers(LenientModel):
    retry_after: Number = Field(DEFAULT_RETRY_AFTER, validation_alias="retry-after")


ErrorMapper = Callable[[Answer], ProviderError | None]
"""Says what is wrong with an answer; None if it is a success."""


class ProviderHttpClient:
    """A provider's connection pool. Enter it to open, leave it to close.

    Requests go to httpx's transport: what a client does around it (cookies, redirects, logins) no provider needs, and
    of a call it is a quarter of the processor time (measured). timeout: of each step of a request.
    """

    def __init__(
        self, vendor: str, api_url: str, api_key: SecretStr, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """`vendor` begins every message; `transport` replaces the network in tests of single answers."""
        self.vendor = vendor
        self._api_url = api_url.rstrip("/")
        self._api_key = api_key
        self._transport = transport
        self._pool: httpx.AsyncBaseTransport | None = None
        self.timeout = TIMEOUT

    async def __aenter__(self) -> Self:
        self._pool = self._transport or http_transport(LIMITS, prompt_socket, before_body=fence.check)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.aclose()

    async def request(
        self,
        method: str,
        path: str,
        map_error: ErrorMapper,
        repeat: RetryPolicy,
        *,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str | int] | None = None,
    ) -> Answer:
        """Send a request, again where `repeat` allows it, and return an answer that `map_error` finds no error in.

        Raises what `map_error` says, or `Transient`.
        """
        return await self.retry(repeat, partial(self.request_once, method, path, map_error, body=body, query=query))

    async def request_once(
        self,
        method: str,
        path: str,
        map_error: ErrorMapper,
        *,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str | int] | None = None,
        token: SecretStr | None = None,
    ) -> Answer:
        """Send a request exactly once. `token` is used as a Bearer instead of the API key."""
        answer = await self._send(self._request(method, path, body, query, token))
        if answer.status == _PROXY_NEEDS_LOGIN:
            # Of a proxy that reads requests to http:// itself; the provider never saw it.
            raise Transient(
                f"{self.vendor}: the proxy in between wants a user and a password",
                may_have_taken_effect=False,
                trouble=Trouble.PROXY,
            )
        error = map_error(answer)
        if error is not None:
            raise error
        return answer

    async def retry(self, repeat: RetryPolicy, once: Callable[[], Awaitable[Result]]) -> Result:
        """Run `once` until it succeeds or its failure may not, or need not, be repeated: at most 4 times, and no new
        attempt after 45 s. The pauses grow, have jitter, and follow `Retry-After` up to `MAX_WAIT`."""

        def pause(error: Exception) -> bool | float:
            if isinstance(error, RateLimited):
                if repeat is RetryPolicy.IF_NOT_SENT_SHORT_WAIT and error.retry_after > SPEAKING_PATIENCE:
                    return False
                # Spread out who was refused together. No secret depends on it.
                return min(error.retry_after, MAX_WAIT) + random.uniform(0.0, 0.25)  # noqa: S311
            if isinstance(error, Transient):
                return repeat is RetryPolicy.IDEMPOTENT or not error.may_have_taken_effect
            return False

        # The first attempt goes without the machinery, which costs a fifth of a request and is rarely needed.
        try:
            return await once()
        except ProviderError as error:
            if pause(error) is False:
                raise
            failed: ProviderError | None = error
        async for attempt in stamina.retry_context(
            on=pause, attempts=4, timeout=45.0, wait_initial=0.2, wait_max=5.0, wait_jitter=0.3
        ):
            with attempt:
                if failed is not None:
                    first, failed = failed, None
                    raise first
                return await once()
        raise AssertionError("stamina ends with a result or an error")

    @asynccontextmanager
    async def stream_events(self, path: str, map_error: ErrorMapper) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open an event stream and yield its chunks. It may be silent for as long as it likes: whoever listens watches
        the silence. Raises what `map_error` says of a refusal, or `Transient`, also while it is read."""
        request = self._request("GET", path, None, None, None)
        request.headers["Accept"] = "text/event-stream"
        request.headers["Accept-Encoding"] = "identity"
        request.extensions["timeout"] = {**self.timeout.as_dict(), "read": None}
        failure: Transient
        try:
            async with asyncio.timeout(CALL_LIMIT):
                response = await self._open.handle_async_request(request)
            try:
                await self._must_be_events(response, map_error)
                yield response.aiter_bytes()
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.StreamError, aiohttp.ClientError, OSError) as trouble:
            failure = self._network_failure(trouble)
        else:
            return
        raise failure

    @property
    def _open(self) -> httpx.AsyncBaseTransport:
        if self._pool is None:
            raise RuntimeError(f"{self.vendor}: enter the provider before using it")
        return self._pool

    def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None,
        query: Mapping[str, str | int] | None,
        token: SecretStr | None,
    ) -> httpx.Request:
        # From bytes and a stream: all else that httpx accepts it works out in a dozen microseconds (measured).
        request = httpx.Request(
            method,
            _parsed(self._api_url + path),
            params=query,
            headers=_HEADERS if body is None else _JSON_HEADERS,
            stream=httpx.ByteStream(b"" if body is None else _encode(body).encode()),
            extensions={"timeout": self.timeout.as_dict()},
        )
        # The key is put on each request, not on the pool: the pool is what shows up in a debugger.
        if token is None:
            request.headers["X-Api-Key"] = self._api_key.get_secret_value()
        else:
            request.headers["Authorization"] = f"Bearer {token.get_secret_value()}"
        request.read()
        return request

    async def _send(self, request: httpx.Request) -> Answer:
        failure: ProviderError
        try:
            async with asyncio.timeout(CALL_LIMIT):
                response = await self._open.handle_async_request(request)
                try:
                    return await self._read(response)
                finally:
                    await response.aclose()
        except (httpx.HTTPError, httpx.StreamError, aiohttp.ClientError, OSError) as trouble:
            # What was held back fails like a connection that broke, but surely was not sent.
            is_ours = not fence.was_refused()
            failure = self._network_failure(trouble) if is_ours else NotOurs(fence.NOT_CONFIRMED)
        # Raised out here so that no request, with its key, hangs on the error as its context.
        raise failure

    async def _read(self, response: httpx.Response) -> Answer:
        content = bytearray()
        async for chunk in _chunks(response):
            content += chunk
            if len(content) > MAX_BODY_SIZE:
                raise httpx.DecodingError("the answer is too large")
        return Answer(response.status_code, bytes(content), _retry_after(response.headers))

    async def _must_be_events(self, response: httpx.Response, map_error: ErrorMapper) -> None:
        if response.status_code == 200 and response.headers.get("Content-Type", "").startswith("text/event-stream"):
            return
        async with asyncio.timeout(CALL_LIMIT):
            error = map_error(await self._read(response))
        raise error or Transient(
            f"{self.vendor} does not answer with an event stream",
            may_have_taken_effect=False,
            trouble=Trouble.MALFORMED,
        )

    def _network_failure(self, trouble: Exception) -> Transient:
        is_unsent = _surely_not_sent(trouble)
        what = "no connection" if is_unsent else "the connection failed before the whole answer was in"
        return Transient(
            f"{self.vendor}: {what} ({told(trouble)})",
            may_have_taken_effect=not is_unsent,
            trouble=trouble_of(trouble),
        )


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
"""As httpx writes it."""


def _chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body, unpacked; what nobody packed is taken as it comes, which spares half of the reading (measured)."""
    if "Content-Encoding" not in response.headers and isinstance(response.stream, httpx.AsyncByteStream):
        return aiter(response.stream)
    return response.aiter_bytes()


def _retry_after(headers: httpx.Headers) -> float:
    """Seconds, whether or not the answer names any."""
    if "Retry-After" not in headers:
        return DEFAULT_RETRY_AFTER
    return max(0.0, _Headers.model_validate({"retry-after": headers["Retry-After"]}).retry_after)


@lru_cache(maxsize=1024)
def _parsed(url: str) -> httpx.URL:
    """Reading an address takes a tenth of the processor time of a request (measured), and most are the same."""
    return httpx.URL(url)


def _surely_not_sent(trouble: Exception) -> bool:
    """Whether the request never left. httpx-aiohttp turns a refused connection and a connection that broke before the
    answer into the same `httpx.ConnectTimeout`; what aiohttp raised tells them apart, and is the cause."""
    cause = trouble.__cause__
    if isinstance(cause, aiohttp.ClientError | OSError):
        trouble = cause
    return isinstance(
        trouble,
        aiohttp.ClientConnectorError  # refused, unreachable, DNS, TLS
        | aiohttp.ConnectionTimeoutError
        | ProxyTrouble  # it did not open the tunnel
        | aiohttp.InvalidURL
        | aiohttp.NonHttpUrlClientError
        | httpx.ConnectError
        | httpx.ConnectTimeout
        | httpx.PoolTimeout
        | httpx.UnsupportedProtocol,
    )
