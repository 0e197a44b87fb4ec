"""A provider, the simulator it talks to, and the clock both live by. A new provider joins with an entry in `KINDS`."""

from dataclasses import dataclass
from typing import Protocol

import httpx
from pydantic import SecretStr

from adapters.avatars.heygen_realtime import HeyGenRealtime
from adapters.avatars.heygen_streaming import HeyGenStreaming
from adapters.avatars.simulator import Simulator, SimulatorOptions, StreamView
from bot.clock import SystemClock
from bot.ports import AvatarProvider, Clock, FirstWords, StreamRequest

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
    speak: tuple[str, str]
    close: tuple[str, str]
    status: tuple[str, str]
    balance: tuple[str, str]


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
}


@dataclass
class World:
    """A provider, the simulator it talks to, and the clock both live by."""

    kind: Kind
    provider: AvatarProvider
    simulator: Simulator
    clock: SystemClock

    def request(
        self, text: str = "Hello.", avatar: str = "sim-robin", voice: str = "sim-voice-clara", idle: float = 3600
    ) -> StreamRequest:
        needs = self.provider.capabilities.needs_first_words
        return StreamRequest(avatar, voice, "medium", "", idle, 600, FirstWords("first", text) if needs else None)

    async def open(self, text: str = "Hello.", idle: float = 3600) -> str:
        """A stream that takes text, with somebody watching it. It says `text` first."""
        upstream_id = await self.provider.create(self.request(text, idle=idle))
        playback = await self.provider.start(upstream_id)
        assert playback.hls_url is not None
        async with httpx.AsyncClient(verify=False) as viewer:  # noqa: S501 - a local address without TLS
            (await viewer.get(playback.hls_url)).raise_for_status()
        if not self.provider.capabilities.needs_first_words:
            await self.provider.speak(upstream_id, "first", text)
        return upstream_id

    def view(self, upstream_id: str) -> StreamView:
        return next(stream for stream in self.simulator.streams() if stream.id == upstream_id)

    def asked(self, upstream_id: str) -> list[str]:
        """What the stream was given to say."""
        return [spoken.asked.strip() for spoken in self.view(upstream_id).spoken]

    def open_streams(self) -> int:
        return sum(1 for stream in self.simulator.streams() if stream.ended is None)


class MakeWorld(Protocol):
    """See the fixture of this name."""

    async def __call__(self, options: SimulatorOptions | None = None, key: str = KEY) -> World: ...
