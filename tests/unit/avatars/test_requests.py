"""A request as it leaves for a provider, and its answer as it is read: byte for byte, on real sockets."""

import gzip
import json
import zlib
from collections.abc import Mapping

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from adapters.avatars import http as connection
from adapters.avatars.http import Answer, ProviderHttpClient, RetryPolicy
from bot.core.errors import Invalid, ProviderError, Transient

KEY, TOKEN = "the-key-0123456789", "the-token-0123456789"
BODY = {"text": 'Grüße, "Ana" \N{WAVING HAND SIGN}', "n": 1, "nothing": None}


def no_fault(answer: Answer) -> ProviderError | None:
    return None if answer.is_success else Invalid(f"answered {answer.status}")


async def answer_to(
    method: str,
    *,
    body: Mapping[str, object] | None = None,
    query: Mapping[str, str | int] | None = None,
    token: SecretStr | None = None,
    answers: web.Response | None = None,
) -> tuple[Answer, list[tuple[web.Request, bytes]]]:
    """(What came back, the requests that came)."""
    came: list[tuple[web.Request, bytes]] = []

    async def handle(request: web.Request) -> web.Response:
        came.append((request, await request.read()))
        return answers or web.json_response({})

    app = web.Application()
    app.router.add_route("*", "/v1/{tail:.*}", handle)
    async with TestServer(app) as server:
        address = str(server.make_url(""))
        async with ProviderHttpClient("HeyGen", address, SecretStr(KEY)) as upstream:
            if token is not None:
                return await upstream.request_once(method, "/v1/it", no_fault, body=body, token=token), came
            call = upstream.request(method, "/v1/it", no_fault, RetryPolicy.IF_NOT_SENT, body=body, query=query)
            return await call, came


async def test_post_carries_its_body_as_json_with_its_length_and_the_key() -> None:
    _, [(request, content)] = await answer_to("POST", body=BODY)
    assert content.decode() == json.dumps(BODY, ensure_ascii=False, separators=(",", ":"))
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Content-Length"] == str(len(content))
    assert "Transfer-Encoding" not in request.headers
    assert request.headers.getall("X-Api-Key") == [KEY]
    assert "Authorization" not in request.headers


async def test_token_goes_instead_of_the_key() -> None:
    _, [(request, _)] = await answer_to("POST", body={}, token=SecretStr(TOKEN))
    assert request.headers.getall("Authorization") == [f"Bearer {TOKEN}"]
    assert "X-Api-Key" not in request.headers


async def test_get_has_its_query_and_no_body() -> None:
    _, [(request, content)] = await answer_to("GET", query={"limit": 100, "token": "a b&c"})
    assert dict(request.query) == {"limit": "100", "token": "a b&c"}
    assert content == b""
    assert "Content-Type" not in request.headers


@pytest.mark.parametrize("pack", [("gzip", gzip.compress), ("deflate", zlib.compress)], ids=lambda pack: pack[0])
async def test_packed_answer_is_unpacked(pack: tuple[str, type[bytes]]) -> None:
    name, compress = pack
    packed = web.Response(body=compress(b'{"data": [1, 2]}'), headers={"Content-Encoding": name})
    answer, [(request, _)] = await answer_to("GET", answers=packed)
    assert name in request.headers["Accept-Encoding"]
    assert answer.json == {"data": [1, 2]}


@pytest.mark.parametrize("is_packed", [False, True], ids=["plain", "packed"])
async def test_answer_that_is_too_large_is_not_read_to_its_end(
    is_packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MAX_BODY_SIZE", 1000)
    body, headers = (gzip.compress(bytes(2000)), {"Content-Encoding": "gzip"}) if is_packed else (bytes(2000), {})
    with pytest.raises(Transient):
        await answer_to("POST", body={}, answers=web.Response(body=body, headers=headers))


async def test_cookies_are_not_kept() -> None:
    seen: list[str | None] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Cookie"))
        return web.json_response({}, headers={"Set-Cookie": "who=you; Path=/"})

    app = web.Application()
    app.router.add_post("/it", handle)
    # A jar keeps nothing of an address without a name.
    async with (
        TestServer(app, host="localhost") as server,
        ProviderHttpClient("HeyGen", f"http://localhost:{server.port}", SecretStr(KEY)) as upstream,
    ):
        for _ in range(2):
            await upstream.request("POST", "/it", no_fault, RetryPolicy.IF_NOT_SENT, body={})
    assert seen == [None, None]
