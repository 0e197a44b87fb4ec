"""Processes that share a database, in one: a bus between them that may lose messages, and a directory that all of them
see at once. `bot.core.bus` says how the real ones behave."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bot.core.bus import ASK_TIMEOUT, NOBODY, Claimed, Cluster, Ended, Handler, LetGo, MayOwn, Open
from bot.core.errors import ProcessUnreachable
from bot.core.models import Channel, Session


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was handed to the bus."""

    sender: str
    receiver: str
    kind: str
    body: str


@dataclass
class Processes:
    """All of them. silent: those that do not answer. lost: kinds of which nothing arrives. in_time: what is told and
    shouted waits for this. owners, links: the sessions, by the nonce of their links and by their channels."""

    buses: dict[str, "FakeBus"] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    in_time: asyncio.Event = field(default_factory=asyncio.Event)
    sent: list[Sent] = field(default_factory=list)
    owners: dict[str, str] = field(default_factory=dict)
    links: dict[Channel, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.in_time.set()

    def join(self, process: str) -> Cluster:
        """One more."""
        bus = self.buses[process] = FakeBus(process, self)
        return Cluster(bus, FakeDirectory(process, self), NoClaims(), NoParcels())

    def asked(self, kind: str) -> list[str]:
        """The bodies of all messages of a kind."""
        return [sent.body for sent in self.sent if sent.kind == kind]

    async def close(self) -> None:
        """Nobody hears anything any more."""
        tasks = [task for bus in self.buses.values() for task in bus.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class FakeBus:
    """`bot.core.bus.Bus` of one of them."""

    is_listening = True
    unhealthy_reason = None

    def __init__(self, process: str, everybody: Processes) -> None:
        self.process = process
        self.tasks: set[asyncio.Task[None]] = set()
        self._everybody = everybody
        self._handlers: dict[str, Handler] = {}
        self._waiting: dict[str, deque[tuple[str, str]]] = {}

    def when_listening(self, then: Callable[[], None]) -> None:
        then()

    def handle(self, kind: str, handler: Handler) -> None:
        assert kind not in self._handlers
        self._handlers[kind] = handler

    def unhandle(self, kind: str) -> None:
        self._handlers.pop(kind, None)

    async def ask(self, process: str, kind: str, body: str, *, timeout: float = ASK_TIMEOUT) -> str:
        handler = self._way_to(process, kind, body)._handlers.get(kind)
        if handler is None or kind in self._everybody.lost:
            raise ProcessUnreachable(f"{process} does not answer")
        await asyncio.sleep(0)
        try:
            return await handler(self.process, body)
        except Exception as error:
            raise ProcessUnreachable(f"{process} has failed") from error

    async def tell(self, process: str, kind: str, body: str) -> None:
        other = self._way_to(process, kind, body)
        if kind not in self._everybody.lost:
            other.arrive(self.process, kind, body)

    async def shout(self, kind: str, body: str) -> None:
        for process in self._everybody.buses:
            if process != self.process and process not in self._everybody.silent:
                await self.tell(process, kind, body)

    def arrive(self, sender: str, kind: str, body: str) -> None:
        """Have a message handled, after those that came from the same sender before."""
        waiting = self._waiting.setdefault(sender, deque())
        waiting.append((kind, body))
        if len(waiting) == 1:
            task = asyncio.create_task(self._handle_all(sender, waiting))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _handle_all(self, sender: str, waiting: deque[tuple[str, str]]) -> None:
        while waiting:
            await self._everybody.in_time.wait()
            kind, body = waiting[0]
            if (handler := self._handlers.get(kind)) is not None:
                await handler(sender, body)
            waiting.popleft()

    def _way_to(self, process: str, kind: str, body: str) -> "FakeBus":
        self._everybody.sent.append(Sent(self.process, process, kind, body))
        if (
            process not in self._everybody.buses
            or process in self._everybody.silent
            or self.process in self._everybody.silent
        ):
            raise ProcessUnreachable(f"{process} does not answer")
        return self._everybody.buses[process]


class FakeDirectory:
    """`bot.core.bus.Directory` of one of them."""

    def __init__(self, process: str, everybody: Processes) -> None:
        self._process = process
        self._everybody = everybody

    @property
    def _living(self) -> list[str]:
        return sorted(name for name in self._everybody.buses if name not in self._everybody.silent)

    @property
    def is_alone(self) -> bool:
        return all(name == self._process for name in self._living)

    @property
    def is_first(self) -> bool:
        return self._living[:1] == [self._process]

    def owner_of(self, channel: Channel) -> str | None:
        return self.owner_of_link(self._everybody.links.get(channel, ""))

    def owner_of_link(self, nonce: str) -> str | None:
        owner = self._everybody.owners.get(nonce)
        return None if owner == self._process else owner

    async def find(self, channel: Channel, *, afresh: bool = False) -> str | None:
        return self.owner_of(channel)

    async def find_link(self, nonce: str, *, afresh: bool = False) -> str | None:
        return self.owner_of_link(nonce)

    def link_in(self, channel: Channel) -> str | None:
        return None if self.owner_of(channel) is None else self._everybody.links.get(channel)

    def released(self, session: Session) -> None:
        self._everybody.owners[session.link_nonce] = NOBODY

    def opened(self, session: Session) -> None:
        self._everybody.owners[session.link_nonce] = self._process
        self._everybody.links[session.channel] = session.link_nonce

    def closed(self, session: Session) -> None:
        self._everybody.owners.pop(session.link_nonce, None)
        self._everybody.links.pop(session.channel, None)


class NoClaims:
    """Every session has an owner."""

    def allow_only(self, platform: str, may_own: MayOwn) -> None:
        pass

    def when_claimed(self, platform: str, then: Claimed) -> None:
        pass

    def when_ended(self, platform: str, then: Ended) -> None:
        pass

    def before_release(self, platform: str, then: LetGo) -> None:
        pass

    def hurry(self) -> None:
        pass

    async def let_go(self, sessions: Sequence[Session]) -> None:
        pass

    async def released(self) -> None:
        pass


class NoParcels:
    """Every owner is there."""

    async def put(self, channel: Channel, kind: str, body: str) -> None:
        raise AssertionError(f"{kind} was parked")

    def handle(self, kind: str, opener: Open) -> None:
        pass

    def unhandle(self, kind: str) -> None:
        pass
