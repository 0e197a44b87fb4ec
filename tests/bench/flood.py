"""A bot that is killed in a flood of messages, by `kill -9`, and the one that is started after it: what the people of
the local Slack wrote is said once each, in its order, or told as unknown."""

import re
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from bot.core.models import UtteranceState
from tests.bench.figures import Bound, Figure
from tests.bench.platforms import NUMBER
from tests.bench.processes import folder, surroundings
from tests.bench.provider import SAY
from tests.bench.scale import Scale

PATIENCE = 180.0
"""Seconds until everything is said; only a benchmark that fails waits so long."""

NONE = Bound(0, of_ratio=False)


def survive_kill(scale: Scale) -> list[Figure]:
    """How many messages are lost, said twice and out of order, with a provider that answers and with one that hangs."""
    return [*_flood(scale, hangs=False), *_flood(scale, hangs=True)]


def _flood(scale: Scale, *, hangs: bool) -> list[Figure]:
    with surroundings("slack", scale.at_once) as place, folder() as where:
        with place.bot(where) as bot:
            place.start_avatars()
            place.platform.order("steady", messages=scale.at_once, rate=scale.rate)
            if hangs:
                place.service.break_with(effect="hang", path=SAY, times=None)
            # Where nothing is answered, one message of each channel gets as far as the provider.
            reached = scale.at_once if hangs else scale.flood // 4
            confirmed = set(place.platform.order("flood", messages=scale.flood, reached=reached))
            bot.send(signal.SIGKILL)
            bot.end()
            place.service.mend()
        with place.bot(where):
            place.platform.order("all_acknowledged")
            states = _wait_until_final(where / "bot.sqlite3")
        books = place.platform.order("books")
    reached, channels = books["reached"], books["channels"]
    told = {number for number, state in states.items() if state is UtteranceState.UNKNOWN}
    lost = set(range(len(channels))) - set(reached) - told
    twice = [number for number, times in Counter(reached).items() if times > 1]
    in_channels: dict[int, list[int]] = {}
    for number in reached:
        if number in confirmed:
            in_channels.setdefault(channels[number], []).append(number)
    disordered = [numbers for numbers in in_channels.values() if numbers != sorted(numbers)]
    title = f"kill -9 in a flood of {scale.flood}" + (", the provider hangs" if hangs else "")
    return [
        Figure(f"{title}: acknowledged before it", "", [len(confirmed)]),
        Figure(f"{title}: lost", "", [len(lost)], bound=NONE),
        Figure(f"{title}: said twice", "", [len(twice)], bound=NONE),
        Figure(f"{title}: told as unknown", "", [len(told)]),
        Figure(f"{title}: channels out of order", "", [len(disordered)], bound=NONE),
    ]


def _wait_until_final(file: Path) -> dict[int, UtteranceState]:
    """The state of each message, once nothing more happens to any."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with closing(sqlite3.connect(file)) as connection:
            rows = connection.execute("SELECT text, state FROM utterances").fetchall()
        found = {int(number[1]): UtteranceState(state) for text, state in rows if (number := re.search(NUMBER, text))}
        if all(state.is_final for state in found.values()):
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"not at an end: {Counter(found.values())}")
        time.sleep(0.1)
