"""Reads compose.yaml as Compose does, without Docker: what a profile starts, and `${NAME:-word}` filled in.

compose-go, with which Compose reads it, has more rules; `docs/watching.md` says what was tried with it.
"""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from tests.packaging.conftest import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?P<rule>:[-+])(?P<word>[^}]*)\}")
"""`:-` is for what is unset or empty, `:+` for the rest: https://docs.docker.com/reference/compose-file/interpolation/"""


def started_by(*profiles: str) -> set[str]:
    """The services that `docker compose --profile ... up` starts."""
    return {
        name
        for name, service in COMPOSE["services"].items()
        if not service.get("profiles") or set(service["profiles"]) & set(profiles)
    }


def environment_of(service: str, variables: Mapping[str, str]) -> dict[str, str]:
    """The environment that a service gets, with `variables` in `.env`."""
    written: dict[str, str] = COMPOSE["services"][service]["environment"]
    return {name: filled_in(value, variables) for name, value in written.items()}


def filled_in(text: str, variables: Mapping[str, str]) -> str:
    """`text` with the values of `variables`."""

    def value(found: re.Match[str]) -> str:
        is_set = variables.get(found["name"], "")
        if found["rule"] == ":-":
            return is_set or found["word"]
        return found["word"] if is_set else ""

    filled = _VARIABLE.sub(value, text)
    assert "$" not in filled, f"nobody here knows what Compose makes of {filled}"
    return filled
