"""No key and no token is anywhere that somebody reads: the program as a process, with everything it prints, serves and
stores, on every provider and in both log formats, while things go wrong.

Between the program and every service stands a wire that takes note of each token a service issues, and whose error
pages repeat the key they were called with, as some gateways do.
"""

import asyncio
import json
import re
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web

from tests.scenario.programs import PATIENCE, Program, Service, run, wait_until

KEY = "avatarkey-7h1s0n31sn0b0dys"
SECRETS = {
    "WEB_SECRET": "websecret-7h1s0n31sn0b0dys",
    "DISCORD_TOKEN": "MTIzNDU2Nzg5MDEyMzQ1Njc4.disc0rd.t0k3n-7h1s0n31sn0b0dys",
    "SLACK_BOT_TOKEN": "xoxb-7h1s0n31sn0b0dys-b0t",
    "SLACK_APP_TOKEN": "xapp-1-7h1s0n31sn0b0dys-app",
    "SLACK_SIGNING_SECRET": "signingsecret7h1s0n31sn0b0dys",
}
KEYS = dict.fromkeys(("HEYGEN_API_KEY", "LIVEAVATAR_API_KEY", "CHAT_API_KEY"), KEY)
JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")
TOKEN = re.compile(r'"(?:\w*token|\w*secret)"\s*:\s*"([^"]{8,})"')
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


class Wire:
    """Passes requests on to the simulator and takes note of the tokens in the answers. What it does not know, which is
    Discord and Slack, gets an error that repeats the credentials."""

    def __init__(self, service: str) -> None:
        self._service = service
        self.tokens: set[str] = set()
        self.url = ""
        self.refused = 0
        self._asked: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wire")

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self) -> None:
        self._client = aiohttp.ClientSession(auto_decompress=True)
        app = web.Application()
        app.router.add_route("*", "/discord/{rest:.*}", self._echo)
        app.router.add_route("*", "/slack/{rest:.*}", self._echo)
        app.router.add_route("*", "/{rest:.*}", self._pass_on)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def _close(self) -> None:
        await self._client.close()
        await self._runner.cleanup()

    def wait_for(self, path: str, times: int) -> None:
        """Wait until something was posted to `path` so often."""
        wait_until(lambda: self._asked[f"POST {path}"] >= times)

    async def _echo(self, request: web.Request) -> web.Response:
        self.refused += 1
        credentials = request.headers.get("Authorization", "")
        return web.json_response({"ok": False, "error": f"bad {credentials}", "message": credentials}, status=503)

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        self._asked[f"{request.method} {request.path}"] += 1
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        async with self._client.request(
            request.method, self._service + request.raw_path, headers=headers, data=await request.read()
        ) as answer:
            # Words come as a stream of events, so nothing may wait for the end of an answer.
            passed = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
            await passed.prepare(request)
            text = ""
            with suppress(ConnectionError):
                async for chunk in answer.content.iter_any():
                    text += chunk.decode("latin-1")
                    await passed.write(chunk)
            self.tokens.update(TOKEN.findall(text), JWT.findall(text))
            return passed


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


def settings_of(wire: Wire, folder: Path, provider: str, log_format: str) -> dict[str, str]:
    return {
        **KEYS,
        **SECRETS,
        "AVATAR_PROVIDER": provider,
        "HEYGEN_API_URL": wire.url,
        "LIVEAVATAR_API_URL": wire.url,
        "CHAT_API_URL": f"{wire.url}/v1",
        "CHAT_MODEL": "simulator",
        "DISCORD_API_URL": f"{wire.url}/discord",
        "SLACK_API_URL": f"{wire.url}/slack/",
        "DATABASE_URL": f"sqlite:///{folder / 'bot.sqlite3'}",
        "WEB_PORT": "0",
        "WEB_PUBLIC_URL": "https://watch.example.com",
        "LOG_LEVEL": "debug",
        "LOG_FORMAT": log_format,
        "ADMIN_USERS": "console:you",
    }


def fail(service: Service, path: str, status: int = 500) -> None:
    """One request fails with an error that repeats the key."""
    words = f"the key {KEY} is not welcome"
    body = {"code": 10009, "message": words, "error": {"code": "broken", "message": words}, "data": None}
    service.break_with(effect="status", method="*", path=path, status=status, body=body, times=1)


