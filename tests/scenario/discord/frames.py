"""People in front of the application's Activity, for tests without a browser: what a frame asks for and what it reads,
as Discord's proxy passes it on."""

import asyncio
import base64
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bot.core.ports import Clock
from tests.fakes.discord import ActivityInstance, FakeDiscord, User
from tests.platforms.running_bot import PATIENCE


class FramingBot(Protocol):
    """The bot that the frames ask: what it has said, and its clock."""

    @property
    def told(self) -> Sequence[str]: ...

    @property
    def clock(self) -> Clock: ...


class FramingChat(Protocol):
    """A Discord with such a bot."""

    @property
    def twin(self) -> FakeDiscord: ...

    @property
    def bot(self) -> FramingBot: ...


def address_of(chat: FramingChat) -> str:
    """Where the bot's web server is."""
    return re.findall(r"served at (http://[\d.]+:\d+)", "\n".join(chat.bot.told))[-1]


def signed(
    chat: FramingChat, key: Ed25519PrivateKey, user: User, *, as_hex: bool = False, **changes: object
) -> dict[str, str]:
    """The headers with which Discord's proxy proves who a request is from; `changes` to what it says."""
    now = int(chat.bot.clock.now().timestamp())
    content = {
        "application_id": str(chat.twin.application_id),
        "user_id": str(user.id),
        "is_developer": False,
        "created_at": now,
        "expires_at": now + 3600,
        **changes,
    }
    body = json.dumps(content).encode()
    proof = key.sign(body)
    return {
        "X-Signature-Ed25519": proof.hex() if as_hex else base64.b64encode(proof).decode(),
        "X-Signature-Timestamp": str(content["created_at"]),
        "X-Discord-Proxy-Payload": base64.b64encode(body).decode(),
    }


@dataclass
class Framed:
    """A person's frame: the page, its ticket, and its socket."""

    chat: FramingChat
    instance_id: str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    ticket: str = ""

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        self.client = await self._stack.enter_async_context(aiohttp.ClientSession())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def origin(self) -> str:
        """The frame's, which Discord's proxy makes."""
        return f"https://{self.chat.twin.application_id}.discordsays.com"

    async def load(self) -> int:
        """Load the page; its status."""
        query = {"instance_id": self.instance_id, "platform": "desktop", "frame_id": "f-1", **self.query}
        async with self.client.get(f"{address_of(self.chat)}/", params=query, headers=self.headers) as response:
            found = re.search(r'data-feed="\./embed/([^/"]+)/live"', await response.text())
            self.ticket = found[1] if found else ""
            return response.status

    async def connect(self, *, origin: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        """Open the page's socket."""
        if not self.ticket:
            assert await self.load() == 200
        given = {**(self.headers if headers is None else headers), "Origin": origin or self.origin}
        url = f"{address_of(self.chat)}/embed/{self.ticket}/live"
        self.socket = await self._stack.enter_async_context(self.client.ws_connect(url, headers=given))

    async def hear(self, *kinds: str) -> dict[str, Any]:
        """The next message of these kinds."""
        async with asyncio.timeout(PATIENCE):
            while True:
                message = await self.socket.receive()
                assert message.type is aiohttp.WSMsgType.TEXT, (message, self.socket.close_code)
                heard: dict[str, Any] = json.loads(message.data)
                if heard["type"] in (kinds or ("session", "nobody", "next")):
                    return heard

    async def until(self, **wanted: object) -> dict[str, Any]:
        """The next message that has these values."""
        while True:
            heard = await self.hear()
            if all(heard.get(name) == value for name, value in wanted.items()):
                return heard

    async def closed(self) -> int | None:
        """Read to the end; the code that it is closed with."""
        async with asyncio.timeout(PATIENCE):
            while (await self.socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        return self.socket.close_code

    async def fetch(self, path: str) -> tuple[int, bytes]:
        """A file of the picture, by the address that a session message has."""
        url = f"{address_of(self.chat)}/embed/{self.ticket}/{path}"
        async with self.client.get(url, headers=self.headers) as response:
            return response.status, await response.read()


def framed(chat: FramingChat, instance: ActivityInstance | None, **given: Any) -> Framed:
    """Somebody's frame of an instance."""
    assert instance is not None
    return Framed(chat, instance.id, **given)
