"""The console chat: reads lines, hands commands and messages to the core, prints what comes back.

With a terminal it edits lines, keeps a history and shows a status line; with piped input it reads to the end, lets the
avatar say everything before it obeys `stop`, and ends. Decides nothing about sessions.
"""

import asyncio
import sys
from collections.abc import AsyncIterator

from adapters.chat.console.reading import piped_lines, terminal_lines
from adapters.chat.console.render import lines_of_event, lines_of_reply, status_line
from bot import sentences
from bot.commands import Asked
from bot.desk import Desk
from bot.errors import AvatarRelayError, Refused
from bot.grammar import ADMIN, AVATAR, Command, parse
from bot.model import Actor, Channel, Phase, Reply, Role, SessionChanged, SessionEvent, SessionView
from bot.relay import Message
from bot.running import RunningSession

CHANNEL = Channel("console", "local", "console")
ACTOR = Actor("console", "you", "you", role=Role.ADMIN)
"""Whoever sits at the machine that runs the bot may do everything."""


class ConsoleChat:
    """The console as a chat platform."""

    name = "console"

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._is_terminal = sys.stdin.isatty()
        self._view: SessionView | None = None
        self._ended = asyncio.Event()

    # --- reading -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read until the input ends, then let the avatar say what waits, and ask the program to stop."""
        async for line in self._lines():
            if self._is_terminal or not line.strip():
                await self._take(line)
            else:
                self._print([f"> {line.strip()}"])
                await self._take(line)
        if not self._is_terminal:
            await self._let_it_speak()
        self._desk.stop()

    def _lines(self) -> AsyncIterator[str]:
        if not self._is_terminal:
            return piped_lines(sys.stdin)
        words = [f"/{usage.group} {usage.verb}" for usage in self._desk.commands.usages.values()]
        return terminal_lines(lambda: status_line(self._view, self._desk.clock), ["/help", *words])

    async def _take(self, line: str) -> None:
        line = line.strip()
        if not line:
            return
        try:
            if line.startswith("/"):
                reply = await self._obey(line[1:])
            else:
                reply = await self._relay(line)
        except Refused as refusal:
            reply = Reply(str(refusal))
        except AvatarRelayError as error:
            reply = Reply(sentences.failure(error)[0])
        self._print(lines_of_reply(reply))

    async def _obey(self, line: str) -> Reply:
        word, _, rest = line.partition(" ")
        if word == "help":
            word, rest = AVATAR, "help"
        if word not in (AVATAR, ADMIN):
            raise Refused(
                sentences.unknown_command(f"/{word}"[:40], ["/avatar", "/avatar-admin", "/help"]), stage="grammar"
            )
        command = parse(rest, self._desk.commands.usages, word)
        if not self._is_terminal and self._closes(command):
            await self._let_it_speak()
        return await self._desk.commands.run(Asked(command, CHANNEL, ACTOR))

    async def _relay(self, line: str) -> Reply:
        receipt = await self._desk.relay.receive(Message(CHANNEL, ACTOR, line))
        return Reply(sentences.queued(receipt.ahead, live_yet=receipt.live_yet))

    # --- the end of piped input --------------------------------------------------------------------------------------

    @staticmethod
    def _closes(command: Command) -> bool:
        return command.verb in ("stop", "cleanup")

    async def _let_it_speak(self) -> None:
        """Wait until everything that was written is said; what an interrupt holds back goes on."""
        running = self._running()
        if running is None:
            return
        while not running.closed.is_set():
            await running.quiet.wait()
            if not running.speech.held:
                return
            self._print([sentences.going_on(running.waiting)])
            running.post(running.speech.skip)

    def _running(self) -> RunningSession | None:
        return self._desk.sessions.in_channel(CHANNEL)

    # --- showing -----------------------------------------------------------------------------------------------------

    async def show(self, event: SessionEvent) -> None:
        """Print what happened in the console's channel."""
        if isinstance(event, SessionChanged):
            self._view = None if event.view.phase is Phase.ENDED else event.view
        self._print(lines_of_event(event))

    @staticmethod
    def _print(lines: list[str]) -> None:
        for line in lines:
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
