"""A share of a processor for a process: a control group of Linux, version 1 or 2, where this user may make one."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PERIOD = 20_000
"""Microseconds in which a share is given out: short, so that a process does not stand still for long at once."""

_numbers = count(1)


@contextmanager
def cpu_share(share: float) -> Iterator[Callable[[int], None] | None]:
    """Gives what holds a process to that share of one core, by its number, until the block ends; None where there is
    no such group to be had. The process has to end before the block."""
    folder = _make(share)
    if folder is None:
        yield None
        return
    try:
        yield lambda pid: _write(folder / "cgroup.procs", str(pid))
    finally:
        # Not empty yet: it stays behind, and holds nobody.
        with suppress(OSError):
            folder.rmdir()


def _make(share: float) -> Path | None:
    name = f"avatar-relay-bench-{os.getpid()}-{next(_numbers)}"
    quota = f"{round(PERIOD * share)}"
    ways = (
        (ROOT / "cpu" / name, {"cpu.cfs_period_us": f"{PERIOD}", "cpu.cfs_quota_us": quota}),
        (ROOT / name, {"cpu.max": f"{quota} {PERIOD}"}),
    )
    for folder, values in ways:
        with suppress(OSError):
            folder.mkdir()
            try:
                for file, value in values.items():
                    _write(folder / file, value)
            except OSError:
                folder.rmdir()
                raise
            return folder
    return None


def _write(file: Path, value: str) -> None:
    # One that is not there is not made: that would be no file of a group.
    with file.open("r+", encoding="ascii") as opened:
        opened.write(value)
