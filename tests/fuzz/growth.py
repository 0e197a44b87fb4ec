"""How the work of a function grows with its input, in calls and lines rather than in seconds where that says enough.

A pattern that goes back and forth is seen by the processor alone, so there the time of one input is compared with that
of one twice as long, within one run, each the best of several.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

SIZE = 6_000
"""Characters of the shorter input: beyond what fixed costs hide, and quadratic work would already be visible."""

FACTOR = 4
"""How much longer the longer one is: linear work takes 4 times as long, quadratic 16, exponential never ends."""

BOUND = 9.0
TRIES = 4

PROGRAM_SIZE = 20_000
"""The same for a whole program, where a line or a request has a cost of its own before its first character."""


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


async def program_grows_linearly(
    pid: int, work: Callable[[str], Awaitable[object]], make: Callable[[int], str]
) -> bool:
    """The same of a program that runs: whether its processor time grows with what `work` has it deal with, as `make`
    makes it. `work` returns when the program is done with that."""
    for times in range(1, TRIES + 1):
        short = await _best_of_program(pid, work, make(PROGRAM_SIZE), times)
        if await _best_of_program(pid, work, make(PROGRAM_SIZE * FACTOR), times) < BOUND * short:
            return True
    return False


async def _best_of_program(pid: int, work: Callable[[str], Awaitable[object]], text: str, times: int) -> float:
    found = []
    for _ in range(times):
        begun = processor_time(pid)
        await work(text)
        found.append(processor_time(pid) - begun)
    return min(found)


def processor_time(pid: int) -> float:
    """Seconds of processor time that a process has used, with all its threads.

    Linux alone: its clock ids are what clock_getcpuclockid(3) returns there, which Python does not have. `/proc` says
    the same in hundredths of a second, too coarse for a single request.
    """
    return time.clock_gettime(~pid << 3 | 2)
