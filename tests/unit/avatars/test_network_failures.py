"""What the connection makes of a network that fails, on real sockets: rule 5 stands on telling these cases apart."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from pydantic import SecretStr

from adapters.avatars import http as connection
from adapters.avatars.http import Answer, ProviderHttpClient, RetryPolicy
from bot.core.errors import Invalid, ProviderError, Transient
from tests.harness.ports import free_port

KEY = "the-key-0123456789"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def no_fault(answer: Answer) -> ProviderError | None:
    return None if answer.is_success else Invalid(f"answered {answer.status}")


@asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that does with each connection what `handler` does; (its address, the requests it got)."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    (int(line[15:]) for line in head.lower().splitlines() if line[:15] == b"content-length:"), 0
                )
                requests.append(head + await reader.readexactly(length))
                await handler(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", requests
    finally:
        listening.close()


async def answer_well(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)
    await writer.drain()


async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def answer_half(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
    await writer.drain()
    writer.close()


async def answer_no_http(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example.org ESMTP ready\r\n\r\n")
    await writer.drain()
    writer.close()


async def stay_silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" " * 65536)
        await writer.drain()


async def post_once(address: str) -> Transient:
    async with ProviderHttpClient("HeyGen", address, SecretStr(KEY)) as upstream:
        with pytest.raises(Transient) as failure:
            await upstream.request("POST", "/v1/x", no_fault, RetryPolicy.IF_NOT_SENT, body={"a": 1})
    return failure.value


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:{port}", "http://no-such-host.invalid", "https://127.0.0.1:{port}"]
)
async def test_no_connection_surely_had_no_effect(address: str) -> None:
    failure = await post_once(address.format(port=free_port()))

    assert not failure.may_have_taken_effect
    assert "no connection" in str(failure)


@pytest.mark.parametrize("handler", [reset, hang_up, answer_half, answer_no_http])
async def test_a_connection_that_breaks_after_the_request_may_have_had_an_effect(handler: Handler) -> None:
    async with server(handler) as (address, requests):
        failure = await post_once(address)

    assert failure.may_have_taken_effect
    assert len(requests) == 1


async def test_an_answer_that_does_not_come_may_have_had_an_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "TIMEOUT", httpx.Timeout(0.05, connect=5.0, pool=5.0))
    async with server(stay_silent) as (address, requests):
        failure = await post_once(address)

    assert failure.may_have_taken_effect
    assert len(requests) == 1


async def test_an_answer_that_trickles_in_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CALL_LIMIT", 0.1)
    async with server(trickle) as (address, requests):
        failure = await post_once(address)

    assert failure.may_have_taken_effect
    assert len(requests) == 1


async def test_an_answer_without_end_is_given_up() -> None:
    async with server(pour) as (address, requests):
        failure = await post_once(address)

    assert failure.may_have_taken_effect
    assert len(requests) == 1


async def test_a_full_pool_surely_had_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "TIMEOUT", httpx.Timeout(5.0, pool=0.05))
    monkeypatch.setattr(connection, "LIMITS", httpx.Limits(max_connections=1))
    async with (
        server(stay_silent) as (address, requests),
        ProviderHttpClient("HeyGen", address, SecretStr(KEY)) as upstream,
    ):
        first = asyncio.create_task(upstream.request("POST", "/v1/x", no_fault, RetryPolicy.IF_NOT_SENT))
        while not requests:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0)

        with pytest.raises(Transient) as failure:
            await upstream.request("POST", "/v1/x", no_fault, RetryPolicy.IF_NOT_SENT)

        assert not failure.value.may_have_taken_effect
        assert len(requests) == 1
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_a_post_on_a_reused_connection_that_closes_is_not_sent_again() -> None:
    """aiohttp sends again by itself what it takes for harmless; a POST must not be among it."""
    answers = [answer_well, reset, answer_well, answer_well]

    async def one_after_another(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answers.pop(0)(reader, writer)

    async with (
        server(one_after_another) as (address, requests),
        ProviderHttpClient("HeyGen", address, SecretStr(KEY)) as upstream,
    ):
        await upstream.request("POST", "/v1/first", no_fault, RetryPolicy.IF_NOT_SENT, body={})
        with pytest.raises(Transient) as failure:
            await upstream.request("POST", "/v1/second", no_fault, RetryPolicy.IF_NOT_SENT, body={})

    assert failure.value.may_have_taken_effect
    assert [request.split()[1] for request in requests] == [b"/v1/first", b"/v1/second"]


async def test_a_read_goes_on_after_a_broken_connection() -> None:
    answers = [reset, hang_up, answer_half, answer_half, answer_well]

    async def one_after_another(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answers.pop(0)(reader, writer)

    async with (
        server(one_after_another) as (address, _),
        ProviderHttpClient("HeyGen", address, SecretStr(KEY)) as upstream,
    ):
        answer = await upstream.request("GET", "/v1/x", no_fault, RetryPolicy.IDEMPOTENT)

    assert answer.json == {}


async def test_an_error_carries_neither_the_key_nor_the_request() -> None:
    async with server(reset) as (address, requests):
        failure = await post_once(address)

    assert KEY.encode() in requests[0]
    assert failure.__cause__ is None
    assert failure.__context__ is None
    assert KEY not in "".join(traceback.format_exception(failure))


async def test_an_event_stream_that_breaks_is_transient() -> None:
    async def break_off(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"9\r\ndata: 1\n\n\r\n")
        await writer.drain()
        writer.transport.abort()

    heard: list[bytes] = []

    async def listen(upstream: ProviderHttpClient) -> None:
        async with upstream.stream_events("/words", no_fault) as chunks:
            async for chunk in chunks:
                heard.append(chunk)  # noqa: PERF401 - what came before the break counts

    async with server(break_off) as (address, _), ProviderHttpClient("HeyGen", address, SecretStr(KEY)) as upstream:
        with pytest.raises(Transient):
            await listen(upstream)

    assert heard == [b"data: 1\n\n"]


async def test_a_page_instead_of_an_event_stream_is_transient() -> None:
    async with server(answer_well) as (address, _), ProviderHttpClient("HeyGen", address, SecretStr(KEY)) as upstream:
        with pytest.raises(Transient, match="event stream"):
            async with upstream.stream_events("/words", no_fault):
                pytest.fail("there is nothing to listen to")


async def test_using_a_provider_that_was_not_entered_is_a_mistake_in_the_program() -> None:
    with pytest.raises(RuntimeError):
        await ProviderHttpClient("HeyGen", "http://127.0.0.1", SecretStr(KEY)).request(
            "GET", "/", no_fault, RetryPolicy.IDEMPOTENT
        )
