"""`python -m tests.bench.bare slack|discord ADDRESS`: what a bot is compared with. The bare client library, which takes
each message that mentions it and makes one HTTP request to the provider, and does nothing else.

What lets it in stands in the environment, as for the bot. It writes a line once it is connected, and ends with its
input.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Any

import aiohttp
import discord
import yarl
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from tests.bench.provider import SAY
from tests.harness.programs import KEY


class Poster:
    """Hands texts to the provider: one stream for each channel, opened for its first text."""

    def __init__(self, client: aiohttp.ClientSession) -> None:
        self._client = client
        self._streams: dict[str, asyncio.Task[str]] = {}

    async def post(self, channel: str, text: str) -> None:
        """Have the avatar of the channel say a text."""
        if channel not in self._streams:
            self._streams[channel] = asyncio.create_task(self._open())
        stream = await self._streams[channel]
        await self._call(SAY, session_id=stream, text=text, task_type="repeat", task_mode="async")

    async def _open(self) -> str:
        stream = str((await self._call("/v1/streaming.new", activity_idle_timeout=3600))["data"]["session_id"])
        await self._call("/v1/streaming.start", session_id=stream)
        await asyncio.sleep(1)  # until a viewer has come; before that it takes no text
        return stream

    async def _call(self, path: str, **body: object) -> Any:
        async with self._client.post(path, json=body) as answer:
            answer.raise_for_status()
            return await answer.json()


def without_mention(text: str) -> str:
    return text.partition("> ")[2]


async def connect_slack(post: Poster, connected: Callable[[], None]) -> None:
    """A bolt app in Socket Mode with one listener."""
    # Not left in the environment, where bolt would find it as well and say so.
    client = AsyncWebClient(token=os.environ.pop("SLACK_BOT_TOKEN"), base_url=os.environ["SLACK_API_URL"])
    app = AsyncApp(client=client)

    async def take(event: dict[str, Any]) -> None:
        await post.post(event["channel"], without_mention(event["text"]))

    async def ignore() -> None:
        """The same message comes as `message`, too."""

    app.event("app_mention")(take)
    app.event("message")(ignore)
    await AsyncSocketModeHandler(app, os.environ["SLACK_APP_TOKEN"]).connect_async()  # type: ignore[no-untyped-call]
    connected()
    await asyncio.Event().wait()


async def connect_discord(post: Poster, connected: Callable[[], None]) -> None:
    """A discord.py client with one listener."""
    discord.http.Route.BASE = os.environ["DISCORD_API_URL"]
    discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ["DISCORD_GATEWAY_URL"])
    client = discord.Client(intents=discord.Intents(guilds=True, guild_messages=True, message_content=True))

    @client.event
    async def on_ready() -> None:
        connected()

    @client.event
    async def on_message(message: discord.Message) -> None:
        if not message.author.bot:
            await post.post(str(message.channel.id), without_mention(message.content))

    await client.start(os.environ["DISCORD_TOKEN"])


async def main(platform: str, address: str) -> None:
    def connected() -> None:
        sys.stdout.write('"connected"\n')
        sys.stdout.flush()

    async with aiohttp.ClientSession(address, headers={"X-Api-Key": KEY}) as client:
        connect = {"slack": connect_slack, "discord": connect_discord}[platform]
        running = asyncio.create_task(connect(Poster(client), connected))
        until_told = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        await asyncio.wait({running, until_told}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        running.cancel()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
