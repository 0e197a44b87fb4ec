"""`make bench-media`: what it costs to bring the avatar's picture to people, and how late that makes it."""

import argparse
import os
import platform
import signal
import sys

from tests.bench.figures import Figure, table
from tests.bench.media.parts import PARTS
from tests.bench.media.scale import SHORT, Scale


def main() -> None:
    """Measure what was asked for, and print the table."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that all processes end with this one
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.media",
        description="Measures the bot as it serves pictures, from outside: a provider, the bot and the viewers are\n"
        "processes of their own. Where there is a comparison, it is with the provider's own HLS.",
        epilog="parts:\n" + "\n".join(f"  {name:<12}{part.about}" for name, part in PARTS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="what to measure; everything if none is named")
    parser.add_argument("--short", action="store_true", help="only show that everything runs; the figures say nothing")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    sys.stdout.write(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}\n")
    figures: list[Figure] = []
    try:
        for name in chosen.parts or PARTS:
            sys.stderr.write(f"{name}: {PARTS[name].about}…\n")
            figures += PARTS[name].measure(SHORT if chosen.short else Scale())
    finally:
        sys.stdout.write(f"{table(figures)}\n")  # of a run that was cut short, too


if __name__ == "__main__":
    main()
