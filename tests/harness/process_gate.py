"""What stands between one process and the world in a test: each write, read, beat, notification and request, and each
answer, passes its gate, where the process may be stopped, cut off from the database, or dead.

In between a process goes on as it likes, as nobody sees that. Each passage is an instant at which it may be struck
(`ProcessGate.strike_in`): between the check of a right and the request, within a transaction, between a commit and its
answer.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.avatars.http import ProviderHttpClient
from bot.core.errors import StoreUnavailable, Transient
from bot.store.connections import Begin
from bot.store.notify import Listener, Notifier
from bot.store.processes import BEAT_LIMIT, Process, ProcessRows
from bot.store.store import Store
from bot.store.url import DatabaseUrl
from tests.fakes.notifications import FakeListener, FakeNotifier, NotifyingServer
from tests.harness.clock import ProcessClock

T = TypeVar("T")

Hear = Callable[[str], None]


class ProcessGate:
    """The gate of one process.

    is_cut: it has no way to the database; is_silent: and nothing tells it so but the time that passes. is_dead: nothing
    it does takes effect any more.
    """

    def __init__(self, clock: ProcessClock) -> None:
        self.clock = clock
        self.is_cut = False
        self.is_silent = False
        self.is_dead = False
        self.listeners: list[FakeListener] = []
        self._waiting: dict[asyncio.Future[None], Exception] = {}
        self._unheard: list[Callable[[], None]] = []
        self._instants = 0
        self._blow: Callable[[], None] = lambda: None

    # --- what befalls the process ------------------------------------------------------------------------------------

    def stop(self) -> None:
        """As SIGSTOP does."""
        self.clock.is_stopped = True

    def go_on(self) -> None:
        """As SIGCONT does: what was due and what came in meanwhile is there at once."""
        if self.is_dead or not self.clock.is_stopped:
            return
        self.clock.go_on()
        waiting, self._waiting = self._waiting, {}
        for passage in waiting:
            if not passage.done():
                passage.set_result(None)
        unheard, self._unheard = self._unheard, []
        for hear in unheard:
            hear()

    def cut(self, *, silently: bool) -> None:
        """Take its way to the database. silently: what it sends is swallowed, so that it waits in vain."""
        self.is_cut, self.is_silent = True, silently
        for listener in self.listeners:
            if silently:
                listener.is_silent = True
            else:
                listener.lose()

    def heal(self) -> None:
        """Give it back."""
        self.is_cut = False

    def die(self) -> None:
        """As SIGKILL does; whatever belongs to the process is to be taken down, while `release` is called."""
        self.is_dead = True
        # Nothing of it is ever due again.
        self.clock.is_stopped = True
        for listener in self.listeners:
            listener.close()

    def strike_in(self, instants: int, blow: Callable[[], None]) -> None:
        """Have `blow` come after so many more passages."""
        self._instants, self._blow = instants, blow

    def release(self) -> None:
        """Let whoever waits in a dead process fail."""
        waiting, self._waiting = self._waiting, {}
        for passage, ending in waiting.items():
            if not passage.done():
                passage.set_exception(ending)

    # --- the passages ------------------------------------------------------------------------------------------------

    async def passage(self, ending: Exception) -> None:
        """Wait while the process is stopped. `ending` is raised in one that is dead."""
        if self._instants:
            self._instants -= 1
            if not self._instants:
                self._blow()
        while self.is_dead or self.clock.is_stopped:
            await self._wait(asyncio.get_running_loop().create_future(), ending)

    async def _wait(self, passage: asyncio.Future[None], ending: Exception) -> None:
        self._waiting[passage] = ending
        try:
            await passage
        finally:
            self._waiting.pop(passage, None)

    async def to_database(self) -> None:
        """Pass on the way to the database, or back. Raises `StoreUnavailable`."""
        ending = StoreUnavailable("the process is dead")
        await self.passage(ending)
        if self.is_cut:
            if self.is_silent:
                passage: asyncio.Future[None] = asyncio.get_running_loop().create_future()

                def let_through() -> None:
                    if not passage.done():
                        passage.set_result(None)

                self.clock.call_later(BEAT_LIMIT, let_through)
                await self._wait(passage, ending)
                await self.passage(ending)
            raise StoreUnavailable("the database cannot be reached")

    async def database(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do something in the database."""
        await self.to_database()
        result = await work()
        await self.to_database()
        return result

    def wrap_begin(self, begin: Begin) -> Begin:
        """For `Store.open`: a transaction that passes before it begins, before it is committed, and after that."""

        @asynccontextmanager
        async def wrapped() -> AsyncIterator[AsyncConnection]:
            await self.to_database()
            async with begin() as connection:
                yield connection
                await self.to_database()
            await self.to_database()

        return wrapped

    def guard_reads(self, store: Store) -> None:
        """Have what a store reads pass."""
        connections: Any = store._connections
        read = connections.read

        async def guarded(work: Callable[[Any], Any]) -> Any:
            return await self.database(partial(read, work))

        connections.read = guarded

    def guard_requests(self, connection: ProviderHttpClient, process: str) -> None:
        """Have the requests to the provider pass, with a header that names it."""
        client: Any = connection
        make, send = client._request, client._send
        ending = Transient("the process is dead", may_have_taken_effect=True)

        def named(*arguments: Any) -> Any:
            request = make(*arguments)
            request.headers[WHO] = process
            return request

        async def guarded(request: Any) -> Any:
            await self.passage(ending)
            answer = await send(request)
            await self.passage(ending)
            return answer

        client._request, client._send = named, guarded

    def wire(
        self, server: NotifyingServer, _address: DatabaseUrl, _name: str, channels: Sequence[str], hear: Hear
    ) -> tuple[Listener, Notifier]:
        """For `PostgresBus`: a way to hear and to send that passes."""
        listener = _Listener(self, server, channels, partial(self._hear, hear))
        self.listeners.append(listener)
        return listener, _Notifier(self, server)

    def _hear(self, hear: Hear, payload: str) -> None:
        if self.is_cut or self.is_dead:
            return
        if self.clock.is_stopped:
            self._unheard.append(partial(hear, payload))
        else:
            hear(payload)


