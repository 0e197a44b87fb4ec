"""Python's garbage collector, set once for a process that serves for days.

It belongs to whoever runs the process, which is the command line. Nothing that may be built twice in one process may
call it, as tests do: what is set aside here is never looked through again.
"""

import gc

YOUNG = 10_000
"""Objects that are made, and not gone by themselves, before the young ones are looked through, which takes some 4 ms,
11 at the most (measured with `gc.callbacks` on busy cores). Python's 700 are soon together, and most of them are
needed for some milliseconds only."""


def tune_for_serving() -> None:
    """Set everything that exists aside, so that a full collection no longer looks through it, and look through young
    objects less often. For the end of a start.

    A bot at rest has some 140,000 objects that Python looks through, nearly all of modules and libraries. A full
    collection of them stops the loop for 70 to 110 ms, once in about a thousand messages (measured); without them it
    takes a few.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
