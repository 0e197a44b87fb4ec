"""Every way out of the process has one idea of the network: through the proxy of the environment, or past it.

The addresses are names that only the proxy knows, so what goes past it finds nobody.
"""

import ast
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import stamina
import structlog.testing
from pydantic import SecretStr

from adapters import network
from adapters.avatars.heygen_realtime.provider import HeyGenRealtime
from adapters.avatars.heygen_streaming.provider import HeyGenStreaming
from adapters.avatars.liveavatar.provider import LiveAvatar
from adapters.avatars.rooms.doctor import examine_livekit
from adapters.avatars.rooms.websocket_transport import WebSocketTransport
from adapters.chat.discord.doctor import examine_discord
from adapters.chat.slack import socket_mode
from adapters.chat.slack.client import call, web_client
from adapters.chat.slack.doctor import examine_slack
from adapters.chat.slack.outbox import Outbox
from adapters.llm.openai_compatible import OpenAICompatible
from adapters.media.relay.upstream import Bounds, Upstream
from adapters.simulator import Simulator, SimulatorOptions
from bot import sentences
from bot.cli.doctor import machine, public_address
from bot.cli.doctor.check import CheckContext
from bot.core.clock import SystemClock
from bot.core.errors import Transient, Trouble
from bot.core.models import Playback
from bot.core.ports import ChatTurn, InitialText, StreamRequest
from bot.settings.proxies import VARIABLES
from tests.fakes.proxy import FakeProxy
from tests.pages import ROOT
from tests.platforms.discord import DiscordDriver
from tests.platforms.running_bot import settings_with
from tests.platforms.slack import SlackDriver

KEY = SecretStr("a-key-nobody-may-read")
LOGIN = "ada:pr0xy-s3cret"
HOST = "there.invalid"
URL = f"https://{HOST}"

TOKENS = {
    "SLACK_BOT_TOKEN": "xoxb-1",
    "SLACK_APP_TOKEN": "xapp-1",
    "SLACK_API_URL": f"{URL}/api",
    "DISCORD_TOKEN": "MTIzNDU2Nzg5MDEyMzQ1Njc4OQ.twin.token",
    "DISCORD_API_URL": f"{URL}/api/v10",
    "LIVEKIT_URL": f"wss://{HOST}",
    "LIVEKIT_API_KEY": "key",
    "LIVEKIT_API_SECRET": "secret-of-thirty-two-characters-00",
    "WEB_PUBLIC_URL": URL,
    "HEYGEN_API_URL": URL,
}


@pytest.fixture(autouse=True)
def _no_pauses() -> Any:
    with stamina.set_testing(True, attempts=1):
        yield


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def use(proxy: FakeProxy, monkeypatch: pytest.MonkeyPatch, *, never: str = "") -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", never)


# --- the ways --------------------------------------------------------------------------------------------------------


def provider(make: Any) -> Callable[[], Awaitable[object]]:
    async def ask() -> object:
        async with make(KEY, URL, SystemClock()) as service:
            return await service.balance()

    return ask


def doctor(examine: Any) -> Callable[[], Awaitable[object]]:
    async def look() -> object:
        return [check async for check in examine(CheckContext(settings_with(TOKENS), SystemClock()))]

    return look


async def chat_model() -> object:
    async with OpenAICompatible(KEY, f"{URL}/v1", "small", SystemClock()) as model:
        return [fragment async for fragment in model.answer("", [ChatTurn("Hello?", from_avatar=False)])]


async def slack_call() -> object:
    async with network.session() as session:
        return await call(web_client("xoxb-1", f"{URL}/api", session), "auth.test")


async def _nothing(_: dict[str, Any]) -> dict[str, Any] | None:
    return None


async def slack_socket() -> object:
    async def opened(*_: object) -> dict[str, str]:
        return {"url": f"wss://{HOST}/link"}

    async with network.session() as session:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket_mode, "call", opened)
            held = socket_mode.SocketModeConnections(
                web_client(None, URL, session), session, SystemClock(), _nothing, number=1
            )
            return await held._connect()


async def slack_response_url() -> object:
    async with network.session() as session:
        outbox = Outbox(None, None, session, None)  # type: ignore[arg-type]
        return await outbox._respond(f"{URL}/commands/1", {"text": "Hello."})


async def stand_in_room() -> object:
    playback = Playback(livekit_url=f"wss://{HOST}/simulator/rooms/1", livekit_token="token")
    return await WebSocketTransport().join("1", playback)


async def picture() -> object:
    async with Upstream(URL) as upstream:
        return await upstream.get(f"{URL}/stream.m3u8", Bounds(1000, 5.0))


