"""The cluster of a process that is alone with its database: a SQLite file, or whatever has no members."""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from bot.cluster.inbox import Inbox
from bot.cluster.parcels import SessionParcels
from bot.core.bus import ASK_TIMEOUT, Claimed, Cluster, Ended, Handler, LetGo, MayOwn
from bot.core.errors import ProcessUnreachable
from bot.core.models import Channel, Session
from bot.store.store import Store


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


class AllHere:
    """The directory of a process that is alone: every session is its own."""

    is_alone = True
    is_first = True

    def owner_of(self, channel: Channel) -> str | None:  # noqa: ARG002
        """No other one owns it."""
        return None

    def owner_of_link(self, nonce: str) -> str | None:  # noqa: ARG002
        """No other one owns it."""
        return None

    async def find(self, channel: Channel, *, afresh: bool = False) -> str | None:  # noqa: ARG002
        """No other one owns it."""
        return None

    async def find_link(self, nonce: str, *, afresh: bool = False) -> str | None:  # noqa: ARG002
        """No other one owns it."""
        return None

    def link_in(self, channel: Channel) -> str | None:  # noqa: ARG002 - there are no others
        """No other one has a session."""
        return None

    def opened(self, session: Session) -> None:
        """Nobody is to be told."""

    def closed(self, session: Session) -> None:
        """Nobody is to be told."""

    def released(self, session: Session) -> None:
        """Nobody is to be told."""


class NoClaims:
    """All sessions are this process's from its start."""

    def allow_only(self, platform: str, may_own: MayOwn) -> None:
        """There is nobody else who could own them."""

    def when_claimed(self, platform: str, then: Claimed) -> None:
        """There is nobody whose sessions could be claimed."""

    def when_ended(self, platform: str, then: Ended) -> None:
        """There is nobody who could have left something."""

    def before_release(self, platform: str, then: LetGo) -> None:
        """There is nobody whom sessions could be left to."""

    def hurry(self) -> None:
        """Nothing is left to be claimed."""

    async def let_go(self, sessions: Sequence[Session]) -> None:
        """There is nobody whom they could be left to."""

    async def released(self) -> None:
        """There is nobody who could claim them."""


def alone(store: Store, process: str = "alone") -> Cluster:
    """The cluster of one."""
    return Cluster(LoopBack(process), AllHere(), NoClaims(), SessionParcels(store))
