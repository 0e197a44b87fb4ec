"""`make bench`: what the bot costs, measured from outside and held against the bare client library in the same run."""

import argparse
import os
import platform
import signal
import sys
from dataclasses import replace

from tests.bench.figures import Figure, table
from tests.bench.parts import PARTS
from tests.bench.scale import SHORT, Scale


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measures the bot from outside: a local platform, a provider, and the bot or the bare client\n"
        "library between them, each in a process of its own. A figure is the median over the rounds, its\n"
        "ratio that of the same round. A missed bound is printed as MISSED; the exit code is 0 all the same.",
        epilog="parts:\n" + "\n".join(f"  {name:<18}{part.about}" for name, part in PARTS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="what to measure; everything if none is named")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"rounds of each comparison (default {Scale().rounds})")
    parser.add_argument(
        "--rate",
        type=float,
        metavar="N",
        help=f"messages a second (default {Scale.rate:g}); fewer on a machine at work",
    )
    parser.add_argument("--short", action="store_true", help="only show that everything runs; the figures say nothing")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if chosen.rounds is not None and chosen.rounds < 1:
        parser.error("at least one round")
    if chosen.rate is not None and chosen.rate <= 0:
        parser.error("a rate above 0")
    return chosen


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that all processes end with this one
    chosen = arguments()
    scale = SHORT if chosen.short else Scale()
    if chosen.rounds is not None:
        scale = replace(scale, rounds=chosen.rounds)
    if chosen.rate is not None:  # a round takes as long as before
        scale = replace(scale, rate=chosen.rate, messages=max(1, round(scale.messages * chosen.rate / scale.rate)))
    say(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}, {sys.platform}")
    figures: list[Figure] = []
    try:
        for name in chosen.parts or PARTS:
            sys.stderr.write(f"{name}: {PARTS[name].about}…\n")
            figures += PARTS[name].measure(scale)
    finally:
        say(table(figures))  # of a run that was cut short, too


if __name__ == "__main__":
    main()
