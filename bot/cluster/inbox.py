"""What comes in from other processes, handed to who handles its kind: questions side by side, news in order.

Sends nothing. What a handler raises is logged here; who asked is told that there is no answer.
"""

from collections import deque
from collections.abc import Callable

import structlog

from bot.core.bus import Handler
from bot.core.errors import AvatarRelayError, ProcessUnreachable
from bot.core.tasks import TaskSet
from bot.core.unexpected import report_unexpected

log = structlog.get_logger(__name__)

MAX_WAITING = 10_000
"""News of one sender that wait; what comes then is left out: who is so far behind has missed it in any case."""

Reply = Callable[[str | None, str], None]
"""Gets the answer, or None and why there is none."""


class Inbox:
    """The handlers of one process, and the tasks in which they work."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        self._tasks = TaskSet()
        self._news: dict[str, deque[tuple[str, str]]] = {}

    def handle(self, kind: str, handler: Handler) -> None:
        """Have this kind handled from now on."""
        if not kind or " " in kind or "\n" in kind:
            raise ValueError(f"{kind!r} is no kind of message")
        if kind in self._handlers:
            raise ValueError(f"somebody handles {kind} already")
        self._handlers[kind] = handler

    def unhandle(self, kind: str) -> None:
        """Refuse this kind from now on."""
        self._handlers.pop(kind, None)

    async def answer(self, sender: str, kind: str, body: str) -> str:
        """The answer to a question of this very process. Raises `ProcessUnreachable` if there is none."""
        answer, why = await self._handled(sender, kind, body)
        if answer is None:
            raise ProcessUnreachable(f"this process gave no answer: {why}")
        return answer

    def take_question(self, sender: str, kind: str, body: str, reply: Reply) -> None:
        """Have a question answered; `reply` is called once, unless `close` comes before."""
        self._tasks.create_task(self._answer(sender, kind, body, reply), name=f"bus question {kind}")

    def take_news(self, sender: str, kind: str, body: str) -> None:
        """Have news handled, behind all that came from this sender before."""
        waiting = self._news.get(sender)
        if waiting is None:
            waiting = self._news[sender] = deque()
            self._tasks.create_task(self._handle_news(sender, waiting), name=f"bus news of {sender}")
        if len(waiting) >= MAX_WAITING:
            log.error("too much of another process waits, so something is left out", kind=kind)
            return
        waiting.append((kind, body))

    async def close(self) -> None:
        """Handle nothing any more."""
        self._handlers.clear()
        self._news.clear()
        await self._tasks.close()

    async def _handle_news(self, sender: str, waiting: deque[tuple[str, str]]) -> None:
        try:
            while waiting:
                await self._handled(sender, *waiting.popleft())
        finally:
            if self._news.get(sender) is waiting:
                del self._news[sender]

    async def _answer(self, sender: str, kind: str, body: str, reply: Reply) -> None:
        reply(*await self._handled(sender, kind, body))

    async def _handled(self, sender: str, kind: str, body: str) -> tuple[str | None, str]:
        handler = self._handlers.get(kind)
        if handler is None:
            # Of another version, or it has begun to end.
            log.info("another process sent something that nobody handles here", kind=kind)
            return None, "nobody handles it there"
        try:
            return await handler(sender, body), ""
        except AvatarRelayError as error:
            log.warning("what another process sent could not be handled", kind=kind, error=str(error))
        except Exception as error:  # noqa: BLE001 - the boundary to what another process sends
            report_unexpected("what another process sent could not be handled: unexpected error", error, kind=kind)
        return None, "it failed there"
