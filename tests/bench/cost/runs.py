"""What is compared, and how it is done: each provider, way and audience lives through the days in a bot of its own, in
as many processes as the machine has cores.
"""

import asyncio
import multiprocessing
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

from bot.settings import LogFormat, LogLevel
from bot.telemetry.logs import configure
from tests.bench.cost.audience import AUDIENCES
from tests.bench.cost.bill import Bill
from tests.bench.cost.recorded import Day, recorded_days
from tests.bench.cost.replay import replay
from tests.bench.cost.sqlite_in_loop import execute_in_loop
from tests.bench.cost.ways import WAYS, Lingering, Way, is_measured_once

PARTS = 4
"""Bots that share the days of a run, so that no core is idle for long at the end."""


@dataclass(frozen=True)
class Run:
    """One line of the table."""

    provider: str
    way: str
    audience: str


Bills = dict[Run, Bill]
Told = Callable[[int, int], None]


def compare(providers: Sequence[str], number: int | None, told: Told) -> Bills:
    """Every way, with every audience, through so many of the days. `told` is called with how much of it is done."""
    ways = {
        Run(provider, name, audience): way
        for provider in providers
        for name, way in WAYS.items()
        if not is_measured_once(name, provider)
        for audience in AUDIENCES
    }
    return _lived_through(ways, number, told)


def sweep(
    providers: Sequence[str], lingers: Sequence[float | None], audience: str, number: int | None, told: Told
) -> Bills:
    """The program as it is with each `STREAM_LINGER`; the `way` of a run is its value."""
    ways: dict[Run, Way] = {
        Run(provider, name_of(linger), audience): Lingering(linger) for provider in providers for linger in lingers
    }
    return _lived_through(ways, number, told)


def name_of(linger: float | None) -> str:
    """A value of `STREAM_LINGER`, for people."""
    return "none" if linger is None else f"{linger:g}"


def _lived_through(ways: dict[Run, Way], number: int | None, told: Told) -> Bills:
    days = recorded_days(number)
    parts = [days[first::PARTS] for first in range(min(PARTS, len(days)))]
    bills: defaultdict[Run, list[Bill]] = defaultdict(list)
    spawn, log = multiprocessing.get_context("spawn"), (LogLevel.ERROR, LogFormat.TEXT, ())
    with ProcessPoolExecutor(os.cpu_count(), spawn, initializer=configure, initargs=log) as processes:
        jobs = {processes.submit(_live, run, way, part): run for run, way in ways.items() for part in parts}
        try:
            for done, job in enumerate(as_completed(jobs), 1):
                bills[jobs[job]].append(job.result())
                told(done, len(jobs))
        except BaseException:
            processes.shutdown(wait=False, cancel_futures=True)
            raise
    return {run: reduce(add, bills[run]) for run in ways}


def _live(run: Run, way: Way, days: list[Day]) -> Bill:
    execute_in_loop()
    with tempfile.TemporaryDirectory(prefix="avatar-relay-cost-") as folder:
        return asyncio.run(replay(Path(folder), run.provider, way, run.audience, days))
