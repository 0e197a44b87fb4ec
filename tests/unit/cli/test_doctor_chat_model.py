"""What the doctor says of a chat API, by what comes back to one small question."""

import asyncio
import socket
import ssl
from collections.abc import Iterator

import httpx
import pytest
import stamina
from pydantic import SecretStr

from adapters.llm.openai_compatible import OpenAICompatible
from adapters.network import ProxyTrouble
from bot.cli.doctor.chat_model import LIMIT, examine_answers
from bot.cli.doctor.check import Check, CheckContext, Outcome
from bot.settings import load
from tests.harness.clock import ManualClock

URL = "https://llm.example.com/v1"
KEY = "sk-0123456789-hush"


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings = {"CHAT_API_URL": URL, "CHAT_MODEL": "small", "CHAT_API_KEY": KEY, "HEYGEN_API_KEY": "k"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    # The pauses between attempts are left out.
    with stamina.set_testing(True, attempts=4, cap=True):
        yield


async def examined(transport: httpx.AsyncBaseTransport, clock: ManualClock | None = None) -> Check:
    clock = clock or ManualClock()
    settings = load(None)
    chat_model = OpenAICompatible(SecretStr(KEY), URL, "small", clock, transport=transport)
    (check,) = [check async for check in examine_answers(CheckContext(settings, clock, None, chat_model))]
    assert KEY not in f"{check}"
    return check


def answering(status: int, body: dict[str, object]) -> httpx.MockTransport:
    return httpx.MockTransport(lambda _: httpx.Response(status, json=body))


@pytest.mark.parametrize(
    ("status", "body", "says", "fix"),
    [
        (401, {"error": {"message": f"wrong key: {KEY}"}}, f"{URL} does not accept the key", "CHAT_API_KEY"),
        (404, {"error": {"code": "model_not_found", "message": "no"}}, "does not know the model small", "CHAT_MODEL"),
        (404, {"detail": "Not Found"}, f"there is no chat API at {URL}", "CHAT_API_URL"),
        (200, {"hello": "another service"}, f"there is no chat API at {URL}", "CHAT_API_URL"),
        (402, {"error": {"message": "no credit"}}, "is busy, or the account has no credit", "Look at the account"),
        (400, {"error": {"message": "oh"}}, "gave no answer (the chat model answered 400: oh)", "status page"),
    ],
    ids=["key", "model", "path", "another-service", "credit", "other"],
)
async def test_what_is_wrong_is_said_in_a_sentence(status: int, body: dict[str, object], says: str, fix: str) -> None:
    check = await examined(answering(status, body))
    assert (check.outcome, says in check.found, fix in check.fix) == (Outcome.FAILURE, True, True), check


async def test_a_key_that_is_missing_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHAT_API_KEY")
    assert (await examined(answering(401, {}))).fix == "Set CHAT_API_KEY."


async def test_a_server_that_is_away_is_said_so() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody there")

    assert f"{URL} cannot be reached" in (await examined(httpx.MockTransport(refuse))).found


@pytest.mark.parametrize(
    ("cause", "says", "fix"),
    [
        (ProxyTrouble("the proxy of HTTPS_PROXY (p:1) cannot be reached"), "the proxy in between", "Check HTTPS_PROXY"),
        (socket.gaierror(), "its host has no address (DNS)", "how CHAT_API_URL is spelled"),
        (ssl.SSLError(), "no secure connection to it (TLS)", "that CHAT_API_URL takes https"),
        (ConnectionRefusedError(), "refuses the connection", "host and port of CHAT_API_URL"),
    ],
    ids=["proxy", "name", "tls", "refused"],
)
async def test_what_keeps_it_from_being_reached_is_named(cause: Exception, says: str, fix: str) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no") from cause

    check = await examined(httpx.MockTransport(fail))
    assert (says in check.found, fix in check.fix) == (True, True), check


async def test_a_server_that_never_answers_is_given_up() -> None:
    clock = ManualClock()

    async def hang(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    examining = asyncio.create_task(examined(httpx.MockTransport(hang), clock))
    await clock.advance(LIMIT)
    assert (await examining).found == "the chat model small said nothing in 60 s"


async def test_nobody_is_asked_where_the_avatar_answers_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVATAR_PROVIDER", "heygen-streaming")
    check = await examined(answering(500, {}))
    assert (check.outcome, check.found) == (Outcome.PASS, "the avatar answers by itself")


async def test_without_a_chat_model_the_doctor_says_what_to_set() -> None:
    (check,) = [check async for check in examine_answers(CheckContext(load(None), ManualClock()))]
    assert (check.outcome, "CHAT_API_URL and CHAT_MODEL" in check.fix) == (Outcome.WARNING, True)
