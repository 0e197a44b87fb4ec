"""Several programs on one PostgreSQL database: what two do beside one, what it costs that a message comes in at the one
that does not own its channel, and how long it takes until the sessions of one that is killed go on.

Slack hands what happens to either of two programs, so half of it comes to the wrong one. Each program is held to a
fifth of a core where the system lets us: else the two cores of a small machine would be what is measured, and only the
processor time of a message is compared.
"""

import asyncio
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import asyncpg  # type: ignore[import-untyped]  # it ships no types

from bot.cluster.membership import BEAT_EVERY
from tests.bench.cpu_share import cpu_share
from tests.bench.figures import Bound, Figure
from tests.bench.processes import ON_LINUX, Surroundings, cpu_seconds, folder, resident_megabytes, surroundings
from tests.bench.relay import SETTLE
from tests.bench.scale import Scale
from tests.harness.postgres import running_postgres
from tests.harness.programs import Program

SHARE = 0.2
"""Of a core, for each program."""

UNHURRIED = 0.2
"""Of the usual rate of messages, so that two that have a fifth of a core each are not waited for."""

_PROCESSES = 2

RATIO = Bound(1.7, at_least=True)
CPU = Bound(1.15)
HANDED_ON = Bound(3, of_ratio=False)
ACKNOWLEDGED = Bound(100, of_ratio=False)
BEAT = Bound(1, of_ratio=False)
TAKEOVER = Bound(10, of_ratio=False)

BUSY_FOR = 20.0
"""Seconds of messages while the beats are watched."""

PATIENCE = 300.0
"""Seconds that something may take; only a benchmark that fails waits so long."""

SETTINGS = {"WEB_SECRET": "0123456789abcdef" * 2, "STREAM_LINGER": "3600"}
"""Nobody's stream is let go meanwhile: to open another one takes longer than all that is measured."""


@dataclass
class Measured:
    """What was found of one program, or of two: one value a round."""

    rate: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)


def two_beside_one(scale: Scale) -> list[Figure]:
    """What two processes do beside one, where there is a PostgreSQL."""
    with running_postgres() as server:
        return [] if server is None else _two_beside_one(scale, _Databases(server.get_uri()))


def handing_on(scale: Scale) -> list[Figure]:
    """What it costs that something comes in at the process that does not own its channel, where there is a
    PostgreSQL."""
    with running_postgres() as server:
        return [] if server is None else _handing_on(scale, _Databases(server.get_uri()))


def takeover(scale: Scale) -> list[Figure]:
    """How long it takes until the sessions of a process that is killed go on, where there is a PostgreSQL."""
    with running_postgres() as server:
        return [] if server is None else _takeover(scale, _Databases(server.get_uri()))


class _Databases:
    """Makes one empty database after the other on a server."""

    def __init__(self, url: str) -> None:
        self._url, self._made = url, 0

    def new(self) -> str:
        """Its address."""
        self._made += 1
        name = f"bench_{self._made}"
        _query(self._url, f"CREATE DATABASE {name}")
        return self._url.replace("/postgres?", f"/{name}?")


