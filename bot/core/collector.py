"""Python's garbage collector, told once what stays until the program ends.

It belongs to whoever runs the process, which is the command line. Nothing that may be built twice in one process may
call it, as tests do: what is set aside here is never looked through again.
"""

import gc


def set_aside_what_is_built() -> None:
    """Set everything that exists aside, so that a full collection no longer looks through it. For the end of a start.

    A bot at rest has some 400,000 objects, nearly all of modules and libraries. A full collection of them stops the
    loop for 90 ms, once in about a thousand messages (measured: docs/architecture.md); without them it takes a few.
    """
    gc.collect()
    gc.freeze()
