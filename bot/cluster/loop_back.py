"""The bus of a process that is alone with its database: it can ask and tell itself, and hears nobody else."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from bot.cluster.inbox import Inbox
from bot.core.bus import ASK_TIMEOUT, Handler
from bot.core.errors import ProcessUnreachable


class LoopBack:
    """The bus of a process that is alone: nobody else is told, or can be asked."""

    is_listening = True
    unhealthy_reason: str | None = None

    def __init__(self, process: str) -> None:
        self.process = process
        self._inbox = Inbox()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._inbox.close()

    def when_listening(self, then: Callable[[], None]) -> None:
        """Call `then`, once: nothing is ever missed."""
        then()

    def handle(self, kind: str, handler: Handler) -> None:
        """Have this kind handled."""
        self._inbox.handle(kind, handler)

    def unhandle(self, kind: str) -> None:
        """Refuse this kind from now on."""
        self._inbox.unhandle(kind)

    async def ask(self, process: str, kind: str, body: str, *, timeout: float = ASK_TIMEOUT) -> str:  # noqa: ARG002 - it is here
        """The answer of this very process. Raises `ProcessUnreachable` for every other one, too."""
        self._must_be_me(process)
        return await self._inbox.answer(process, kind, body)

    async def tell(self, process: str, kind: str, body: str) -> None:
        """Tell this very process. Raises `ProcessUnreachable` for every other one."""
        self._must_be_me(process)
        self._inbox.take_news(process, kind, body)

    async def shout(self, kind: str, body: str) -> None:
        """Nobody else is there."""

    def _must_be_me(self, process: str) -> None:
        if process != self.process:
            raise ProcessUnreachable("there is no other process")
