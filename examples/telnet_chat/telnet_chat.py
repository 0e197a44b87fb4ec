"""A chat platform in under 100 lines: people connect with `telnet 127.0.0.1 2323` and share one channel.

docs/extending.md walks through it; tests/scenario/test_example.py runs it. No passwords: for your machine alone."""

import asyncio
import itertools
import os
from contextlib import suppress
from typing import Self

from bot import facade, sentences

NAME = "telnet"
CHANNEL = facade.Channel(NAME, "local", "room")
LONGEST_LINE = 4096


class TelnetChat:
    """One room behind a TCP port."""

    name = NAME
    routes = ()
    embed = None
    unhealthy_reason: str | None = "not listening yet"

    def __init__(self, bot: facade.Bot) -> None:
        self._bot = bot
        self._writers: set[asyncio.StreamWriter] = set()
        self._names = itertools.count(1)
        self.port = 0

    @classmethod
    def missing_settings(cls, settings: facade.Settings) -> str | None:  # noqa: ARG003 - it has a variable of its own
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

    async def show(self, event: facade.SessionEvent) -> None:
        """Tell everybody what happened. `SessionChanged` would redraw a panel, `UtteranceChanged` mark a message."""
        if isinstance(event, facade.Notice):
            for writer in self._writers:
                self._print(writer, event.reply)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(self._names)
        # A stranger is a speaker; who may start and stop is decided by ACCESS_HOSTS and the core.
        actor = facade.Actor(NAME, str(number), f"guest {number}")
        self._writers.add(writer)
        with suppress(ValueError, ConnectionError):  # a line too long, or somebody who hangs up
            while line := await reader.readline():
                if text := line.decode(errors="replace").strip():
                    self._print(writer, await self._answer(text, actor))
                    await writer.drain()
        self._writers.discard(writer)
        writer.close()

    async def _answer(self, text: str, actor: facade.Actor) -> facade.Reply:
        try:
            return await self._take(text, actor)
        except facade.Refused as refusal:
            return facade.Reply(str(refusal))
        except facade.AvatarRelayError as error:
            return facade.Reply(sentences.failure(error)[0])

    async def _take(self, text: str, actor: facade.Actor) -> facade.Reply:
        group, _, rest = text.removeprefix("/").partition(" ")
        if text.startswith("/") and group in (facade.AVATAR, facade.ADMIN):
            command = facade.parse(rest, self._bot.commands.usages, group)
            return await self._bot.commands.run(facade.CommandContext(command, CHANNEL, actor)) or facade.Reply("")
        receipt = await self._bot.relay.receive(facade.Message(CHANNEL, actor, text))
        return facade.Reply(receipt.ignored or sentences.queued(receipt.ahead, live_yet=receipt.live_yet))

    def _print(self, writer: asyncio.StreamWriter, reply: facade.Reply) -> None:
        facts = [f"{name}: {value}" for name, value in reply.fields]
        lines = [*reply.text.splitlines(), *facts, *filter(None, [reply.link])]
        writer.write("".join(f"{line}\r\n" for line in lines).encode())
