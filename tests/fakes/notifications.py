"""LISTEN and NOTIFY in memory, with a server that may be away or lose a connection: for `bot.cluster.bus` on a clock
that the test moves. `tests/contract/store/test_notify.py` says how the real one behaves."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bot.core.errors import StoreUnavailable
from bot.store.notify import Listener, Notifier
from bot.store.url import DatabaseUrl


@dataclass
class NotifyingServer:
    """Who listens to what. is_away: nobody is answered. loses: payloads that are not delivered, by what is in them."""

    listeners: list["FakeListener"] = field(default_factory=list)
    is_away: bool = False
    loses: Callable[[str], bool] = lambda _: False
    statements: list[list[tuple[str, str]]] = field(default_factory=list)

    def wire(
        self, address: DatabaseUrl, name: str, channels: Sequence[str], on_payload: Callable[[str], None]
    ) -> tuple[Listener, Notifier]:
        return FakeListener(self, channels, on_payload), FakeNotifier(self)

    def must_answer(self) -> None:
        if self.is_away:
            raise StoreUnavailable("the database does not answer")


class FakeListener(Listener):
    """One process's way to hear. is_silent: its connection is dead, and nobody has told it."""

    def __init__(self, server: NotifyingServer, channels: Sequence[str], on_payload: Callable[[str], None]) -> None:
        self.server = server
        self.channels = channels
        self.on_payload = on_payload
        self.is_lost = asyncio.Event()
        self.is_silent = False

    async def listen(self) -> None:
        self.server.must_answer()
        self.is_lost, self.is_silent = asyncio.Event(), False
        self.server.listeners.append(self)

    async def check(self) -> None:
        if self.is_silent or self.server.is_away:
            self.close()
            raise StoreUnavailable("the connection is dead")

    def lose(self) -> None:
        """The server ends the connection."""
        self.close()
        self.is_lost.set()

    def close(self) -> None:
        if self in self.server.listeners:
            self.server.listeners.remove(self)


class FakeNotifier(Notifier):
    """One process's way to send. is_away: its own connection alone does not come about."""

    def __init__(self, server: NotifyingServer) -> None:
        self.server = server
        self.is_away = False

    async def notify(self, sent: Sequence[tuple[str, str]]) -> None:
        self.server.must_answer()
        if self.is_away:
            raise StoreUnavailable("the database does not answer")
        self.server.statements.append(list(sent))
        for channel, payload in sent:
            for listener in list(self.server.listeners):
                if channel in listener.channels and not listener.is_silent and not self.server.loses(payload):
                    listener.on_payload(payload)

    def close(self) -> None:
        pass
