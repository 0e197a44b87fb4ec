"""The bills as tables, and the aims they are held against."""

from collections.abc import Iterator

from tests.bench.cost.bill import Bill
from tests.bench.cost.runs import Bills, Run
from tests.bench.cost.ways import is_measured_once
from tests.bench.figures import columns

MOST_OF_THE_BILL = {"liveavatar": 0.35, "heygen-realtime": 0.55}
"""What a provider's bill may come to, of that of the program as it was."""

MOST_OF_THE_WAIT = {"heygen-realtime": 1.2}
"""What the time to the first word may come to, p50, of that of the program as it was. With somebody there: whom nobody
watches is to wait for a viewer."""

_HEADINGS = [
    "spoken", "billed", "billed/spoken", "$ a spoken min", "streams", "said", "first word p50", "p90", "watched",
    "begun unwatched",
]  # fmt: skip


def _cells(bill: Bill) -> list[str]:
    return [
        f"{bill.spoken:,.0f} s",
        f"{bill.billed:,} s",
        f"{bill.billed_per_spoken:.2f}",
        f"{bill.dollars_per_spoken_minute:.2f}",
        f"{bill.opened:,}",
        f"{bill.said:,} of {bill.posted:,}",
        f"{bill.waited_at_most(50):.2f} s",
        f"{bill.waited_at_most(90):.2f} s",
        f"{bill.watched_share:.1%}",
        f"{bill.begun_unwatched:,.0f} s",
    ]


def comparison(bills: Bills) -> str:
    """Every way; the last column is the bill over that of the program as it was, with the same audience."""
    rows = []
    for run, bill in bills.items():
        before = bills[_as_it_was(run)]
        once = run.way == "as it was" and is_measured_once("naive", run.provider)
        way = "naive = as it was" if once else run.way
        rows.append([run.provider, way, run.audience, *_cells(bill), f"{bill.billed / before.billed:.2f}"])
    return columns(["provider", "way", "viewers", *_HEADINGS, "of as it was"], rows)


def linger_table(bills: Bills) -> str:
    """One line for each `STREAM_LINGER`; the last columns are over those of the largest, which is told last."""
    last = {run.provider: bill for run, bill in bills.items()}
    rows = [
        [run.provider, run.way, *_cells(bill), f"{bill.billed / last[run.provider].billed:.2f}"]
        for run, bill in bills.items()
    ]
    return columns(["provider", "linger", *_HEADINGS, "of the last"], rows)


def aims(bills: Bills) -> Iterator[str]:
    """A line for each aim: what it is, what came of it, and whether it is kept."""
    for run, bill in bills.items():
        if run.way != "as it is":
            continue
        name, before = f"{run.provider}, viewers {run.audience}", bills[_as_it_was(run)]
        if (most := MOST_OF_THE_BILL.get(run.provider)) is not None:
            yield _aim(f"{name}: bill, of as it was", bill.billed / before.billed, most)
        if run.audience == "always" and (most := MOST_OF_THE_WAIT.get(run.provider)) is not None:
            waited = bill.waited_at_most(50) / before.waited_at_most(50)
            yield _aim(f"{name}: first word p50, of as it was", waited, most)
        yield _aim(f"{name}: seconds of speech begun while nobody watched", bill.begun_unwatched, 0.0)


def _aim(what: str, found: float, most: float) -> str:
    return f"{what}: {found:.2f}, at most {most:g}: {'kept' if found <= most else 'MISSED'}"


def _as_it_was(run: Run) -> Run:
    return Run(run.provider, "as it was", run.audience)
