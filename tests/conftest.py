"""For all tests: their options on the command line (`tests.options`), who runs them when (`tests.scheduling`), and what
undoes what an earlier test has logged."""

import gc
import logging
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any

import pytest
import structlog
from xdist.remote import Producer

from bot.core import unexpected
from tests import options, scheduling

pytest_plugins = ["tests.harness.postgres"]


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    options.read(config)
    # A logger that is kept from its first use on, as the program has it, would be deaf to what later tests capture.
    structlog.configure = partial(_configure_logging, structlog.configure)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Modules and tests are there until the end: nobody looks for garbage among them, which takes time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    scheduling.put_long_ones_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> scheduling.OneByOne | None:
    return scheduling.OneByOne(config, log) if config.getoption("dist") == "load" else None


def _configure_logging(configure: Callable[..., None], **settings: Any) -> None:
    configure(**settings | {"cache_logger_on_first_use": False})


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
