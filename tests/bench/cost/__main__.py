"""`make bench-cost`: what an avatar costs for what it says, over recorded days of public channels, through the whole
bot and the simulator's price meter."""

import argparse
import signal
import sys
from collections.abc import Sequence

from bot.sentences import count
from tests.bench.cost.audience import AUDIENCES
from tests.bench.cost.recorded import recorded_days
from tests.bench.cost.runs import compare, sweep
from tests.bench.cost.tables import aims, comparison, linger_table
from tests.bench.cost.ways import PROVIDERS


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def tell_progress(done: int, of: int) -> None:
    sys.stderr.write(f"\r{done} of {of} parts" + ("\n" if done == of else ""))
    sys.stderr.flush()


def linger(value: str) -> float | None:
    """A value of STREAM_LINGER. Raises ValueError."""
    if value == "none":
        return None
    if (seconds := float(value)) < 0:
        raise ValueError("seconds are 0 or more")
    return seconds


def lingers(text: str) -> list[float | None]:
    return [linger(value.strip()) for value in text.split(",")]


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.cost",
        description="Lets the bot live through recorded days of public channels, with a clock that jumps, and reads "
        "the simulator's price meter: of the naive bot, of the program as it was, and as it is.",
    )
    parser.add_argument("--days", type=int, metavar="N", help=f"so many of the {len(recorded_days())} days")
    parser.add_argument("--provider", choices=PROVIDERS, action="append", help="only this one; may be repeated")
    parser.add_argument(
        "--linger", type=lingers, metavar="S,S,…", help="instead: as it is, with each STREAM_LINGER; none is empty"
    )
    parser.add_argument(
        "--viewers", choices=tuple(AUDIENCES), default="always", help="who watches, with --linger (default always)"
    )
    chosen = parser.parse_args(given)
    if chosen.days is not None and chosen.days < 1:
        parser.error("at least one day")
    return chosen


def main(given: Sequence[str] | None = None) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that all processes end with this one
    chosen = arguments(given)
    providers = chosen.provider or PROVIDERS
    days = recorded_days(chosen.days)
    say(f"{count(len(days), 'day')}, {count(sum(map(len, days)), 'message')}")
    if chosen.linger is not None:
        say(linger_table(sweep(providers, chosen.linger, chosen.viewers, chosen.days, tell_progress)))
        return
    bills = compare(providers, chosen.days, tell_progress)
    say(comparison(bills))
    say("")
    for line in aims(bills):
        say(line)


if __name__ == "__main__":
    main()
