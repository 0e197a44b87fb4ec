"""What our web serves to anybody who asks: the pages behind a watch link and beside it, what operators' machines read,
and two visitors on the page's WebSocket."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp

from tests.harness.programs import PATIENCE

QUIET = 1.0
"""Seconds without a message after which a visitor has heard everything."""


@dataclass
class Served:
    """What was read. `doors`: the tokens for a LiveKit room, by visitor; they are left out of `text`."""

    text: str = ""
    doors: dict[str, list[str]] = field(default_factory=lambda: {"first": [], "second": []})

    def take(self, visitor: str, message: str) -> None:
        """Add a message of the WebSocket."""
        told = json.loads(message)
        if told["type"] == "door":
            self.doors[visitor].append(told.pop("token"))
        self.text += f"\n{json.dumps(told)}"


async def read_the_web(base: str, path: str, *others: str) -> Served:
    """Read what the server at `base` has for anybody: the watch link's `path`, links that open nothing, `others`; then
    let two visitors come in by the link, and one by a link that opens nothing."""
    served = Served()
    async with aiohttp.ClientSession(base_url=base, headers={"Origin": base}) as client:
        for page in (path, f"{path}x", "/w/nonsense", "/metrics", "/readyz", "/healthz", "/nothing", *others):
            async with client.get(page, allow_redirects=False) as answer:
                served.text += f"\n{answer.headers}\n{await answer.text()}"
        async with (
            client.ws_connect(f"{path}/live") as first,
            client.ws_connect(f"{path}/live") as second,
            client.ws_connect(f"{path}x/live") as stranger,
        ):
            await first.send_json({"type": "visit", "visitor": "the-first-visitor", "plays": False})
            served.take("first", (await asyncio.wait_for(first.receive(), PATIENCE)).data)
            for late in (second, stranger):
                await late.send_json({"type": "visit", "visitor": "the-second-visitor", "plays": False})
                await late.send_json({"type": "door"})
            async for message in _until_quiet(first):
                served.take("first", message)
            async for message in _until_quiet(second):
                served.take("second", message)
            assert [message async for message in _until_quiet(stranger)] == []
    return served


async def _until_quiet(socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[str]:
    while True:
        try:
            message = await asyncio.wait_for(socket.receive(), QUIET)
        except TimeoutError:
            return
        if message.type is not aiohttp.WSMsgType.TEXT:
            return
        yield message.data
