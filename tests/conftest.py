"""Which tests are slow: whole programs that are killed, packed, set up or watched. `make test` leaves them to
`make test-slow`; CI runs both. And what undoes a log that a test has set up.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from bot.core import unexpected

SLOW = (
    "browser",
    "contract/avatars/test_stage.py",
    "fuzz",
    "packaging",
    "scenario/setup",
    "scenario/test_call_failures.py",
    "scenario/test_two_bots.py",
    "scenario/test_clock_jumps.py",
    "scenario/test_clock_set.py",
    "scenario/test_database.py",
    "scenario/test_example.py",
    "scenario/test_hostile_input.py",
    "scenario/test_killed.py",
    "scenario/test_program.py",
    "scenario/test_program_admin.py",
    "scenario/test_room_failures.py",
    "scenario/test_secrets.py",
    "scenario/test_secrets_in_chat.py",
    "scenario/test_secrets_refused.py",
    "scenario/test_shutdown.py",
    "scenario/test_soak.py",
    "stateful",
)
"""Files and folders below `tests`; each takes more than half a minute of a core."""

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them."""
    slow = tuple(HERE / name for name in SLOW)
    for item in items:
        if any(item.path.is_relative_to(path) for path in slow):
            item.add_marker("slow")


@pytest.fixture(autouse=True)
def nothing_is_known() -> None:
    """An error that an earlier test has met is logged whole in this one, too."""
    unexpected.forget()


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    """Afterwards the log is as it was before the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()
