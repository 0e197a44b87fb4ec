"""Another time since the start of the machine for a program: a time namespace of Linux, as root. The time of day is the
same there."""

import subprocess
import sys

import pytest

HOUR = 3600

_ENTER = """
import ctypes, os
library = ctypes.CDLL(None, use_errno=True)
def do(name, *arguments):
    assert getattr(library, name)(*arguments) == 0, os.strerror(ctypes.get_errno())
do("unshare", 0x80)
with open("/proc/self/timens_offsets", "w") as offsets:
    offsets.write("monotonic {seconds} 0\\nboottime {seconds} 0\\n")
there = os.open("/proc/self/ns/time_for_children", os.O_RDONLY)
do("setns", there, 0x80)
os.close(there)
"""
_TELL = "import time; print(time.clock_gettime(time.CLOCK_BOOTTIME), time.monotonic())"


def later_uptime(seconds: int = HOUR) -> str:
    """Python that moves the process it runs in to where the machine has been up for so much longer. Skips the test
    where that is not allowed."""
    enter = _ENTER.format(seconds=seconds)
    here, there = _run(_TELL), _run(enter + _TELL)
    if there.returncode != 0:
        pytest.skip("another time since the start takes Linux, root and time namespaces")
    for now, later in zip(here.stdout.split(), there.stdout.split(), strict=True):
        assert float(later) - float(now) >= seconds
    return enter


def _run(code: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)  # noqa: S603 - our own words
