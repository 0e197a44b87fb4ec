"""`make bench-cost` runs, and what it finds makes sense: its days, its bills, its audience, its tables."""

import math
import os
import re
import subprocess
import sys
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from tests.bench.cost.bill import Bill, Span, _Presence, _Speech, _waits
from tests.bench.cost.recorded import recorded_days, words
from tests.bench.cost.replay import replay
from tests.bench.cost.runs import Run, name_of
from tests.bench.cost.tables import aims, comparison
from tests.bench.cost.ways import CHARACTERS_PER_SECOND, OPENING, PROVIDERS, Lingering, Way, as_it_was, naive

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
QUIET = recorded_days()[:1]
"""One day of 35 messages, with minutes and hours between them."""


# --- the days --------------------------------------------------------------------------------------------------------


def test_the_days_have_the_recorded_times_and_lengths() -> None:
    days = recorded_days()
    assert (len(days), sum(map(len, days))) == (60, 8727)
    for day in days:
        assert day[0].at == 0
        assert all(before.at <= after.at for before, after in pairwise(day))
        assert all(posted.text.strip() == posted.text == words(posted.seed, len(posted.text)) for posted in day)
    assert [len(posted.text) for posted in days[0][:5]] == [31, 21, 31, 28, 31]


def test_a_part_of_the_days_is_quiet_and_busy_alike() -> None:
    days = recorded_days()
    assert recorded_days(60) == recorded_days(100) == days
    few = [len(day) for day in recorded_days(6)]
    assert few == sorted(few)
    assert few[0] < 60 < 300 < few[-1]


# --- a bill ----------------------------------------------------------------------------------------------------------


def speech(text: str, begin: float) -> _Speech:
    return _Speech(text, begin, begin + len(text))


def test_a_message_waits_for_its_first_piece_and_one_that_is_not_said_waits_for_nothing() -> None:
    accepted = [(100.0, "one and a half"), (101.0, "never said"), (102.0, "two")]
    said = [speech("one and", 103), speech("a half", 110), speech("two", 120)]
    assert list(_waits(accepted, said)) == [3.0, 18.0]


@pytest.mark.parametrize("said", [["two", "two"], ["two", "one"], ["three"]])
def test_what_is_said_twice_or_out_of_order_or_was_never_written_is_no_bill(said: list[str]) -> None:
    with pytest.raises(RuntimeError, match="nobody wrote this"):
        list(_waits([(0.0, "one"), (1.0, "two")], [speech(text, 5) for text in said]))


def test_seconds_are_watched_while_somebody_is_there() -> None:
    spans: list[Span] = [(10, 20), (30, 40)]
    presence = _Presence(spans)
    assert [presence.seconds_within(*span) for span in ((0, 10), (5, 12), (15, 35), (0, 50), (20, 30))] == [
        0,
        2,
        10,
        20,
        0,
    ]
    assert [presence.at(moment) for moment in (9.9, 10, 19.9, 20, 30, 50)] == [False, True, True, False, True, False]


# --- a day -----------------------------------------------------------------------------------------------------------


def check(bill: Bill) -> None:
    """What holds for every bill of the quiet day."""
    (day,) = QUIET
    assert bill.said == bill.posted == len(day) == len(bill.waited)
    assert bill.spoken == pytest.approx(sum(len(posted.text) for posted in day) / CHARACTERS_PER_SECOND, rel=0.1)
    assert all(math.isfinite(wait) and 0 <= wait < 60 for wait in bill.waited)
    assert bill.billed > bill.spoken
    assert bill.dollars > 0
    assert 0 <= bill.watched <= bill.spoken + 0.001


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_quiet_day_costs_less_where_silent_streams_are_let_go(tmp_path: Path, provider: str) -> None:
    bills = []
    ways: tuple[Way, ...] = (as_it_was, Lingering(0.0))
    for number, way in enumerate(ways):
        folder = tmp_path / str(number)
        folder.mkdir()
        bills.append(await replay(folder, provider, way, "always", QUIET))
        check(bills[-1])
        assert bills[-1].watched_share == pytest.approx(1)
        assert bills[-1].begun_unwatched == 0
    before, after = bills
    # Nearly everything of this day is said by a stream that has to be opened first, in any case.
    assert before.waited_at_most(50) == pytest.approx(OPENING, abs=1.5)
    assert after.opened >= before.opened
    assert (
        after.billed < before.billed * {"liveavatar": 0.25, "heygen-realtime": 0.3, "heygen-streaming": 0.15}[provider]
    )
    if provider == "liveavatar":
        assert before.billed % 60 == after.billed % 60 == 0
        assert after.billed == 60 * after.opened
    if provider == "heygen-realtime":
        assert after.dollars == after.billed * Decimal("0.05")


