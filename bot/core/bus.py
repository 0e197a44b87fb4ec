"""The processes that share one database, as the rest of the program sees them: who owns a channel, and how to reach it.

Ports only; `bot.cluster` has what is behind them. With SQLite, and wherever one process is alone, every channel is
this process's own and nothing is ever sent.

A notification may be lost and an answer may not come: what must not be lost is a row.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from bot.core.models import Channel

ASK_TIMEOUT = 0.8
"""Seconds within which another process answers, or is taken for unreachable."""

Handler = Callable[[str, str], Awaitable[str]]
"""Gets the id of the process that sent it and the body; what it returns is the answer to who asked."""


class Bus(Protocol):
    """Questions, messages and news between processes. `process` is the id of this one.

    Bodies are text of any length (what is long goes in pieces). Of one sender they arrive in the order of sending. A
    `kind` names who handles it, such as "slack.envelope".
    """

    process: str

    def handle(self, kind: str, handler: Handler) -> None:
        """Have what comes with this kind handled here. One handler a kind; each message in a task of its own, those of
        `tell` and `shout` of one sender one after the other."""
        ...

    async def ask(self, process: str, kind: str, body: str, *, timeout: float = ASK_TIMEOUT) -> str:
        """The other's answer. Raises `ProcessUnreachable` if none comes in time, or nobody there knows the kind, or
        its handler failed."""
        ...

    async def tell(self, process: str, kind: str, body: str) -> None:
        """Send without an answer. Raises `ProcessUnreachable` if it cannot be sent."""
        ...

    async def shout(self, kind: str, body: str) -> None:
        """Tell every other process. What cannot be sent is left out and logged: the others look for themselves."""
        ...


class Directory(Protocol):
    """Who owns the open sessions, from memory."""

    def owner_of(self, channel: Channel) -> str | None:
        """The other process that owns the channel's session; None if it is this one, or there is no session."""
        ...

    def owner_of_link(self, nonce: str) -> str | None:
        """The same of the session that a watch link leads to."""
        ...

    async def find(self, channel: Channel) -> str | None:
        """As `owner_of`, asking the database as well where memory knows nothing (about 1 ms)."""
        ...

    def link_in(self, channel: Channel) -> str | None:
        """The nonce of the watch link of the session that another process has in a channel; None if there is none."""
        ...


class Peers(Protocol):
    """Which processes live, as of the last look."""

    @property
    def has_others(self) -> bool:
        """Whether this process is not the only one."""
        ...

    @property
    def is_first(self) -> bool:
        """Whether it is this process that does what one of all is to do. For some seconds two may be, or none is."""
        ...


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a process has of the others."""

    bus: Bus
    directory: Directory
    peers: Peers