WAYS: dict[str, Callable[[], Awaitable[object]]] = {
    "HeyGen v1": provider(HeyGenStreaming),
    "HeyGen v3": provider(HeyGenRealtime),
    "LiveAvatar": provider(LiveAvatar),
    "chat model": chat_model,
    "Slack call": slack_call,
    "Slack socket": slack_socket,
    "Slack response URL": slack_response_url,
    "fake room": stand_in_room,
    "picture": picture,
    "doctor: Slack": doctor(examine_slack),
    "doctor: Discord": doctor(examine_discord),
    "doctor: LiveKit": doctor(examine_livekit),
    "doctor: clock": lambda: machine._clock(settings_with(TOKENS)),
    "doctor: public address": lambda: public_address._leads_to(URL, "word"),
}
"""One small request of each. Discord's gateway and the rest of Slack are in the scenarios below, over the same
session."""

CALLS = {
    "adapters/media/relay/addresses.py": {"socket"},
    "adapters/avatars/rooms/bot_transport.py": {"Room"},
    "adapters/avatars/rooms/broadcast/room.py": {"Room"},
    "adapters/avatars/rooms/broadcast/server.py": {"LiveKitAPI"},
    "adapters/chat/discord/doctor.py": {"Client"},
    "adapters/chat/slack/client.py": {"AsyncWebClient"},
    "adapters/chat/slack/adapter.py": {"AsyncWebClient"},
    "adapters/chat/slack/outbox.py": {"AsyncWebhookClient"},
    "adapters/network.py": {"AsyncClient", "ClientSession", "socket"},
    "bot/cli/doctor/http.py": {"AsyncClient"},
    "bot/cli/doctor/machine.py": {"socket"},
    "bot/store/engine.py": {"create_async_engine"},
}
"""Where the program makes something that opens connections. The bolt client of `slack/chat.py` is never asked, the
socket of `doctor/machine.py` only listens, that of `relay/addresses.py` is for a connection of `network.py`, a database
is no matter of proxies, and what is in real LiveKit rooms goes through LiveKit's own client
(`test_livekits_client_has_its_own_idea`)."""

OPENS = {"AsyncClient", "AsyncWebClient", "AsyncWebhookClient", "Client", "ClientSession", "HttpxAiohttpClient"} | {
    *("LiveKitAPI", "Room", "TCPConnector", "create_async_engine", "create_connection", "open_connection", "socket"),
    *("urlopen", "request", "urlretrieve", "create_unix_connection", "HTTPSConnection", "HTTPConnection"),
}


def test_a_new_way_out_is_noticed() -> None:
    found: dict[str, set[str]] = {}
    for file in [*ROOT.glob("bot/**/*.py"), *ROOT.glob("adapters/**/*.py")]:
        name = file.relative_to(ROOT).as_posix()
        if name.startswith("adapters/simulator/"):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                made = getattr(node.func, "attr", getattr(node.func, "id", ""))
                owner = getattr(getattr(node.func, "value", None), "id", "")
                is_ours = owner in ("self", "desk", "") and made in ("request", "socket", "Room")
                if made in OPENS and not is_ours and owner != "_connection":
                    found.setdefault(name, set()).add(made)
    found.pop("adapters/chat/discord/rest.py", None)
    assert found == CALLS


