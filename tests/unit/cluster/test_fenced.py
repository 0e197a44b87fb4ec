"""The fence at the provider: before the call, and right before the body of a request leaves."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import web
from pydantic import SecretStr

from adapters.avatars.heygen_realtime.provider import CAPABILITIES
from adapters.avatars.http import ProviderHttpClient, RetryPolicy
from adapters.network import SENT_WITHIN, prompt_socket
from bot.cluster.fenced import FENCED, fence
from bot.core import fence as permits
from bot.core.errors import NotOurs, Transient


class Right:
    """Whether a process may act."""

    def __init__(self) -> None:
        self.is_held = True

    def __call__(self) -> bool:
        return self.is_held


class Upstream:
    """A service that notes what it was asked, and a provider's client of it."""

    def __init__(self) -> None:
        self.bodies: list[str] = []

    async def __aenter__(self) -> "Upstream":
        app = web.Application()
        app.router.add_post("/text", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.client = ProviderHttpClient("A service", f"http://127.0.0.1:{port}", SecretStr("key"))
        await self.client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.__aexit__(None, None, None)
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.text())
        return web.json_response({})


class Provider:
    """Only what is fenced, and `close`; each call sends one request."""

    capabilities = replace(CAPABILITIES, requires_initial_text=False)

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self.before_request: asyncio.Event | None = None

    async def _send(self, what: str) -> str:
        if self.before_request is not None:
            await self.before_request.wait()
        client = self._upstream.client
        await client.request("POST", "/text", lambda _: None, RetryPolicy.IF_NOT_SENT, body={"text": what})
        return what

    async def create(self) -> str:
        return await self._send("create")

    async def start(self) -> str:
        return await self._send("start")

    async def speak(self) -> str:
        return await self._send("speak")

    async def interrupt(self) -> str:
        return await self._send("interrupt")

    async def keep_alive(self) -> str:
        return await self._send("keep_alive")

    async def close(self) -> str:
        return await self._send("close")

    async def close_inside(self) -> str:
        return await self.close()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as upstream:
        yield upstream


@pytest.fixture
def right() -> Right:
    return Right()


@pytest.fixture
def provider(upstream: Upstream, right: Right) -> Provider:
    provider = Provider(upstream)
    fence(provider, right)  # type: ignore[arg-type]  # the other calls are not asked for
    return provider


@pytest.mark.parametrize("call", FENCED)
async def test_whoever_may_not_act_sends_nothing(
    provider: Provider, upstream: Upstream, right: Right, call: str
) -> None:
    assert await getattr(provider, call)() == call
    right.is_held = False
    with pytest.raises(NotOurs):
        await getattr(provider, call)()
    assert len(upstream.bodies) == 1
    right.is_held = True
    assert await getattr(provider, call)() == call


async def test_where_the_create_speaks_the_start_only_looks_and_is_allowed(upstream: Upstream, right: Right) -> None:
    provider = Provider(upstream)
    provider.capabilities = CAPABILITIES
    fence(provider, right)  # type: ignore[arg-type]  # as above
    right.is_held = False
    assert await provider.start() == "start"
    with pytest.raises(NotOurs):
        await provider.create()


async def test_a_close_is_always_allowed(provider: Provider, upstream: Upstream, right: Right) -> None:
    right.is_held = False
    assert await provider.close() == "close"
    assert len(upstream.bodies) == 1


async def test_a_close_inside_a_fenced_call_is_allowed(provider: Provider, upstream: Upstream, right: Right) -> None:
    right.is_held = False
    with permits.under(permits.Permit(right)):
        assert await provider.close_inside() == "close"
    assert len(upstream.bodies) == 1


async def test_a_right_that_ends_between_the_call_and_its_request_is_noticed_before_the_body(
    provider: Provider, upstream: Upstream, right: Right
) -> None:
    await provider.speak()  # so that a connection is open: nothing but the body is left to be sent
    provider.before_request = asyncio.Event()
    speaking = asyncio.create_task(provider.speak())
    await asyncio.sleep(0)
    right.is_held = False
    provider.before_request.set()
    with pytest.raises(NotOurs):
        await speaking
    assert len(upstream.bodies) == 1


async def test_without_the_look_at_the_connection_it_would_be_said(
    upstream: Upstream, right: Right, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above proves something only if this one is so."""
    monkeypatch.setattr(permits, "check", lambda: None)
    async with Upstream() as unguarded:
        provider = Provider(unguarded)
        fence(provider, right)  # type: ignore[arg-type]  # as above
        provider.before_request = asyncio.Event()
        speaking = asyncio.create_task(provider.speak())
        await asyncio.sleep(0)
        right.is_held = False
        provider.before_request.set()
        assert await speaking == "speak"
        assert len(unguarded.bodies) == 1
    assert upstream.bodies == []


async def test_who_has_no_permit_is_not_looked_at(upstream: Upstream) -> None:
    assert await Provider(upstream).speak() == "speak"


async def test_a_connection_that_breaks_by_itself_is_still_in_doubt(provider: Provider, upstream: Upstream) -> None:
    await upstream._runner.cleanup()
    with pytest.raises(Transient):
        await provider.speak()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux drops what is not acknowledged in time")
def test_what_is_not_acknowledged_within_two_seconds_is_dropped() -> None:
    with prompt_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))) as made:
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == SENT_WITHIN * 1000
    with prompt_socket((socket.AF_INET6, socket.SOCK_STREAM, 0, "", ("::1", 1, 0, 0))) as made:
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == SENT_WITHIN * 1000
