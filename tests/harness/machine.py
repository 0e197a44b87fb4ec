"""A network of its own for a program, as of another machine: one wire leads here, and another one to what may be cut
off by itself.

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


class Wire:
    """Between this machine and another one. here: the address of this end."""

    def __init__(self, machine: str, device: str) -> None:
        """`device` is what the other end is called."""
        self._machine, self._device = machine, device
        number = next(_numbers)
        # Names of network devices have at most 15 characters.
        self._end = f"rl{os.getpid() % 10**7}x{number}"
        # A net of four addresses for each, in the range of benchmarks (RFC 2544), which nobody routes.
        net = (os.getpid() * 8 + number) % 16384
        self.here, self._there = (f"198.18.{net // 64}.{net % 64 * 4 + last}" for last in (1, 2))

    def lay(self) -> bool:
        """False where there are no such wires to be had."""
        over_there = ("-n", self._machine)
        ends = (self._end, "type", "veth", "peer", "name", self._device, "netns", self._machine)
        return (
            ip("link", "add", *ends)
            and ip("addr", "add", f"{self.here}/30", "dev", self._end)
            and ip("link", "set", self._end, "up")
            and ip(*over_there, "addr", "add", f"{self._there}/30", "dev", self._device)
            and ip(*over_there, "link", "set", self._device, "up")
        )

    def cut(self) -> None:
        """Let nothing through any more. Nobody is told."""
        assert ip("link", "set", self._end, "down")

    def refuse(self) -> None:
        """Reset every connection, and let no new one be made: the other machine is told that there is no way here."""
        assert ip("-n", self._machine, "route", "add", "unreachable", f"{self.here}/32")
        assert run("ss", "--kill", "dst", self._there)

    def heal(self) -> None:
        """Let everything through again."""
        assert ip("link", "set", self._end, "up")
        ip("-n", self._machine, "route", "del", "unreachable", f"{self.here}/32")


class Machine:
    """From `with` to its end. here: the address of this machine as the other one has it. aside: a second wire, to what
    is to be cut off alone. Skips the test where there are no such networks to be had."""

    def __init__(self) -> None:
        self.name = f"relay-{os.getpid()}-{next(_numbers)}"
        self._wire, self.aside = Wire(self.name, "eth0"), Wire(self.name, "eth1")
        self.here = self._wire.here

    def __enter__(self) -> Self:
        if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("ss") is None:
            pytest.skip("a network of its own takes Linux, root, `ip` and `ss`")
        if not ip("netns", "add", self.name):
            pytest.skip("this machine makes no network namespaces")
        if not (self._wire.lay() and self.aside.lay() and ip("-n", self.name, "link", "set", "lo", "up")):
            ip("netns", "del", self.name)
            pytest.skip("this machine makes no pairs of network devices")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Both ends of the wires go with it.
        ip("netns", "del", self.name)

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
        """Let nothing through any more, over neither wire. Nobody is told."""
        self._wire.cut()
        self.aside.cut()

    def heal(self) -> None:
        """Let everything through again."""
        self._wire.heal()
        self.aside.heal()


def ip(*arguments: str) -> bool:
    return run("ip", *arguments)


def run(*command: str) -> bool:
    """Whether it went well."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603 - our own words
