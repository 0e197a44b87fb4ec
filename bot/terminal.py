"""Standard output: whole lines for whoever reads them, until nobody does; and whether that is a person at a terminal.
Knows nothing of what the lines say.

A reader may leave early (`| head`), a disk behind it may be full, or there may be no standard output at all: none of
that may end a program that has streams to close.
"""

import contextlib
import io
import os
import re
import sys
import textwrap

NARROWEST = 40
"""Columns of a terminal below which lines are left to it to break."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Of the terminal, and of the direction of what follows, which would show it in another order than it has."""


def prepare() -> None:
    """Before the first line: what an old terminal cannot show becomes a question mark instead of an error, and what was
    closed leads nowhere, so that no file or socket takes its number; libuv ends the program where one has."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def finish() -> None:
    """After the last line: nobody there to read what is still buffered is not a reason to fail."""
    for descriptor, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            _give_up(descriptor)


def write_line(line: str) -> bool:
    """Write one line at once. False if nobody reads; every later line then goes nowhere."""
    out = sys.stdout
    if out is None:
        return False
    try:
        out.write(f"{line}\n")
        out.flush()
    except OSError as error:
        _give_up(1)
        sys.stdout = None
        if not isinstance(error, BrokenPipeError) and sys.stderr is not None:
            with contextlib.suppress(OSError):
                sys.stderr.write(f"Nothing more can be shown: {(error.strerror or 'unknown trouble').lower()}.\n")
        return False
    return True


def at_terminal() -> bool:
    """Whether a person sits in front of this program: it reads from a terminal and writes to one."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def broken(text: str, columns: int) -> str:
    """Text with its lines no wider than `columns`, broken between words and indented like the line they were.

    A word that is wider, such as a link, stays whole.
    """
    if columns < NARROWEST:
        return text
    return "\n".join(_broken_line(line, columns) for line in text.split("\n"))


def _broken_line(text: str, columns: int) -> str:
    if len(text) <= columns:
        return text
    indent = " " * (len(text) - len(text.lstrip(" ")))
    return textwrap.fill(
        text.strip(),
        columns,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def printable(text: str) -> str:
    """Text from outside that cannot steer a terminal."""
    return _CONTROL.sub("", text)


def _give_up(descriptor: int) -> None:
    # What is still buffered would fail once more when Python ends, with a traceback and exit code 120.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