def _query(url: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    async def connected() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(url)
        try:
            return [tuple(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()

    return asyncio.run(connected())


@contextmanager
def _programs(place: Surroundings, url: str, number: int) -> Iterator[list[Program]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(place.bot(stack.enter_context(folder()), DATABASE_URL=url, **SETTINGS))
            for _ in range(number)
        ]


# --- two beside one --------------------------------------------------------------------------------------------------


def _two_beside_one(scale: Scale, databases: _Databases) -> list[Figure]:
    one, two = Measured(), Measured()
    with ExitStack() as stack:
        sides = []
        for number in (1, _PROCESSES):
            place = stack.enter_context(surroundings("slack", _PROCESSES * scale.at_once))
            # Around the programs: a group has to be empty when it goes.
            holds = [stack.enter_context(cpu_share(SHARE)) for _ in range(number)]
            programs = stack.enter_context(_programs(place, databases.new(), number))
            place.start_avatars(number)
            for hold, program in zip(holds, programs, strict=True):
                if hold is not None:
                    hold(program.pid)
            sides.append((place, programs))
        (of_one, single), (of_two, pair) = sides
        _take_round(of_one, single, scale, Measured())
        _take_round(of_two, pair, scale, Measured())
        for _ in range(scale.rounds):
            _take_round(of_one, single, scale, one)
            _take_round(of_two, pair, scale, two)
    are_held = all(hold is not None for hold in holds)
    title = "two processes beside one"
    how = f"each at {SHARE:.0%} of a core" if are_held else "not held to a share of a core"
    figures = [
        Figure(f"{title}, {how}: messages", "/s", two.rate, one.rate, RATIO if are_held else None),
        Figure(f"{title}: event to request, p50", "ms", two.p50, one.p50),
        Figure(f"{title}: event to request, p99", "ms", two.p99, one.p99),
    ]
    if ON_LINUX:
        figures.append(Figure(f"{title}: processor time a message", "ms", two.cpu, one.cpu, CPU))
    return figures


def _take_round(place: Surroundings, programs: Sequence[Program], scale: Scale, measured: Measured) -> None:
    # As many for one as for two, and enough that both always have something to do.
    channels = _PROCESSES * scale.at_once
    messages = channels * scale.each
    used = sum(cpu_seconds(program.pid) for program in programs) if ON_LINUX else 0.0
    measured.rate.append(place.platform.order("closed_loop", channels=channels, each=scale.each))
    time.sleep(SETTLE)
    if ON_LINUX:
        measured.cpu.append((sum(cpu_seconds(program.pid) for program in programs) - used) / messages * 1000)
    took: list[float] = place.platform.order("steady", messages=scale.messages, rate=scale.rate * UNHURRIED)
    measured.p50.append(statistics.median(took))
    measured.p99.append(took[len(took) * 99 // 100])
    time.sleep(SETTLE)


# --- one of two gets everything ------------------------------------------------------------------------------------


def _handing_on(scale: Scale, databases: _Databases) -> list[Figure]:
    url = databases.new()
    with surroundings("slack", scale.commands) as place, ExitStack() as stack, _programs(place, url, 1):
        place.start_avatars()
        stack.enter_context(_programs(place, url, 1))
        owner: list[list[float]] = []
        other: list[list[float]] = []
        for number in range(1 + scale.rounds):
            for bot, measured in enumerate((owner, other)):
                place.platform.order("deliver_to", bot=bot)
                took = place.platform.order("steady", messages=scale.messages, rate=scale.rate)
                if number > 0:  # the first one warms up
                    measured.append(took)
                time.sleep(SETTLE)
        acknowledged = [place.platform.order("acknowledgements", command="status") for _ in range(scale.rounds)]
    title = "at the wrong process"
    p50, p99 = ([[took[len(took) * part // 100] for took in side] for side in (other, owner)] for part in (50, 99))
    more = [there - here for there, here in zip(*p50, strict=True)]
    commands = f"{scale.commands} commands at once {title}, acknowledged"
    return [
        Figure(f"{title}: event to request, p50", "ms", p50[0], p50[1]),
        Figure(f"{title}: event to request, p50, more than at the owner", "ms", more, bound=HANDED_ON),
        Figure(f"{title}: event to request, p99", "ms", p99[0], p99[1]),
        Figure(f"{commands}, p50", "ms", [took[len(took) // 2] for took in acknowledged]),
        Figure(f"{commands}, p99", "ms", [took[len(took) * 99 // 100] for took in acknowledged], bound=ACKNOWLEDGED),
    ]


# --- one of two is killed --------------------------------------------------------------------------------------------


class _Beats:
    """Watches the rows of the processes: how long after it was due the latest beat came, seconds."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._is_over = threading.Event()
        self._worst: list[float] = []

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._watch()))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    @property
    def latest(self) -> float:
        return max(self._worst)

    async def _watch(self) -> None:
        connection = await asyncpg.connect(self._url)
        seen: dict[str, tuple[int, float]] = {}
        try:
            while not self._is_over.is_set():
                for process, beat in await connection.fetch("SELECT id, beat FROM processes"):
                    number, since = seen.setdefault(process, (beat, time.perf_counter()))
                    if number != beat:
                        seen[process] = beat, time.perf_counter()
                        self._worst.append(seen[process][1] - since - BEAT_EVERY)
                await asyncio.sleep(0.01)
        finally:
            await connection.close()


def _takeover(scale: Scale, databases: _Databases) -> list[Figure]:
    url = databases.new()
    with surroundings("slack", scale.sessions) as place, ExitStack() as stack, _programs(place, url, 1) as (first,):
        place.platform.order("start_avatars", bots=1)
        live = "SELECT count(*) FROM sessions WHERE state = 'live'"
        _until(lambda: _query(url, live) == [(scale.sessions,)], time.perf_counter())
        (second,) = stack.enter_context(_programs(place, url, 1))
        with _Beats(url) as beats:
            place.platform.order("steady", messages=round(BUSY_FOR * scale.rate), rate=scale.rate)
        before = resident_megabytes(second.pid) if ON_LINUX else 0.0
        first.send(signal.SIGKILL)
        killed = time.perf_counter()
        first.end()
        taken = "SELECT count(*) FROM sessions JOIN processes p ON p.id = owner WHERE p.pid = $1"
        took = _until(lambda: _query(url, taken, second.pid) == [(scale.sessions,)], killed)
        # Its queue is at work again when it says something.
        place.platform.order("steady", messages=min(scale.messages, scale.sessions), rate=scale.rate)
        more = resident_megabytes(second.pid) - before if ON_LINUX else 0.0
    title = f"{scale.sessions} sessions of a process that is killed"
    figures = [
        Figure(
            f"{scale.sessions} sessions, {scale.rate:g} messages/s: latest beat", "s late", [beats.latest], bound=BEAT
        ),
        Figure(f"{title}: taken over", "s", [took], bound=TAKEOVER),
    ]
    if ON_LINUX:
        figures.append(Figure(f"{title}: memory of the other one, more than before", "MB", [more]))
    return figures


def _until(is_so: Callable[[], bool], since: float) -> float:
    while not is_so():
        if time.perf_counter() > since + PATIENCE:
            raise TimeoutError("it did not come about")
        time.sleep(0.05)
    return time.perf_counter() - since
