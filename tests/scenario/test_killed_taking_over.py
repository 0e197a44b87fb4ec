"""A process that takes over from a dead one is killed, at every statement of it and at every call of the provider, from
the end of the dead one's row until what waited is said: what the third one makes of it.

As in `test_killed.py` the takeover is told once to its end to learn its steps, then once for each step that is walked:
all of them with `--every-point` or `--hypothesis-profile=thorough`.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import options
from tests.harness.crash_points import FENCE
from tests.harness.forkserver import ForkServer, KillableProcess
from tests.harness.programs import wait_until
from tests.scenario.killed_programs import (
    AGAIN,
    HELD,
    IN_DOUBT,
    PROVIDERS,
    Place,
    accepted,
    check_the_books,
    killed_while_it_speaks,
    simulator,
    walk_through,
)

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.postgres]

SOME = 1 if options.is_every_point() else 12
"""Of so many steps one is walked."""

NOTED = "before SELECT doubts (1)"
"""The step at which a message is noted as in doubt, and nobody has been told."""


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    with ForkServer() as fork_server:
        yield fork_server


def takes_over(taker: KillableProcess) -> bool:
    """Go on with what the first one left, until what waited is said. False if it died before that."""
    return taker.hears("Web: ") and taker.hears(IN_DOUBT) and taker.hears(f"said: {HELD}")


def has_all(place: Place) -> bool:
    """Whether the only process that lives has ended all the others, has every session, and has said what waited."""
    return (
        place.rows("SELECT count(*) FROM processes") == [(1,)]
        and place.rows("SELECT id FROM sessions WHERE state <> 'closed' AND owner IS NULL") == []
        and place.rows("SELECT id FROM utterances WHERE ended_at IS NULL") == []
    )


def meet_death(place: Place, last: str) -> bool:
    """Kill the second of three at the step `last`. False if the step did not come this time."""
    killed_while_it_speaks(place)
    with place.bot(last, takes_over=True) as taker:
        if is_over := takes_over(taker):
            taker.send(signal.SIGKILL)
        assert taker.end() == -signal.SIGKILL
    with place.bot() as heir:
        heir.until("Web: ")
        # What the rows say comes a moment before the session runs, and the console hands on to nobody.
        heir.until("Recovered: ")
        wait_until(lambda: has_all(place))
        sessions = place.rows("SELECT channel, count(*) FROM sessions WHERE state <> 'closed' GROUP BY channel")
        assert [number for _, number in sessions] == [1]
        heir.type(AGAIN)
        heir.until(f"said: {AGAIN}")
        heir.type("/avatar stop")
        heir.until("has left after")
        wait_until(lambda: place.service.open_streams == 0)
        heir.close_input()
        assert heir.end() == 0
    check_the_books(place, accepted(taker, heir))
    in_doubt = place.rows("SELECT text FROM utterances WHERE state = 'unknown'")
    told = taker.output + heir.output
    assert IN_DOUBT in told or not in_doubt, f"nobody is told of {in_doubt}"
    return not is_over


@pytest.mark.timeout(2400 if options.is_every_point() else 180)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_third_process_takes_over_from_one_that_was_killed_while_it_took_over(
    fork_server: ForkServer, tmp_path: Path, new_postgres_url: Callable[[], str], provider: str
) -> None:
    @contextmanager
    def somewhere(name: str) -> Iterator[Place]:
        folder = tmp_path / name
        folder.mkdir()
        with simulator(fork_server, folder / "service") as service:
            yield Place(fork_server, folder, provider, service, new_postgres_url())

    with somewhere("whole") as place:
        killed_while_it_speaks(place)
        with place.bot(takes_over=True) as taker:
            assert takes_over(taker)
            steps = taker.steps
        place.service.end_streams()
    print(f"\n{provider}: {len(steps)} steps", *steps, sep="\n  ")  # noqa: T201 - the list of what is walked, for who wants to see it
    assert steps[0] == f"before {FENCE} (1)"

    def meet(number: int, last: str) -> bool:
        with somewhere(f"{number}") as place:
            return meet_death(place, last)

    walk_through(steps[PROVIDERS.index(provider) :: SOME], meet)


def test_what_is_in_doubt_is_told_by_the_third_where_the_second_dies_that_has_just_noted_it(
    fork_server: ForkServer, tmp_path: Path, new_postgres_url: Callable[[], str]
) -> None:
    with simulator(fork_server, tmp_path / "service") as service:
        place = Place(fork_server, tmp_path, PROVIDERS[0], service, new_postgres_url())
        assert meet_death(place, NOTED)
        assert place.rows("SELECT text FROM utterances WHERE state = 'unknown'") != []
