"""The LiveKit server of `docker compose --profile livekit up`, without Docker: it starts with the configuration of
compose.yaml, accepts the key that the bot has, and brings sound and picture through the ports that are published.

Not tried: the image, Docker's network, and what a STUN server says (a bot's machine has its address in NODE_IP here).
"""

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import httpx
import pytest
import yaml
from aiohttp import web
from livekit import api, rtc
from pydantic import SecretStr

from adapters.avatars.rooms.broadcast.server import BroadcastServer
from bot.settings import variables
from tests import options
from tests.harness.livekit import livekit_program
from tests.harness.ports import free_port
from tests.packaging.compose import COMPOSE, environment_of, filled_in, started_by
from tests.packaging.started import PATIENCE, Started
from tests.packaging.test_proxy import BOT, HOST, caddy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SERVICE = COMPOSE["services"]["livekit"]
SIGNALS = "127.0.0.1:7880"
KEY, SECRET = "relay", "a secret of the tests that is long enough for HS256"
ENV = {"LIVEKIT_API_KEY": KEY, "LIVEKIT_API_SECRET": SECRET, "NODE_IP": "127.0.0.1"}

__all__ = ["livekit_program"]


# --- what it says ----------------------------------------------------------------------------------------------------


def test_profile_brings_the_server_beside_the_bot_and_nothing_else() -> None:
    assert started_by("livekit") == {"bot", "livekit"}
    assert started_by() == {"bot"}


def test_version_is_pinned_and_the_one_that_the_tests_run() -> None:
    image, _, tag = SERVICE["image"].partition(":")
    assert image == "livekit/livekit-server"
    assert re.fullmatch(r"v\d+\.\d+\.\d+", tag)
    assert f"@{tag}," in options.INSTALL["livekit"]


@pytest.mark.parametrize("name", ["bot", "bot-postgres"])
def test_bot_waits_for_its_health_where_there_is_one(name: str) -> None:
    assert COMPOSE["services"][name]["depends_on"]["livekit"] == {"condition": "service_healthy", "required": False}
    assert SERVICE["healthcheck"]["test"][-1] == f"http://{SIGNALS}/"


def test_key_is_in_no_file_of_the_repository() -> None:
    assert filled_in(SERVICE["environment"]["LIVEKIT_KEYS"], {}) == ": "
    assert filled_in(SERVICE["environment"]["LIVEKIT_KEYS"], ENV) == f"{KEY}: {SECRET}"
    assert {"LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"} <= {name for name, _, is_secret in variables() if is_secret}


def test_ports_are_those_of_the_configuration_and_only_this_machine_reaches_the_signals() -> None:
    told = yaml.safe_load(environment_of("livekit", ENV)["LIVEKIT_CONFIG"])
    assert SERVICE["ports"] == [
        f"127.0.0.1:{told['port']}:{told['port']}",
        f"{told['rtc']['tcp_port']}:{told['rtc']['tcp_port']}",
        f"{told['rtc']['udp_port']}:{told['rtc']['udp_port']}/udp",
    ]


@pytest.mark.parametrize(("node_ip", "asks"), [("", True), ("203.0.113.7", None)])
def test_outside_address_is_asked_for_unless_it_is_known(node_ip: str, asks: bool | None) -> None:
    told = environment_of("livekit", ENV | {"NODE_IP": node_ip})
    assert yaml.safe_load(told["LIVEKIT_CONFIG"])["rtc"].get("use_external_ip") is asks
    assert told["NODE_IP"] == node_ip


# --- what it does ----------------------------------------------------------------------------------------------------


@contextmanager
def livekit(program: str, folder: Path, variables: dict[str, str]) -> Iterator[Started]:
    """The server with what compose.yaml gives it, and nothing else."""
    with Started([program], folder, environment_of("livekit", variables)) as started:
        yield started


def skip_where_its_ports_are_taken() -> None:
    for port, kind in ((7880, socket.SOCK_STREAM), (7881, socket.SOCK_STREAM), (7882, socket.SOCK_DGRAM)):
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                pytest.skip(f"another program has port {port}, and the configuration is tried as it is")


async def healthy() -> None:
    """Wait until the health check of compose.yaml says so."""
    url = SERVICE["healthcheck"]["test"][-1]
    async with asyncio.timeout(PATIENCE), httpx.AsyncClient(trust_env=False) as client:
        while True:
            with suppress(httpx.HTTPError):
                if (await client.get(url)).status_code == httpx.codes.OK:
                    return
            await asyncio.sleep(0.1)


@asynccontextmanager
async def in_room(url: str, token: str) -> AsyncIterator[rtc.Room]:
    """Somebody in a room, whose client has found a way for sound and picture."""
    room = rtc.Room()
    await room.connect(url, token)
    try:
        yield room
    finally:
        await room.disconnect()