@pytest.mark.parametrize("way", WAYS)
async def test_a_way_out_goes_through_the_proxy(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeProxy(login=LOGIN) as proxy:
        use(proxy, monkeypatch)
        with suppress(Exception):
            await WAYS[way]()
        assert set(proxy.hosts) == {HOST}


@pytest.mark.parametrize("way", WAYS)
async def test_a_way_out_goes_past_the_proxy_where_no_proxy_says_so(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeProxy() as proxy:
        use(proxy, monkeypatch, never=f"other.example,.{HOST}")
        with suppress(Exception):
            await WAYS[way]()
        assert proxy.hosts == []


PROXY_SAYS = {
    "no login": ({"login": LOGIN}, "wants a user and a password (407)"),
    "wrong login": ({"login": LOGIN}, "does not accept the user and the password in it (407)"),
    "forbidden": ({"status": 403}, f"does not lead to {HOST} (403)"),
    "bad gateway": ({}, f"does not lead to {HOST} (502)"),
    "gone": ({}, "cannot be reached"),
    "unknown": ({}, "cannot be reached"),
}


@pytest.mark.parametrize("case", PROXY_SAYS)
async def test_a_proxy_that_refuses_is_named_without_its_login(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options, words = PROXY_SAYS[case]
    async with FakeProxy(**options) as proxy:  # type: ignore[arg-type]
        use(proxy, monkeypatch)
        where = "proxy.invalid:3128" if case == "unknown" else f"127.0.0.1:{proxy.port}"
        login = {"wrong login": "eve:wr0ng-s3cret@", "gone": "eve:wr0ng-s3cret@", "unknown": "eve:wr0ng-s3cret@"}
        monkeypatch.setenv("HTTPS_PROXY", f"http://{login.get(case, '')}{where}")
        if case == "gone":
            proxy._server.close()
            await proxy._server.wait_closed()
        with pytest.raises(Transient) as failure, structlog.testing.capture_logs() as logs:
            await WAYS["HeyGen v3"]()
        checks = await WAYS["doctor: Slack"]()
        await WAYS["Slack socket"]()
    assert failure.value.trouble is Trouble.PROXY
    assert not failure.value.may_have_taken_effect
    assert f"the proxy of HTTPS_PROXY ({where}) {words}" in str(failure.value)
    assert f"the proxy of HTTPS_PROXY ({where}) {words}" in str(checks)
    assert "proxy in between does not let the bot through" in sentences.failure(failure.value)[0]
    assert (
        "wr0ng-s3cret" not in f"{failure.value!r} {checks} {logs} {failure.value.__cause__} {failure.value.__context__}"
    )


# --- the whole of it -------------------------------------------------------------------------------------------------


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeProxy]:
    async with FakeProxy(login=LOGIN) as proxy:
        use(proxy, monkeypatch)
        yield proxy


def port_of(url: str) -> int:
    return int(url.split("://")[1].split("/")[0].rpartition(":")[2])


async def test_an_avatar_speaks_through_the_proxy(proxy: FakeProxy) -> None:
    async with Simulator(SimulatorOptions(api_key=KEY), SystemClock(20.0)) as simulator:
        proxy.names["avatars.invalid"] = proxy.names["answers.invalid"] = port_of(simulator.address)
        async with HeyGenRealtime(KEY, "http://avatars.invalid", SystemClock(20.0)) as avatars:
            request = StreamRequest(
                "", "", "high", "", 60.0, 600.0, initial_text=InitialText("u", "Good morning.", more=False)
            )
            upstream_id = await avatars.create(request)
            assert (await avatars.status(upstream_id)).is_open
            await avatars.close(upstream_id)
        async with OpenAICompatible(KEY, "http://answers.invalid/v1", "small", SystemClock()) as model:
            assert [_ async for _ in model.answer("", [ChatTurn("Hello?", from_avatar=False)])]
    assert set(proxy.hosts) == {"avatars.invalid", "answers.invalid"}


async def test_slack_works_through_the_proxy(proxy: FakeProxy, tmp_path: Path) -> None:
    driver = SlackDriver(tmp_path, environment={"SLACK_API_URL": "http://slack.invalid/api"})
    configure = driver.twin.configure

    def move(manifest: dict[str, Any]) -> None:
        """Once it has its port: from here on it calls itself by the name that only the proxy knows."""
        proxy.names["slack.invalid"] = proxy.names["sockets.slack.invalid"] = port_of(driver.twin.url)
        driver.twin.responses.base = "http://slack.invalid/"
        driver.twin.socket.base = "http://sockets.slack.invalid/"
        configure(manifest)

    driver.twin.configure = move  # type: ignore[method-assign]
    async with driver as slack:
        await slack.command("/avatar start")
        await slack.until_read("live")
        await slack.write("good morning")
        await slack.bot.until(lambda: slack.bot.spoken)
    # The embedded simulator is on this machine, and is not among them.
    assert set(proxy.hosts) == {"slack.invalid", "sockets.slack.invalid"}


async def test_discord_works_through_the_proxy(proxy: FakeProxy, tmp_path: Path) -> None:
    names = {
        "DISCORD_API_URL": "http://discord.invalid/api/v10",
        "DISCORD_GATEWAY_URL": "ws://gateway.discord.invalid/gateway",
    }
    driver = DiscordDriver(tmp_path, environment=names)
    settings = driver.settings

    def move() -> Any:
        proxy.names["discord.invalid"] = proxy.names["gateway.discord.invalid"] = port_of(driver.twin.api_url)
        return settings()

    driver.settings = move  # type: ignore[method-assign]
    async with driver as discord:
        await discord.command("/avatar start")
        await discord.until_read("live")
        await discord.write("good morning")
        await discord.bot.until(lambda: discord.bot.spoken)
    assert set(proxy.hosts) == {"discord.invalid", "gateway.discord.invalid"}


@pytest.mark.slow
async def test_livekits_client_has_its_own_idea(proxy: FakeProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the proxy whatever NO_PROXY says. When this fails, it has learned: the documentation may say so."""
    rtc = pytest.importorskip("livekit.rtc")
    monkeypatch.setenv("NO_PROXY", HOST)
    with pytest.raises(rtc.ConnectError):
        await rtc.Room().connect(f"wss://{HOST}", "token")
    assert set(proxy.hosts) == {HOST}