WHO = "X-Process"
"""The header that says which process a request is of."""


class GuardedRows(ProcessRows):
    """The beats, looks and ends of one process, which pass its gate."""

    def __init__(self, address: DatabaseUrl, gate: ProcessGate) -> None:
        super().__init__(address)
        self._gate = gate

    async def join(self, process: Process, *, alone: bool = False) -> None:
        await self._gate.database(partial(super().join, process, alone=alone))

    async def beat(self, process_id: str) -> tuple[list[Process], bool]:
        try:
            return await self._gate.database(partial(super().beat, process_id))
        except StoreUnavailable:
            await self._drop_kept()
            raise

    async def end(self, process: Process) -> bool:
        return await self._gate.database(partial(super().end, process))

    async def announce_leaving(self, process_id: str) -> None:
        await self._gate.database(partial(super().announce_leaving, process_id))

    async def leave(self, process_id: str) -> None:
        await self._gate.database(partial(super().leave, process_id))


class _Listener(FakeListener):
    def __init__(self, gate: ProcessGate, server: NotifyingServer, channels: Sequence[str], hear: Hear) -> None:
        super().__init__(server, channels, hear)
        self._gate = gate

    async def listen(self) -> None:
        await self._gate.database(super().listen)

    async def check(self) -> None:
        try:
            await self._gate.to_database()
        except StoreUnavailable:
            self.close()
            raise
        await super().check()


class _Notifier(FakeNotifier):
    def __init__(self, gate: ProcessGate, server: NotifyingServer) -> None:
        super().__init__(server)
        self._gate = gate

    async def notify(self, sent: Sequence[tuple[str, str]]) -> None:
        await self._gate.database(partial(super().notify, sent))