async def hum(source: rtc.AudioSource) -> None:
    """Sound until it is cancelled, 10 ms at a time; `capture_frame` waits while a second of it is ahead."""
    frame = rtc.AudioFrame((b"\x00\x20" * 24 + b"\x00\xe0" * 24) * 10, 48_000, 1, 480)
    while True:
        await source.capture_frame(frame)


async def first_sound(track: rtc.Track) -> None:
    """Return when something can be heard."""
    stream = rtc.AudioStream(track)
    async for event in stream:
        if any(event.frame.data):
            break
    await stream.aclose()


async def remote_ports(room: rtc.Room) -> set[int]:
    """The ports that the server has told a viewer to take; waits until there is one."""
    while True:
        told = await room.get_rtc_stats()
        stats = [*told.publisher_stats, *told.subscriber_stats]
        if ports := {stat.remote_candidate.candidate.port for stat in stats if stat.HasField("remote_candidate")}:
            return ports
        await asyncio.sleep(0.1)


async def test_it_starts_with_the_configuration_of_the_profile_and_media_gets_through(
    livekit_program: str, tmp_path: Path
) -> None:
    skip_where_its_ports_are_taken()
    url = f"ws://{SIGNALS}"
    own = BroadcastServer(url, KEY, SecretStr(SECRET), longest=60.0)
    with livekit(livekit_program, tmp_path, ENV) as started:
        await healthy()
        with pytest.raises(api.TwirpError):
            await BroadcastServer(url, KEY, SecretStr("another secret, as long as the first"), 60.0).count_rooms()
        await own.create("a room")
        assert await own.count_rooms() == 1
        async with (
            in_room(url, own.viewer_token("a room")) as viewer,
            in_room(url, own.publisher_token("a room")) as bot,
        ):
            tracks: asyncio.Queue[rtc.Track] = asyncio.Queue()
            viewer.on("track_subscribed", lambda track, *_: tracks.put_nowait(track))
            source = rtc.AudioSource(48_000, 1)
            await bot.local_participant.publish_track(rtc.LocalAudioTrack.create_audio_track("sound", source))
            speaking = asyncio.create_task(hum(source))
            try:
                async with asyncio.timeout(PATIENCE):
                    await first_sound(await tracks.get())
                    assert await remote_ports(viewer) <= {7881, 7882}
            finally:
                speaking.cancel()
                await asyncio.gather(speaking, return_exceptions=True)
        assert started.terminate() == 0


async def test_it_does_not_start_without_a_key(livekit_program: str, tmp_path: Path) -> None:
    with livekit(livekit_program, tmp_path, {"NODE_IP": "127.0.0.1"}) as started:
        with pytest.raises(AssertionError, match="it ended"):
            started.until(lambda _: False)
        assert "api" in started.output.lower() or "key" in started.output.lower()


# --- the way to it ---------------------------------------------------------------------------------------------------


@asynccontextmanager
async def named(name: str) -> AsyncIterator[int]:
    """A server that answers every request with its name; its port."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=name)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port := free_port()).start()
        yield port
    finally:
        await runner.cleanup()


WHOSE = {
    "/rtc?access_token=x": "livekit",
    "/rtc/v1": "livekit",
    "/rtc/v1/validate": "livekit",
    "/twirp/livekit.RoomService/ListRooms": "livekit",
    "/w/a-link": "bot",
    "/healthz": "bot",
    "/rtcless": "bot",
    "/debug/rooms": "bot",
    "/metrics": "",
}
"""Who answers behind each path of the one name."""


async def test_site_of_the_guide_leads_to_both_under_one_name(pytestconfig: pytest.Config, tmp_path: Path) -> None:
    binary = options.program(pytestconfig, "caddy")
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE

    async def ask(client: httpx.AsyncClient, path: str) -> str:
        """Ask again until Caddy has made its certificate."""
        async with asyncio.timeout(PATIENCE):
            while True:
                with suppress(httpx.ConnectError):
                    return (await client.get(path, extensions={"sni_hostname": HOST})).text
                await asyncio.sleep(0.1)

    async with named("bot") as bot, named("livekit") as server:
        places = {BOT: f"127.0.0.1:{bot}", SIGNALS: f"127.0.0.1:{server}"}
        with caddy(binary, tmp_path, places) as port:
            base = f"https://127.0.0.1:{port}"
            async with httpx.AsyncClient(
                base_url=base, headers={"Host": HOST}, verify=unverified, trust_env=False
            ) as client:
                assert {path: await ask(client, path) for path in WHOSE} == WHOSE
