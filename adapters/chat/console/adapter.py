"""The console chat: takes lines, hands commands and messages to the core, shows what comes back.

With a terminal it serves a person; with piped input it reads to the end, lets the avatar say everything before it obeys
`stop`, and ends. Decides nothing about sessions.
"""

import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from types import TracebackType
from typing import Self

import structlog

from adapters.chat.console.render import (
    CLOSING,
    NOT_RELAYED,
    WAITING,
    Line,
    completions,
    echo,
    lines_of_event,
    lines_of_reply,
    status_line,
)
from adapters.chat.console.stdin import piped_lines
from adapters.chat.console.terminal import styled, typed_lines
from bot import sentences
from bot.commands.parser import ADMIN, AVATAR, CommandContext, parse
from bot.core.errors import AvatarRelayError, Refused
from bot.core.events import Notice, SessionChanged, SessionEvent
from bot.core.models import Actor, Channel, Role
from bot.core.views import Phase, Reply, SessionView
from bot.facade import Bot, WebRoute
from bot.relay import Message
from bot.sessions.session import AvatarSession
from bot.settings import Settings
from bot.terminal import at_terminal, write_line

log = structlog.get_logger(__name__)

CHANNEL = Channel("console", "local", "console")
ACTOR = Actor("console", "you", "you", role=Role.ADMIN, is_operator=True)
"""Whoever sits at the machine that runs the bot may do everything."""


class ConsoleAdapter:
    """The console as a chat platform."""

    name = "console"
    routes: Sequence[WebRoute] = ()
    embed = None
    unhealthy_reason: str | None = None

    @classmethod
    def missing_settings(cls, settings: Settings) -> str | None:  # noqa: ARG003 - a console needs nothing
        """Nothing has to be set for it."""
        return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Everything has been printed already."""

    def __init__(self, bot: Bot) -> None:
        self._bot = bot
        self._is_terminal = at_terminal()
        self._view: SessionView | None = None
        self._link: str | None = None

    # --- reading -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read until the input ends, then let the avatar say what waits, and ask the program to stop."""
        # Closed here and not by the garbage collector: it gives the terminal back.
        async with aclosing(self._lines()) as lines:
            async for line in lines:
                if not self._is_terminal:
                    await self._until_gone()
                await self._take(line.strip())
        if not self._is_terminal:
            await self._let_it_speak()
        elif self._view is not None:
            self._print([Line(CLOSING)])
        self._bot.stop()

    def _lines(self) -> AsyncGenerator[str, None]:
        if not self._is_terminal:
            return piped_lines(sys.stdin)
        words = completions(self._bot.commands.usages.values())
        return typed_lines(lambda: status_line(self._view, self._bot.clock), words)

    async def _take(self, line: str) -> None:
        if not line:
            return
        if not self._is_terminal:
            self._print([echo(line)])
        try:
            reply = await (self._obey(line[1:]) if line.startswith("/") else self._relay(line))
        except Refused as refusal:
            reply = Reply(str(refusal))
        except AvatarRelayError as error:
            sentence, reference = sentences.failure(error)
            log.error("a line was not taken", reference=reference, error=str(error))
            reply = Reply(sentence)
        self._link = reply.link or self._link
        self._print(lines_of_reply(reply))

    async def _obey(self, line: str) -> Reply:
        word, _, rest = line.replace("\t", " ").partition(" ")
        word = word.lower()
        if word == "help":
            word, rest = AVATAR, "help"
        if word not in (AVATAR, ADMIN):
            raise Refused(
                sentences.unknown_command(f"/{word}"[:40], [f"/{AVATAR}", f"/{ADMIN}", "/help"]), stage="grammar"
            )
        command = parse(rest, self._bot.commands.usages, word)
        if not self._is_terminal and command.verb == "stop":
            await self._let_it_speak()
        reply = await self._bot.commands.run(CommandContext(command, CHANNEL, ACTOR))
        assert reply is not None  # noqa: S101 - nobody delivers a typed line twice
        return reply

    async def _relay(self, line: str) -> Reply:
        receipt = await self._bot.relay.receive(Message(CHANNEL, ACTOR, line))
        if receipt.ignored is not None:
            return Reply(NOT_RELAYED)
        return receipt.reply()

    # --- piped input -------------------------------------------------------------------------------------------------

    async def _until_gone(self) -> None:
        """A pipe does not wait as a person does: see the avatar out before the next line asks for another one."""
        if (running := self._running()) is not None and running.stop.is_set:
            await running.closed.wait()
            # One turn of the loop for the words that go with it.
            await self._bot.clock.sleep(0)

    async def _let_it_speak(self) -> None:
        """Wait until everything that was written is said; what an interrupt holds back goes on."""
        running = self._running()
        if running is None:
            return
        if running.waiting or running.speaker.is_saying_something or not running.is_live:
            self._print([Line(WAITING)])
        while not running.closed.is_set():
            await running.idle.wait()
            if not running.speaker.status.is_paused:
                return
            self._print([Line(sentences.going_on(running.waiting))])
            running.mailbox.post(running.speaker.skip)

    def _running(self) -> AvatarSession | None:
        return self._bot.sessions.in_channel(CHANNEL)

    # --- showing -----------------------------------------------------------------------------------------------------

    async def show(self, event: SessionEvent) -> None:
        """Print what happened in the console's channel."""
        if isinstance(event, SessionChanged):
            self._view = None if event.view.phase is Phase.ENDED else event.view
        if isinstance(event, Notice) and event.reply.link == self._link:
            # The answer to the start has shown it already.
            event = replace(event, reply=replace(event.reply, link=None))
        elif isinstance(event, Notice):
            self._link = event.reply.link or self._link
        self._print(lines_of_event(event))

    def _print(self, lines: Sequence[Line]) -> None:
        for line in lines:
            if not write_line(styled(line) if self._is_terminal else line.text):
                # Nobody reads the answers any more.
                self._bot.stop()
                return
