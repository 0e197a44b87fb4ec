"""A chat platform in under 100 lines: people connect with `telnet 127.0.0.1 2323` and share one channel.

docs/extending.md walks through it; tests/scenario/test_example.py runs it. No passwords: for your machine alone."""

import asyncio
import itertools
import os
from contextlib import suppress
from typing import Self

from bot import sentences
from bot.commands.parser import ADMIN, AVATAR, CommandContext, parse
from bot.core.errors import AvatarRelayError, Refused
from bot.core.events import Notice, SessionEvent
from bot.core.models import Actor, Channel
from bot.core.views import Reply
from bot.facade import Bot
from bot.relay import Message
from bot.settings import Settings

NAME = "telnet"
CHANNEL = Channel(NAME, "local", "room")
LONGEST_LINE = 4096


class TelnetChat:
    """One room behind a TCP port."""

    name = NAME
    routes = ()
    unhealthy_reason: str | None = "not listening yet"

    def __init__(self, bot: Bot) -> None:
        self._bot = bot
        self._writers: set[asyncio.StreamWriter] = set()
        self._names = itertools.count(1)
        self.port = 0

    @classmethod
    def missing_settings(cls, settings: Settings) -> str | None:  # noqa: ARG003 - it has a variable of its own
        """It is left out until somebody asks for it."""
        return None if os.environ.get("TELNET_PORT") else "set TELNET_PORT to chat over telnet."

    async def __aenter__(self) -> Self:
        port = int(os.environ["TELNET_PORT"])
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=LONGEST_LINE)
        self.port = self._server.sockets[0].getsockname()[1]
        self.unhealthy_reason = None
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    async def run(self) -> None:
        """The server serves by itself; `run` lasts until it is cancelled."""
        await self._server.serve_forever()

    async def show(self, event: SessionEvent) -> None:
        """Tell everybody what happened. `SessionChanged` would redraw a panel, `UtteranceChanged` mark a message."""
        if isinstance(event, Notice):
            for writer in self._writers:
                self._print(writer, event.reply)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(self._names)
        # A stranger is a speaker; who may start and stop is decided by ACCESS_HOSTS and the core.
        actor = Actor(NAME, str(number), f"guest {number}")
        self._writers.add(writer)
        with suppress(ValueError, ConnectionError):  # a line too long, or somebody who hangs up
            while line := await reader.readline():
                if text := line.decode(errors="replace").strip():
                    self._print(writer, await self._answer(text, actor))
                    await writer.drain()
        self._writers.discard(writer)
        writer.close()

    async def _answer(self, text: str, actor: Actor) -> Reply:
        try:
            return await self._take(text, actor)
        except Refused as refusal:
            return Reply(str(refusal))
        except AvatarRelayError as error:
            return Reply(sentences.failure(error)[0])

    async def _take(self, text: str, actor: Actor) -> Reply:
        group, _, rest = text.removeprefix("/").partition(" ")
        if text.startswith("/") and group in (AVATAR, ADMIN):
            command = parse(rest, self._bot.commands.usages, group)
            return await self._bot.commands.run(CommandContext(command, CHANNEL, actor)) or Reply("")
        receipt = await self._bot.relay.receive(Message(CHANNEL, actor, text))
        return Reply(receipt.ignored or sentences.queued(receipt.ahead, live_yet=receipt.live_yet))

    def _print(self, writer: asyncio.StreamWriter, reply: Reply) -> None:
        facts = [f"{name}: {value}" for name, value in reply.fields]
        lines = [*reply.text.splitlines(), *facts, *filter(None, [reply.link])]
        writer.write("".join(f"{line}\r\n" for line in lines).encode())
