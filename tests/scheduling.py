"""Which tests share a process of pytest-xdist, and which begin first.

`make test` keeps the tests of a file together, `--dist loadfile`. `make test-slow`, `--dist load`, has tests of minutes
beside tests of seconds: each goes to the next process that is free, the long ones first. Only the files of a folder
that builds environments for its tests stay together, because every process would build its own. And the browser tests
share one process: a browser that draws video is as much as two cores can do, and several of them at once, each with
its own LiveKit server and encoders, are late for each other.
"""

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling
from xdist.workermanage import WorkerController

LONG = "long"
"""The mark of tests that take half a minute or more."""

FILES_TOGETHER = "tests/packaging/"
"""The folder whose files stay together."""

ALL_TOGETHER = "tests/browser/"
"""The folder that stays together as a whole."""

KNOWN_AHEAD = 2
"""How many tests a process has, the one that runs included: pytest begins one only when it knows the next."""


def put_long_ones_first(items: list[pytest.Item]) -> None:
    """A long one that begins last leaves the other processes without work."""
    items.sort(key=lambda item: item.get_closest_marker(LONG) is None)


class OneByOne(LoadScopeScheduling):
    """Hands out tests one by one; what stays together as a whole, and before all others."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(ALL_TOGETHER):
            return ALL_TOGETHER
        return nodeid.partition("::")[0] if nodeid.startswith(FILES_TOGETHER) else nodeid

    def _reschedule(self, node: WorkerController) -> None:
        # What is handed out to a process waits for the end of what it is at, however long that takes.
        if self._pending_of(self.assigned_work[node]) < KNOWN_AHEAD:
            super()._reschedule(node)
