"""Several processes at one PostgreSQL database and one avatar service, all of them in this one, on a clock that the
test moves: what people and failures do to them. Whether that was right is seen by `tests.harness.judge`.

The database is a real server, so its snapshots and locks are: time stands still while a statement is under way
(`tests.harness.settle`), and goes on when nothing can happen any more.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch

import sqlalchemy as sa
import stamina
from aiohttp import web
from structlog.testing import capture_logs

from adapters.simulator import Simulator, StreamView
from bot.core.policy import SessionPolicy
from bot.core.tasks import TaskSet, cancel_and_wait
from bot.store import engine
from bot.store.tables import metadata, processes, sessions, streams, utterances
from bot.store.url import parse_url
from tests.fakes.notifications import NotifyingServer
from tests.harness.bot import MISTAKES, simulated
from tests.harness.clock import ManualClock
from tests.harness.member import TEAM, Heard, Member
from tests.harness.process_gate import WHO
from tests.harness.settle import wait_loop_idle, watch_work_elsewhere

NAMES = ("ada", "ben", "cyd")
CHANNELS = ("C1", "C2")

IDLE_IN_TRANSACTION = "500ms"
"""Of real time, for which a process that is stopped within a transaction holds up all others."""

ACK = 3.0
"""Seconds that Slack waits for an answer."""

AGAIN_AFTER = 5.0
"""Seconds until it brings an event again; its own pauses are minutes."""

LABEL = re.compile(r"message \d{4}")

PATIENCE = 1000.0
"""Seconds of the clock that something may take to come true: a full queue has some hundred seconds of speech, and what
nobody closed at v1 ends after 600."""


class SharedDatabase:
    """As an async context manager: all processes run.

    violations: what was seen that may never be, in words. written: the channels of the messages, by what they begin
    with. acknowledged: those that Slack does not bring again, and how many there were when that was settled.
    """

    def __init__(self, url: str, *, provider: str = "heygen-realtime", policy: SessionPolicy | None = None) -> None:
        """`url` is a database with tables; its rows go. provider: one of `tests.harness.member.PROVIDERS`."""
        self.clock = ManualClock()
        self.violations: list[str] = []
        self.heard = Heard()
        self.was_struck = False
        self.written: dict[str, str] = {}
        self.acknowledged: dict[str, int] = {}
        self.simulator = Witness(self)
        self.log: list[Any] = []
        server = NotifyingServer()
        self.members = [Member(name, url, self.clock, server, self.heard) for name in NAMES]
        for member in self.members:
            member.on_lost = partial(self._end, member, member.exit)
        self._url = url
        self._provider, self._policy = provider, policy or SessionPolicy()
        self._ending: dict[Member, asyncio.Task[None]] = {}
        self._deliveries = TaskSet()
        self._given = 0
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        watch_work_elsewhere()
        self._tasks_before = asyncio.all_tasks()
        self._stack.enter_context(patch.object(engine, "IDLE_IN_TRANSACTION", IDLE_IN_TRANSACTION))
        self._stack.enter_context(stamina.set_testing(True, attempts=4, cap=True))
        self.log = self._stack.enter_context(capture_logs())
        self._engine = engine.create_engine(parse_url(self._url))
        self._stack.push_async_callback(self._engine.dispose)
        await self._empty()
        await self.simulator.start()
        for member in self.members:
            await self.boot(member)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._deliveries.close()
        try:
            for member in self.members:
                await self.kill(member)
            await self.simulator.stop()
            await wait_loop_idle()
            await self._empty()
        finally:
            await self._stack.aclose()
        if kind is None:
            left = {task.get_name() for task in asyncio.all_tasks() - self._tasks_before - {asyncio.current_task()}}
            assert not left, f"these tasks were left behind: {left}"
            mistakes = [entry for entry in self.log if any(mistake in entry["event"] for mistake in MISTAKES)]
            assert not mistakes, mistakes

    async def _empty(self) -> None:
        await self.execute(sa.text(f"TRUNCATE {', '.join(table.name for table in metadata.sorted_tables)}"))

    async def query(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        """What the database says."""
        async with self._engine.connect() as connection:
            rows: Sequence[sa.Row[Any]] = (await connection.execute(query)).all()
        return rows

    async def execute(self, statement: sa.Executable) -> None:
        """Change the database."""
        async with self._engine.begin() as connection:
            await connection.execute(statement)

    # --- what befalls the processes ----------------------------------------------------------------------------------

    async def boot(self, member: Member) -> None:
        """Start one that does not run."""
        if not member.is_up and member not in self._ending:
            await member.boot(self._provider, self.simulator.address, self._policy)

    async def kill(self, member: Member) -> None:
        """End one at once, whatever it is at."""
        ending = self._ending.pop(member, None)
        if member.is_up or ending is not None:
            await member.kill()
            await cancel_and_wait(ending)

    def leave(self, member: Member) -> None:
        """Have one hand over and end, while time passes."""
        self._end(member, member.leave)

    def strike(self, member: Member, instants: int, kind: str) -> None:
        """Have one stopped, cut off or killed in the middle of what it does, so many instants from now."""
        if member.is_up:
            self.was_struck = True
            gate = member.gate
            blows: dict[str, Callable[[], None]] = {
                "stop": gate.stop,
                "cut": partial(gate.cut, silently=False),
                "kill": partial(self._die, member),
            }
            gate.strike_in(instants, blows[kind])

    def _die(self, member: Member) -> None:
        member.gate.die()
        if (ending := self._ending.pop(member, None)) is not None:
            ending.cancel()
        self._ending[member] = asyncio.create_task(member.kill(), name=f"{member.name} is killed")

    def _end(self, member: Member, how: Callable[[], Awaitable[None]]) -> None:
        async def end() -> None:
            await how()

        if member.is_up and member not in self._ending:
            self._ending[member] = asyncio.create_task(end(), name=f"{member.name} ends")

    def see_off(self) -> bool:
        """Forget those that have ended. Whether none is ending any more."""
        for member in [member for member, ending in self._ending.items() if ending.done()]:
            self._ending.pop(member).result()
        return not self._ending

    # --- what people do ----------------------------------------------------------------------------------------------

    def write(self, channel: str, first: int, words: int = 3) -> str:
        """Somebody writes a message; returns what it begins with. first: which of the processes Slack brings it to;
        where that does not acknowledge it in time, the others get their turn."""
        self._given += 1
        label = f"message {self._given:04}"
        # Each one another, since what is written again and again is said a few times.
        text = " ".join([label, *(f"word{number}" for number in range(words))])
        self.written[label] = channel
        event = {"type": "app_mention", "channel": channel, "text": text, "ts": f"{self._given}"}
        payload = {"type": "event_callback", "team_id": TEAM, "event": event}
        self._deliveries.create_task(self._deliver(label, payload, first), name=f"deliver {label}")
        return label

    async def _deliver(self, label: str, payload: dict[str, Any], first: int) -> None:
        attempt = 0
        while True:
            member = self.members[(first + attempt) % len(self.members)]
            status = member.hear(payload, attempt=attempt) if member.is_up else None
            if status is not None:
                late = asyncio.create_task(self.clock.sleep(ACK))
                waited_for: set[asyncio.Future[Any]] = {status, late}
                await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
                await cancel_and_wait(late)
                if status.done() and status.result() == 200:
                    self.acknowledged[label] = len(self.written)
                    return
            await self.clock.sleep(AGAIN_AFTER)
            attempt += 1

    def command(self, text: str, channel: str, member: Member) -> None:
        """Somebody gives a command, which Slack brings once."""
        self._given += 1
        payload = {"command": "/avatar", "text": text, "channel_id": channel, "team_id": TEAM, "user_id": "U1"}
        if member.is_up:
            member.hear(payload | {"trigger_id": f"{self._given}"})

    # --- time --------------------------------------------------------------------------------------------------------

    async def pass_time(self, seconds: float) -> None:
        """Let time pass; whatever is due happens at its moment."""
        until = self.clock.monotonic() + seconds
        await self.rest()
        while self.clock.jump_to_next(until):
            await self.rest()

    async def rest(self) -> None:
        """Let everything happen that can happen at this moment, and look at who may act then."""
        await wait_loop_idle()
        self._look()

    async def until(self, condition: Callable[[], Awaitable[object]], step: float = 2.0) -> bool:
        """Let time pass until something is true. False if it never is."""
        end = self.clock.monotonic() + PATIENCE
        while not await condition():
            if self.clock.monotonic() >= end:
                return False
            await self.pass_time(step)
        return True

    def _look(self) -> None:
        """At most one process may act for a session."""
        acting: dict[str, list[str]] = {}
        for member in self.members:
            if member.is_up and member.membership.may_act():
                for running in member.core.sessions:
                    acting.setdefault(running.session.id, []).append(member.name)
        for session, names in acting.items():
            if len(names) > 1 and (seen := f"{' and '.join(names)} may act for {session}") not in self.violations:
                self.violations.append(seen)

    @property
    def open_streams(self) -> list[StreamView]:
        """Those that cost money now."""
        return [view for view in self.simulator.streams() if view.ended is None]


V3 = re.compile(r"/v3/avatar-realtime(?:/([^/]+)/text)?")
V1 = re.compile(r"/v1/streaming\.(new|start|task|interrupt|keep_alive)")
"""What only a process may ask for whose session it is: a stream, that it says something, falls silent, or stays."""


class Witness(Simulator):
    """The avatar service, which looks whether what is asked of it comes from the process whose session it is."""

    def __init__(self, world: SharedDatabase) -> None:
        super().__init__(simulated(v1_concurrency=50, v3_concurrency=50), world.clock)
        self._world = world

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        found = V3.fullmatch(request.path) or V1.fullmatch(request.path)
        if request.method == "POST" and found is not None:
            asked = json.loads(await request.read())
            stream = asked.get("session_id") or (found[1] if found.re is V3 else None)
            await self._check(request.headers[WHO], stream, f"{asked.get('delta') or asked.get('text') or found[0]}")
        return await super()._answer(request)

    async def _check(self, process: str, stream: str | None, text: str) -> None:
        world = self._world
        names = {member.membership.process.id: member.name for member in world.members}
        seen = f"at {world.clock.monotonic():.2f} {names.get(process, 'one that was killed')} asks for {text[:40]!r}"
        if not await world.query(sa.select(processes.c.id).where(processes.c.id == process)):
            world.violations.append(f"{seen}, and has no row")
        query = sa.select(sessions.c.id, sessions.c.owner, sessions.c.state)
        if stream is not None:
            query = query.join_from(sessions, streams).where(streams.c.upstream_id == stream)
        elif label := LABEL.search(text):
            query = query.join_from(sessions, utterances).where(utterances.c.text.startswith(label[0]))
        else:
            return
        for row in await world.query(query):
            if row.owner != process and row.state != "closed":
                owner = "nobody" if row.owner is None else names.get(row.owner, row.owner)
                world.violations.append(f"{seen}, and {owner} owns {row.id}")
