"""The avatar of a real LiveKit room in a voice channel: its sound without an encoder, and a native interrupt."""

import asyncio
import time

import pytest
from pydantic import SecretStr

from adapters.media.room.source import RoomPicture
from adapters.simulator import SimulatorOptions
from tests.harness.livekit import LiveKitServer, livekit_program, livekit_server
from tests.platforms.running_bot import KEY
from tests.scenario.discord.voice_scenario import LONG_WORDS, Open, bring, loud, opened, until_loud, until_silent

__all__ = ["livekit_program", "livekit_server"]

pytestmark = pytest.mark.slow


async def test_a_room_is_heard_and_an_interrupt_is_heard_at_once(
    open_chat: Open, livekit_server: LiveKitServer
) -> None:
    server = livekit_server
    options = SimulatorOptions(api_key=SecretStr(KEY)).with_livekit(
        server.url, server.api_key, SecretStr(server.api_secret)
    )
    chat = await opened(open_chat, dave=True, simulator=options, AVATAR_PROVIDER="liveavatar")
    await bring(chat)
    packets = chat.twin.voice.heard(chat.guild)
    since = len(packets)
    await chat.write(LONG_WORDS)
    await until_loud(chat, since=since)
    await asyncio.sleep(1.0)
    asked_at = time.monotonic()
    await chat.command("/avatar interrupt")
    await until_silent(chat, 1.5)
    assert len([one for one in loud(packets) if one.at > asked_at]) <= 10
    # What comes next is heard from its beginning, by the same stream.
    since = len(packets)
    await chat.write("And now for something else.")
    await until_loud(chat, since=since)
    assert len(chat.bot.simulator.streams()) == 1
    (running,) = chat.bot.bot.sessions
    assert running.stream.current is not None
    source = chat.bot.bot.sessions.services.pictures._open[running.stream.current.id].source
    assert isinstance(source, RoomPicture)
    assert source._encoder.pid is None
