"""A provider, the simulator it talks to, and the clock both live by. A new provider joins with an entry in `KINDS`."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import httpx
from pydantic import SecretStr

from adapters.avatars.heygen_realtime.provider import HeyGenRealtime
from adapters.avatars.heygen_streaming.provider import HeyGenStreaming
from adapters.avatars.liveavatar.provider import LiveAvatar
from adapters.simulator import Simulator, SimulatorOptions, StreamView
from bot.core.clock import SystemClock
from bot.core.ports import AvatarProvider, Clock, InitialText, StreamRequest


def liveavatar_id(name: str) -> str:
    """The id that the simulator's LiveAvatar gives to an avatar or voice of its catalogue."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.simulator.invalid"))


KEY = "a-key-nobody-may-read-0123456789"


class MakesProvider(Protocol):
    def __call__(self, api_key: SecretStr, api_url: str, clock: Clock) -> AvatarProvider: ...


@dataclass(frozen=True)
class Kind:
    """A provider and where its calls go, for faults: (method, path pattern)."""

    make: MakesProvider
    create: tuple[str, str]
    before_create: tuple[str, str]
    start: tuple[str, str]
    speak: tuple[str, str] | None
    close: tuple[str, str]
    status: tuple[str, str]
    balance: tuple[str, str]
    key_setting: str = "HEYGEN_API_KEY"
    avatar: str = "sim-robin"
    voice: str = "sim-voice-clara"
    other_avatar: str = "sim-juno"
    is_paid_by_start: bool = False
    """`create` opens nothing yet: what is wrong with the request, and whether there is room, is told by `start`."""
    crash: str = "The renderer crashed."
    """How it tells that the service broke down with these words."""
    can_be_taken_over: bool = True
    """Whether another process can go on with a stream; else it closes it."""


KINDS = {
    "heygen-streaming": Kind(
        HeyGenStreaming,
        create=("POST", "/v1/streaming.new"),
        before_create=("POST", "/v1/streaming.create_token"),
        start=("POST", "/v1/streaming.start"),
        speak=("POST", "/v1/streaming.task"),
        close=("POST", "/v1/streaming.stop"),
        status=("GET", "/v1/streaming.list"),
        balance=("GET", "/v2/user/remaining_quota"),
    ),
    "heygen-realtime": Kind(
        HeyGenRealtime,
        create=("POST", "/v3/avatar-realtime"),
        before_create=("GET", "/v3/avatars/looks"),
        start=("GET", "/v3/avatar-realtime/*"),
        speak=("POST", "/v3/avatar-realtime/*/text"),
        close=("POST", "/v3/avatar-realtime/*/cancel"),
        status=("GET", "/v3/avatar-realtime/*"),
        balance=("GET", "/v3/users/me"),
    ),
    "liveavatar": Kind(
        LiveAvatar,
        create=("POST", "/v1/sessions/token"),
        before_create=("GET", "/v1/avatars*"),
        start=("POST", "/v1/sessions/start"),
        speak=None,
        close=("POST", "/v1/sessions/stop"),
        status=("GET", "/v1/sessions/*"),
        balance=("GET", "/v1/users/credits"),
        key_setting="LIVEAVATAR_API_KEY",
        avatar=liveavatar_id("sim-robin"),
        voice=liveavatar_id("sim-voice-clara"),
        other_avatar=liveavatar_id("sim-juno"),
        is_paid_by_start=True,
        crash="SERVER_ERROR",
        can_be_taken_over=False,
    ),
}


async def eventually(condition: Callable[[], bool]) -> None:
    """Give the network its turns until `condition` holds; the timeout of the test ends the wait."""
    while not condition():  # noqa: ASYNC110 - what is waited for happens in a server that tells nobody
        await asyncio.sleep(0)


@dataclass
class ProviderHarness:
    """A provider, the simulator it talks to, and the clock both live by."""

    kind: Kind
    provider: AvatarProvider
    simulator: Simulator
    clock: SystemClock

    def request(
        self, text: str = "Hello.", avatar: str | None = None, voice: str | None = None, idle: float = 3600
    ) -> StreamRequest:
        avatar = self.kind.avatar if avatar is None else avatar
        voice = self.kind.voice if voice is None else voice
        needs = self.provider.capabilities.requires_initial_text
        return StreamRequest(avatar, voice, "medium", "", idle, 600, InitialText("first", text) if needs else None)

    async def open(self, text: str = "Hello.", idle: float = 3600) -> str:
        """A stream that takes text, with somebody watching it. It says `text` first."""
        upstream_id = await self.provider.create(self.request(text, idle=idle))
        playback = await self.provider.start(upstream_id)
        assert playback.hls_url is not None
        async with httpx.AsyncClient(verify=False) as viewer:  # noqa: S501 - a local address without TLS
            (await viewer.get(playback.hls_url)).raise_for_status()
        if not self.provider.capabilities.requires_initial_text:
            await self.provider.speak(upstream_id, "first", text)
        return upstream_id

    async def order(self, request: StreamRequest) -> str:
        """Have a stream opened, as far as the provider looks at what was asked for."""
        upstream_id = await self.provider.create(request)
        if self.kind.is_paid_by_start:
            await self.provider.start(upstream_id)
        return upstream_id

    async def has_asked(self, upstream_id: str, *texts: str) -> None:
        """Wait until the stream was given exactly `texts` to say; the timeout of the test ends the wait."""
        await eventually(lambda: self.asked(upstream_id) == [*texts])

    def view(self, upstream_id: str) -> StreamView:
        return next(stream for stream in self.simulator.streams() if stream.id == upstream_id)

    def asked(self, upstream_id: str) -> list[str]:
        """What the stream was given to say."""
        return [spoken.asked.strip() for spoken in self.view(upstream_id).spoken]

    def open_streams(self) -> int:
        return sum(1 for stream in self.simulator.streams() if stream.ended is None)


class MakeHarness(Protocol):
    """See the fixture of this name."""

    async def __call__(self, options: SimulatorOptions | None = None, key: str = KEY) -> ProviderHarness: ...
