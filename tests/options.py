"""What the tests can be told on the command line, beside pytest's own options; `pytest --help` shows it.
`tests/conftest.py` hands it over to pytest. How long hypothesis looks is its own option:
`--hypothesis-profile=thorough`.

A `conftest.py` may ask only inside of a fixture or function: it is imported before the command line is read.
"""

import shutil
from argparse import ArgumentTypeError

import pytest
from hypothesis import settings

PROGRAMS = {
    "browser": ("chromium", "chromium-browser", "google-chrome"),
    "livekit": ("livekit-server",),
    "caddy": ("caddy",),
}
"""What a machine may lack, and what it is called on the PATH. The tests that need it are left out then."""

INSTALL = {
    "browser": "install the package chromium, to test the watch page in a browser",
    "livekit": "go install github.com/livekit/livekit-server/cmd/server@v1.13.5, and call the program livekit-server, "
    "to test rooms with a real server",
    "caddy": "go install github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9, to test the site of docs/watching.md",
}

THOROUGH = "thorough"
"""The profile of hypothesis for a look that takes hours. How many examples it means says each test."""

_every_point = False


def add(parser: pytest.Parser) -> None:
    """Declare the options."""
    settings.register_profile(THOROUGH)
    group = parser.getgroup("avatar-relay")
    group.addoption(
        "--every-point",
        action="store_true",
        help="fail and kill at every point and in every way, not at some of them",
    )
    group.addoption(
        "--require",
        type=_programs,
        default=frozenset(),
        metavar="PROGRAM,...",
        help=f"fail, and do not skip, where one of these is missing: {', '.join(PROGRAMS)}",
    )
    group.addoption(
        "--screenshots",
        metavar="FOLDER",
        help="keep the screenshots of the browser tests there",
    )


def _programs(text: str) -> frozenset[str]:
    asked = frozenset(text.split(",")) - {""}
    if unknown := asked.difference(PROGRAMS):
        raise ArgumentTypeError(f"it knows {', '.join(PROGRAMS)}, and not {', '.join(sorted(unknown))}")
    return asked


def read(config: pytest.Config) -> None:
    """Take in what the command line says."""
    global _every_point  # Asked for where there is no fixture: in the parameters of tests.
    _every_point = config.getoption("--every-point")


def is_thorough() -> bool:
    """Whether this run may take hours."""
    return settings.get_current_profile_name() == THOROUGH


def is_every_point() -> bool:
    """Whether nothing is left out of what can fail, and of where a program can be killed."""
    return _every_point or is_thorough()


def program(config: pytest.Config, name: str) -> str:
    """Where one of `PROGRAMS` is. Without it the test is left out, or fails where `--require` has it."""
    names = PROGRAMS[name]
    found = next((path for called in names if (path := shutil.which(called))), None)
    if found is None:
        line = f"no {names[0]} on the PATH: {INSTALL[name]}"
        if name in config.getoption("--require"):
            pytest.fail(line)
        pytest.skip(line)
    return found
