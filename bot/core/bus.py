"""The processes that share one database, as the rest of the program sees them: who owns a channel, and how to reach it.

Ports only; `bot.cluster` has what is behind them. With SQLite, and wherever one process is alone, every channel is
this process's own and nothing is ever sent.

`bot.app` makes them and puts them into `bot.services.Services.cluster`, once; who needs them takes them from there: the
core from its `services`, a chat adapter from `Bot.cluster` (`bot.facade`), `adapters.web` from its constructor.

A notification may be lost and an answer may not come: what must not be lost is a row.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.core.models import Channel, Session

ASK_TIMEOUT = 0.8
"""Seconds within which another process answers, or is taken for unreachable."""

NOBODY = ""
"""Instead of the id of a process: it has ended, and the next owner has not taken the session up yet. Whoever asks it
hears at once that it is unreachable."""

Handler = Callable[[str, str], Awaitable[str]]
"""Gets the id of the process that sent it and the body; what it returns is the answer to who asked."""


class Bus(Protocol):
    """Questions, messages and news between processes. `process` is the id of this one.

    Bodies are text of any length (what is long goes in pieces). Of one sender they arrive in the order of sending. A
    `kind` names who handles it, such as "slack.envelope"; it has no spaces.

    is_listening: what others send is heard; while it is not, news are missed. unhealthy_reason: why it has not been for
    some seconds, for `/readyz`; None while all is well.
    """

    process: str

    @property
    def unhealthy_reason(self) -> str | None: ...

    @property
    def is_listening(self) -> bool: ...

    def when_listening(self, then: Callable[[], None]) -> None:
        """Call `then` whenever listening begins, and now if it has: what was sent before was missed."""
        ...

    def handle(self, kind: str, handler: Handler) -> None:
        """Have what comes with this kind handled here. One handler a kind; each question in a task of its own, what one
        sender tells or shouts one after the other: a handler of those must not wait for long."""
        ...

    def unhandle(self, kind: str) -> None:
        """Refuse this kind from now on. What is being handled goes on."""
        ...

    async def ask(self, process: str, kind: str, body: str, *, timeout: float = ASK_TIMEOUT) -> str:
        """The other's answer. Raises `ProcessUnreachable` if it cannot be sent, or nobody there knows the kind, or its
        handler failed; `ProcessSilent` if no answer comes in time."""
        ...

    async def tell(self, process: str, kind: str, body: str) -> None:
        """Send without an answer. Raises `ProcessUnreachable` if it cannot be sent."""
        ...

    async def shout(self, kind: str, body: str) -> None:
        """Tell every other process. What cannot be sent is left out and logged: the others look for themselves."""
        ...


class Directory(Protocol):
    """Who owns the open sessions, from memory. Ids of channels hold across the workspaces of their platform, so that of
    a channel is not looked at.

    is_alone: there is no other process; every answer is None. is_first: what one process does for all, such as chores,
    is this one's; it may be another one's a second later.
    """

    @property
    def is_alone(self) -> bool: ...

    @property
    def is_first(self) -> bool: ...

    def owner_of(self, channel: Channel) -> str | None:
        """The other process that owns the channel's session, or `NOBODY`; None if it is this one, or there is no
        session."""
        ...

    def owner_of_link(self, nonce: str) -> str | None:
        """The same of the session that a watch link leads to."""
        ...

    async def find(self, channel: Channel, *, afresh: bool = False) -> str | None:
        """As `owner_of`, asking the database as well where memory knows nothing (about 1 ms). afresh: whatever memory
        knows, as when the owner did not answer. Raises `StoreError`."""
        ...

    async def find_link(self, nonce: str, *, afresh: bool = False) -> str | None:
        """As `find`, of the session that a watch link leads to. Raises `StoreError`."""
        ...

    def link_in(self, channel: Channel) -> str | None:
        """The nonce of the link of the session that another process has in a channel; None if none has one."""
        ...

    def opened(self, session: Session) -> None:
        """This process serves a session from now on; the others are told."""
        ...

    def closed(self, session: Session) -> None:
        """A session of this process is over; the others are told."""
        ...

    def released(self, session: Session) -> None:
        """A session of this process is nobody's now; the others are told."""
        ...


MayOwn = Callable[[Channel], bool]
Claimed = Callable[[Sequence[Session]], Awaitable[None]]
Ended = Callable[[], Awaitable[None]]
LetGo = Callable[[str], Awaitable[None]]
"""Gets the id of a session."""


class Claims(Protocol):
    """How sessions that no process owns find one."""

    def allow_only(self, platform: str, may_own: MayOwn) -> None:
        """Have sessions of a platform claimed only where `may_own` says of their channel that they belong here; where
        nobody says so, and where there is no other process, all may be."""
        ...

    def when_claimed(self, platform: str, then: Claimed) -> None:
        """Await `then` with the sessions of a platform that have just been claimed: they run already, and what was
        parked for them is handled afterwards. What it raises is logged."""
        ...

    def when_ended(self, platform: str, then: Ended) -> None:
        """Await `then` once a process has ended, where this one looks after what it may have left of sessions that are
        over, so that nobody claims them. What it raises is logged."""
        ...

    def before_release(self, platform: str, then: LetGo) -> None:
        """Await `then` with each session of a platform that is about to be released to the other processes: from then
        on nothing is shown of it here, nor heard. What it raises is logged."""
        ...

    def hurry(self) -> None:
        """More may be owned than a moment ago: claim now, and not with the next beat."""
        ...

    async def let_go(self, sessions: Sequence[Session]) -> None:
        """Sessions that run here no more are about to be released: `before_release`."""
        ...

    async def released(self) -> None:
        """Sessions have no owner any more in the database: have the others claim them at once."""
        ...


Open = Callable[[str, float | None], Awaitable[None]]
"""Handles the body of a parcel. What gets seconds besides has waited so long, which is too long: it is not carried out,
and whose it was is told. Raises `StoreError` if it could not: it is handled again."""


class Parcels(Protocol):
    """What came in for a session whose owner could not be reached: rows, handled in their order by its next owner."""

    async def put(self, channel: Channel, kind: str, body: str) -> None:
        """Returns once it is on the disk. It may be handled twice. Raises `StoreError`."""
        ...

    def handle(self, kind: str, opener: Open) -> None:
        """Have parcels of this kind handled here. One of a kind that nobody handles waits."""
        ...

    def unhandle(self, kind: str) -> None:
        """Let parcels of this kind wait from now on."""
        ...


@dataclass(frozen=True, slots=True)
class Cluster:
    """What `bot.services.Services.cluster` has."""

    bus: Bus
    directory: Directory
    claims: Claims
    parcels: Parcels
