"""A network of its own for a program, as of another machine: one wire leads here, and can be cut as a whole.

Linux, as root (network namespaces).
"""

import os
import shutil
import subprocess
from itertools import count
from types import TracebackType
from typing import Self

import pytest

_numbers = count(1)


class Machine:
    """From `with` to its end. here: the address of this machine as the other one has it. Skips the test where there are
    no such networks to be had."""

    def __init__(self) -> None:
        number = next(_numbers)
        self.name = f"relay-{os.getpid()}-{number}"
        # Names of network devices have at most 15 characters.
        self._end = f"rl{os.getpid() % 10**7}x{number}"
        # A net of four addresses for each, in the range of benchmarks (RFC 2544), which nobody routes.
        net = (os.getpid() * 8 + number) % 16384
        self._prefix = f"198.18.{net // 64}.{net % 64 * 4}"
        self.here = self._address(1)

    def _address(self, last: int) -> str:
        first, _, start = self._prefix.rpartition(".")
        return f"{first}.{int(start) + last}"

    def __enter__(self) -> Self:
        if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("ip") is None:
            pytest.skip("a network of its own takes Linux, root and `ip`")
        if not self._ip("netns", "add", self.name):
            pytest.skip("this machine makes no network namespaces")
        made = (
            self._ip("link", "add", self._end, "type", "veth", "peer", "name", "eth0", "netns", self.name)
            and self._ip("addr", "add", f"{self.here}/30", "dev", self._end)
            and self._ip("link", "set", self._end, "up")
            and self._ip("-n", self.name, "addr", "add", f"{self._address(2)}/30", "dev", "eth0")
            and self._ip("-n", self.name, "link", "set", "eth0", "up")
            and self._ip("-n", self.name, "link", "set", "lo", "up")
        )
        if not made:
            self._ip("netns", "del", self.name)
            pytest.skip("this machine makes no pairs of network devices")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Both ends of the wire go with it.
        self._ip("netns", "del", self.name)

    @property
    def enter(self) -> str:
        """Python that moves the process it runs in over there."""
        return (
            "import ctypes, os\n"
            f"network = os.open('/run/netns/{self.name}', os.O_RDONLY)\n"
            "library = ctypes.CDLL(None, use_errno=True)\n"
            "assert library.setns(network, 0x40000000) == 0, os.strerror(ctypes.get_errno())\n"
            "os.close(network)\n"
        )

    def cut(self) -> None:
        """Let nothing through any more. Nobody is told."""
        assert self._ip("link", "set", self._end, "down")

    def heal(self) -> None:
        """Let everything through again."""
        assert self._ip("link", "set", self._end, "up")

    def _ip(self, *arguments: str) -> bool:
        done = subprocess.run(["ip", *arguments], capture_output=True, check=False)  # noqa: S603, S607 - our own words
        return done.returncode == 0
