"""No key and no token is anywhere that somebody reads: the program as a process, with everything it prints, serves and
stores, on every provider and in both log formats, while things go wrong.

Between the program and every service stands a gateway (`echoing_gateway`) that takes note of each token a service
issues, and refuses for Discord and Slack with errors that repeat the credentials. Chat on these two, with services
behind it, is in `test_secrets_in_chat.py`.
"""

import asyncio
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.harness.programs import Program, Service, run, wait_until
from tests.scenario.echoing_gateway import EchoingGateway
from tests.scenario.secret_scan import assert_none_of
from tests.scenario.web_clients import read_the_web

pytestmark = [pytest.mark.slow, pytest.mark.long]

KEY = "avatarkey-7h1s0n31sn0b0dys"
SECRETS = {
    "WEB_SECRET": "websecret-7h1s0n31sn0b0dys",
    "DISCORD_TOKEN": "MTIzNDU2Nzg5MDEyMzQ1Njc4.disc0rd.t0k3n-7h1s0n31sn0b0dys",
    "SLACK_BOT_TOKEN": "xoxb-7h1s0n31sn0b0dys-b0t",
    "SLACK_APP_TOKEN": "xapp-1-7h1s0n31sn0b0dys-app",
    "SLACK_SIGNING_SECRET": "signingsecret7h1s0n31sn0b0dys",
}
KEYS = dict.fromkeys(("HEYGEN_API_KEY", "LIVEAVATAR_API_KEY", "CHAT_API_KEY"), KEY)
SPEAKING = {
    "heygen-realtime": "/v3/avatar-realtime/*/text",
    "heygen-streaming": "/v1/streaming.task",
    "liveavatar": "/v1/sessions/keep-alive",
}
CREATING = {
    "heygen-realtime": "/v3/avatar-realtime",
    "heygen-streaming": "/v1/streaming.new",
    "liveavatar": "/v1/sessions/token",
}
CLOSING = {
    "heygen-realtime": "/v3/avatar-realtime/*/cancel",
    "heygen-streaming": "/v1/streaming.stop",
    "liveavatar": "/v1/sessions/stop",
}


class Keyed(Service):
    """A simulator with a key of its own."""

    def _ask(self, path: str, body: object = None, method: str | None = None) -> Any:
        async def ask() -> Any:
            kind = method or ("GET" if body is None else "POST")
            async with (
                aiohttp.ClientSession(headers={"X-Api-Key": KEY}) as client,
                client.request(kind, self.url + path, json=body) as answer,
            ):
                assert answer.status == 200, await answer.text()
                return await answer.json()

        return asyncio.run(ask())


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    folder = tmp_path_factory.mktemp("simulator")
    arguments = ("simulator", "--port", "0", "--concurrency", "50", "--auto-viewer")
    with Program(folder, *arguments, SIMULATOR_API_KEY=KEY) as program:
        program.until("The simulator runs at")
        yield Keyed(Service.found_in(program.output).url)
        program.send(signal.SIGTERM)
        assert program.end() == 0
        assert KEY not in program.output + program.errors


@pytest.fixture
def service(simulator: Keyed) -> Iterator[Keyed]:
    yield simulator
    simulator.mend()
    simulator.end_streams()


def settings_of(gateway: EchoingGateway, folder: Path, provider: str, log_format: str) -> dict[str, Any]:
    return {
        **KEYS,
        **SECRETS,
        "AVATAR_PROVIDER": provider,
        "HEYGEN_API_URL": f"{gateway.url}/avatars",
        "LIVEAVATAR_API_URL": f"{gateway.url}/avatars",
        "CHAT_API_URL": f"{gateway.url}/avatars/v1",
        "CHAT_MODEL": "simulator",
        "DISCORD_API_URL": f"{gateway.url}/discord",
        "SLACK_API_URL": f"{gateway.url}/slack/",
        "DATABASE_URL": f"sqlite:///{folder / 'bot.sqlite3'}",
        "WEB_PORT": "0",
        "WEB_PUBLIC_URL": "https://watch.example.com",
        "SESSION_NEEDS_VIEWER": "never",
        "LOG_LEVEL": "debug",
        "LOG_FORMAT": log_format,
        "ADMIN_USERS": "console:you",
    }


def fail(service: Service, path: str, status: int = 500) -> None:
    """One request fails with an error that repeats the key."""
    words = f"the key {KEY} is not welcome"
    body = {"code": 10009, "message": words, "error": {"code": "broken", "message": words}, "data": None}
    service.break_with(effect="status", method="*", path=path, status=status, body=body, times=1)


@pytest.mark.parametrize(
    ("provider", "log_format"),
    [("heygen-realtime", "json"), ("heygen-streaming", "text"), ("liveavatar", "text"), ("liveavatar", "json")],
)
def test_no_secret_is_printed_served_or_stored(tmp_path: Path, service: Keyed, provider: str, log_format: str) -> None:
    with EchoingGateway(avatars=service.url, discord=None, slack=None) as gateway:
        settings = settings_of(gateway, tmp_path, provider, log_format)
        with Program(tmp_path, "run", "--console", **settings) as bot:
            bot.until("served at")
            bot.type("/avatar start")
            bot.until("The avatar is live.")
            bot.type("good morning")
            bot.until("said: good morning")
            link = re.findall(r"https://watch\.example\.com/w/\S+", bot.output)[0]
            base = re.findall(r"served at (http://\S+?)\.?\s", bot.output)[0]
            served = asyncio.run(read_the_web(base, link.removeprefix("https://watch.example.com")))
            fail(service, SPEAKING[provider])
            bot.type(f"never say {KEY} aloud, I mean it", "/avatar ask what can you do?", "/avatar keep")
            bot.until("mean it")
            fail(service, CLOSING[provider])
            bot.type("/avatar-admin sessions", "/avatar-admin usage", "/avatar stop")
            bot.until("has left after")
            fail(service, CREATING[provider], status=401)
            bot.type("/avatar start", "/avatar status")
            wait_until(lambda: gateway.times("POST", f"/avatars{CREATING[provider]}") >= 2)
            bot.send(signal.SIGTERM)
            assert bot.end() == 0
        stored = b"".join(path.read_bytes() for path in tmp_path.rglob("bot.sqlite3*"))
        issued = set(gateway.tokens)
        assert gateway.refused
    assert issued or provider == "heygen-realtime"
    # What a person wrote is theirs: the key in a message is no leak, and the log does not repeat messages.
    printed = re.sub(r".*never say .*", "", bot.output)
    places = {
        "the log": bot.errors,
        "the chat": printed,
        "the web": served.text,
        "the database": stored.decode("latin-1").replace(f"never say {KEY} aloud, I mean it", ""),
    }
    assert "discord.client" in bot.errors, "what libraries log is looked at, too"
    assert_none_of({KEY, *SECRETS.values(), *issued}, places)
    assert served.doors["second"] == [], "one page at a time has the way into a room"


def test_settings_that_are_wrong_are_named_without_being_repeated(tmp_path: Path) -> None:
    wrong = {"DATABASE_URL": f"nonsense://user:{KEY}@example.com", "HEYGEN_API_URL": "nonsense"}
    program = run(tmp_path, "run", "--console", **KEYS, **SECRETS, **wrong)
    assert program.code == 2
    assert "DATABASE_URL" in program.errors
    assert "HEYGEN_API_URL" in program.errors
    for secret in {KEY, *SECRETS.values()}:
        assert secret not in program.output + program.errors
