"""How the work of a function grows with its input, in calls and lines rather than in seconds where that says enough.

A pattern that goes back and forth is seen by the processor alone, so there the time of one input is compared with that
of one twice as long, within one run, each the best of several.
"""

import time
from collections.abc import Callable
from typing import Any

SIZE = 6_000
"""Characters of the shorter input: beyond what fixed costs hide, and quadratic work would already be visible."""

FACTOR = 4
"""How much longer the longer one is: linear work takes 4 times as long, quadratic 16, exponential never ends."""

BOUND = 9.0
TRIES = 4


def grows_linearly(work: Callable[[str], Any], make: Callable[[int], str]) -> bool:
    """Whether `work` takes about so much longer as its input is longer. A machine that is busy with something else gets
    further tries, which bad work fails too."""
    short, long = make(SIZE), make(SIZE * FACTOR)
    return any(_ratio(work, short, long) < BOUND for _ in range(TRIES))


def _ratio(work: Callable[[str], Any], short: str, long: str) -> float:
    return _best(work, long) / max(_best(work, short), 1e-4)


def _best(work: Callable[[str], Any], text: str, times: int = 3) -> float:
    found = []
    for _ in range(times):
        # Time of this thread alone: what else the machine does is not its fault.
        begun = time.thread_time()
        work(text)
        found.append(time.thread_time() - begun)
    return min(found)
