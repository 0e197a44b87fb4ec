"""The way of a message, measured from outside: a platform, a provider, and the bot or the bare client library between
them, each in a process of its own. Both take the same messages in rounds that alternate, and a ratio is one of the same
round, so that a machine that others use as well is as slow for both."""

import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from tests.bench.figures import Bound, Figure
from tests.bench.processes import ON_LINUX, Child, Surroundings, cpu_seconds, folder, resident_megabytes, surroundings
from tests.bench.scale import Scale
from tests.harness.programs import Program

SETTLE = 1.0
"""Seconds in which the work that follows a message comes to its end; it counts as processor time of the message."""

LATENCY = {"Slack": Bound(2.2, aim=1.5), "Discord": Bound(3.0, aim=2.2)}
CPU = Bound(6.5, of_ratio=False)
CLOSED_LOOP = Bound(0.33, at_least=True)
AT_REST = Bound(1.25)
"""Of the memory that the bot's packages take by themselves: 88 MB on Discord, 84 on Slack (CPython 3.11)."""


@dataclass
class Measured:
    """What was found of the bot, or of the bare client: one value a round."""

    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)


def measure(name: str, scale: Scale, database: str | None = None) -> list[Figure]:
    """The figures of a platform (Slack or Discord). `database`: the URL of an empty one; SQLite without it. Only
    SQLite has bounds."""
    title = name if database is None else f"{name}, PostgreSQL"
    settings = {} if database is None else {"DATABASE_URL": database}
    ours, theirs = Measured(), Measured()
    with ExitStack() as stack:
        of_bot, of_bare = (stack.enter_context(surroundings(name.lower(), scale.channels)) for _ in range(2))
        bot = stack.enter_context(of_bot.bot(stack.enter_context(folder()), **settings))
        time.sleep(SETTLE)
        at_rest = resident_megabytes(bot.pid) if ON_LINUX else None
        packages = _memory_of_packages(name.lower()) if ON_LINUX else 0.0
        of_bot.start_avatars()
        bare = stack.enter_context(of_bare.bare())
        for place, process in ((of_bot, bot), (of_bare, bare)):
            _take_round(place, process, scale, Measured())
        for _ in range(scale.rounds):
            _take_round(of_bot, bot, scale, ours)
            _take_round(of_bare, bare, scale, theirs)
    figures = [
        Figure(f"{title}: event to request, p50", "ms", ours.p50, theirs.p50, LATENCY[name]),
        Figure(f"{title}: event to request, p99", "ms", ours.p99, theirs.p99),
        Figure(
            f"{title}: {scale.at_once} channels, one message each under way", "/s", ours.rate, theirs.rate, CLOSED_LOOP
        ),
    ]
    if at_rest is not None:
        figures += [
            Figure(f"{title}: processor time a message", "ms", ours.cpu, theirs.cpu, CPU),
            Figure(f"{title}: memory at rest, beside that of its packages", "MB", [at_rest], [packages], AT_REST),
        ]
    return figures if database is None else [replace(figure, bound=None) for figure in figures]


def _memory_of_packages(platform: str) -> float:
    with Child("packages", platform) as packages:
        packages.hear()
        return resident_megabytes(packages.pid)


def _take_round(place: Surroundings, process: Program | Child, scale: Scale, measured: Measured) -> None:
    """One round of one of the two."""
    used = cpu_seconds(process.pid) if ON_LINUX else 0.0
    took: list[float] = place.platform.order("steady", messages=scale.messages, rate=scale.rate)
    time.sleep(SETTLE)
    if ON_LINUX:
        measured.cpu.append((cpu_seconds(process.pid) - used) / scale.messages * 1000)
    measured.p50.append(statistics.median(took))
    measured.p99.append(took[len(took) * 99 // 100])
    measured.rate.append(place.platform.order("closed_loop", channels=scale.at_once, each=scale.each))
    time.sleep(SETTLE)