async def read_the_web(base: str, link: str) -> str:
    """Everything a visitor without a seat gets to see, and what operators' machines read."""
    seen: list[str] = []
    path = link.removeprefix("https://watch.example.com")
    async with aiohttp.ClientSession(base_url=base, headers={"Origin": base}) as client:
        for page in (path, f"{path}x", "/w/nonsense", "/metrics", "/readyz", "/healthz", "/nothing"):
            async with client.get(page) as answer:
                seen += [await answer.text(), str(answer.headers)]
        async with client.ws_connect(f"{path}/live") as seated, client.ws_connect(f"{path}/live") as waiting:
            await seated.send_json({"type": "visit", "visitor": "visitor-with-a-seat", "plays": False})
            await asyncio.wait_for(seated.receive(), PATIENCE)
            await waiting.send_json({"type": "visit", "visitor": "visitor-without-one", "plays": False})
            await waiting.send_json({"type": "door"})
            seen += [message.data async for message in first_of(waiting)]
    return "\n".join(seen)


async def first_of(socket: aiohttp.ClientWebSocketResponse) -> Any:
    """What comes until nothing came for a second."""
    while True:
        try:
            message = await asyncio.wait_for(socket.receive(), 1)
        except TimeoutError:
            return
        if message.type is not aiohttp.WSMsgType.TEXT:
            return
        yield message


def forms_of(secret: str) -> tuple[str, ...]:
    """A secret as it is, as a part of an address, and as JSON writes it."""
    return secret, quote(secret, safe=""), json.dumps(secret)[1:-1]


@pytest.mark.parametrize(
    ("provider", "log_format"),
    [("heygen-realtime", "json"), ("heygen-streaming", "text"), ("liveavatar", "text"), ("liveavatar", "json")],
)
def test_no_secret_is_printed_served_or_stored(tmp_path: Path, service: Keyed, provider: str, log_format: str) -> None:
    with Wire(service.url) as wire:
        settings = settings_of(wire, tmp_path, provider, log_format)
        with Program(tmp_path, "run", "--console", **settings) as bot:
            bot.until("served at")
            bot.type("/avatar start")
            bot.until("The avatar is live.")
            bot.type("good morning")
            bot.until("said: good morning")
            link = re.findall(r"https://watch\.example\.com/w/\S+", bot.output)[0]
            base = re.findall(r"served at (http://\S+?)\.?\s", bot.output)[0]
            served = asyncio.run(read_the_web(base, link))
            fail(service, SPEAKING[provider])
            bot.type(f"never say {KEY} aloud, I mean it", "/avatar ask what can you do?", "/avatar keep")
            bot.until("mean it")
            fail(service, CLOSING[provider])
            bot.type("/avatar-admin sessions", "/avatar-admin usage", "/avatar stop")
            bot.until("has left after")
            fail(service, CREATING[provider], status=401)
            bot.type("/avatar start", "/avatar status")
            wire.wait_for(CREATING[provider], 2)
            bot.send(signal.SIGTERM)
            assert bot.end() == 0
        stored = b"".join(path.read_bytes() for path in tmp_path.rglob("bot.sqlite3*"))
        issued = set(wire.tokens)
        assert wire.refused
    assert issued or provider == "heygen-realtime"
    # What a person wrote is theirs: the key in a message is no leak, and the log does not repeat messages.
    printed = re.sub(r".*never say .*", "", bot.output)
    places = {
        "the log": bot.errors,
        "the chat": printed,
        "the web": served,
        "the database": stored.decode("latin-1").replace(f"never say {KEY} aloud, I mean it", ""),
    }
    assert "debug" in bot.errors
    for name, text in places.items():
        for secret in {KEY, *SECRETS.values(), *issued}:
            for form in forms_of(secret):
                assert form not in text, (name, secret, text[max(0, text.index(form) - 300) :][:600])
        assert not JWT.search(text), name


def test_settings_that_are_wrong_are_named_without_being_repeated(tmp_path: Path) -> None:
    wrong = {"DATABASE_URL": f"nonsense://user:{KEY}@example.com", "HEYGEN_API_URL": "nonsense"}
    program = run(tmp_path, "run", "--console", **KEYS, **SECRETS, **wrong)
    assert program.code == 2
    assert "DATABASE_URL" in program.errors
    assert "HEYGEN_API_URL" in program.errors
    for secret in {KEY, *SECRETS.values()}:
        assert secret not in program.output + program.errors