async def test_the_naive_bot_keeps_a_stream_as_long_as_its_session(tmp_path: Path) -> None:
    bill = await replay(tmp_path, "heygen-realtime", naive, "always", QUIET)
    check(bill)
    assert bill.billed / bill.opened > 300


async def test_viewers_who_come_and_go_see_a_part(tmp_path: Path) -> None:
    bill = await replay(tmp_path, "liveavatar", as_it_was, "come and go", QUIET)
    check(bill)
    assert 0.05 < bill.watched_share < 0.95
    assert 0 < bill.begun_unwatched < bill.spoken


async def test_the_same_days_cost_the_same_again(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "again")]
    for folder in folders:
        folder.mkdir()
    first, again = [await replay(folder, "liveavatar", Lingering(5.0), "come and go", QUIET) for folder in folders]
    assert (first.billed, first.opened, first.said) == (again.billed, again.opened, again.said)
    assert first.waited == pytest.approx(again.waited, abs=0.001)
    assert first.watched == pytest.approx(again.watched, abs=0.001)


# --- the tables ------------------------------------------------------------------------------------------------------


def a_bill(**changes: object) -> Bill:
    made = {
        "posted": 4, "said": 4, "spoken": 120.0, "billed": 600, "dollars": Decimal(30), "opened": 2, "watched": 60.0,
        "begun_unwatched": 10.0, "waited": (1.0, 2.0, 3.0, 4.0),
    }  # fmt: skip
    return Bill(**(made | changes))  # type: ignore[arg-type]


def test_a_table_holds_each_way_against_the_program_as_it_was() -> None:
    was, now = Run("heygen-realtime", "as it was", "always"), Run("heygen-realtime", "as it is", "always")
    bills = {was: a_bill(), now: a_bill(billed=360, dollars=Decimal(18), waited=(2.0, 4.0, 6.0, 8.0))}
    row = " ".join(comparison(bills).splitlines()[-1].split())
    assert row.startswith(
        "heygen-realtime as it is always 120 s 360 s 3.00 9.00 2 4 of 4 5.00 s 7.40 s 50.0% 10 s 0.60"
    )
    found = [line.rpartition(": ") for line in aims(bills)]
    assert [verdict for *_, verdict in found] == ["MISSED", "MISSED", "MISSED"]
    kept = {was: a_bill(), now: a_bill(billed=300, begun_unwatched=0.0)}
    assert [line.rpartition(": ")[2] for line in aims(kept)] == ["kept", "kept", "kept"]


def test_days_add_up() -> None:
    both = a_bill() + a_bill(spoken=240.0, waited=(5.0,))
    assert (both.said, both.spoken, both.billed_per_spoken) == (8, 360, pytest.approx(1200 / 360))
    assert both.waited == (1.0, 2.0, 3.0, 4.0, 5.0)
    assert both.dollars_per_spoken_minute == 10


# --- the command -----------------------------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own interpreter and our own words
        [sys.executable, "-m", "tests.bench.cost", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=dict(os.environ),
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_prints_every_way_and_every_aim() -> None:
    told = run("--days", "1", "--provider", "liveavatar").splitlines()
    assert re.fullmatch(r"1 day, \d+ messages", told[0])
    assert sum(line.startswith("liveavatar  ") for line in told) == 4
    assert sum("naive = as it was" in line for line in told) == 2
    verdicts = [line for line in told if line.startswith("liveavatar, viewers")]
    assert len(verdicts) == 4
    assert all(line.endswith(("kept", "MISSED")) for line in verdicts)


def test_the_command_sweeps_the_linger() -> None:
    told = run("--days", "1", "--provider", "heygen-realtime", "--linger", "0,none").splitlines()
    rows = [line.split()[1] for line in told if line.startswith("heygen-realtime")]
    assert rows == [name_of(0.0), name_of(None)]
