"""One file to attach to a bug report: versions, settings without secrets, the doctor's findings, counts of rows.

Holds no message, no name and no id of a person, no key and no token.
"""

import json
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Any

from bot.cli.doctor.check import Check
from bot.cli.sessions import open_store
from bot.core.errors import StoreError
from bot.core.ports import Clock
from bot.settings import SECTIONS, Settings
from bot.telemetry.redaction import MASK, Redactor

PACKAGES = ("aiohttp", "discord.py", "httpx", "livekit", "pydantic", "slack-bolt", "slack-sdk", "sqlalchemy", "typer")

_PEOPLE = ("admin_users", "admins", "hosts", "speakers")
"""Settings that name people: only how many."""


async def diagnose(settings: Settings, clock: Clock, checks: Sequence[Check]) -> str:
    """The file as text (JSON)."""
    report = {
        "avatar-relay": _version("avatar-relay"),
        "python": sys.version.split()[0],
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "installed": len(list(distributions())),
        "settings": settings_without_secrets(settings),
        "checks": [{"subject": c.subject, "outcome": c.outcome.value, "found": c.found} for c in checks],
        "rows": await _count_rows(settings, clock),
    }
    text = Redactor(settings.secrets()).line(json.dumps(report, indent=2, default=str))
    home = str(Path.home())
    # The path of a home folder has the name of a person in it.
    return text.replace(home, "~") if len(home) > 1 else text


def settings_without_secrets(settings: Settings) -> dict[str, Any]:
    """Every setting that is not at its default, secrets as `[hidden]`, lists of people as their number."""
    shown: dict[str, Any] = {}
    redactor = Redactor(settings.secrets())
    for section, of in [("", settings), *((f"{name}.", getattr(settings, name)) for name in SECTIONS)]:
        for name, field in type(of).model_fields.items():
            value = getattr(of, name)
            if name in SECTIONS or value == field.default:
                continue
            is_secret = "SecretStr" in str(field.annotation) or not field.repr
            shown[section + name] = MASK if is_secret else _without_people(name, redactor.value(value))
    return shown


def _without_people(name: str, value: object) -> object:
    return f"{len(value)} named" if name in _PEOPLE and isinstance(value, list) else value


async def _count_rows(settings: Settings, clock: Clock) -> dict[str, dict[str, int]] | str:
    try:
        async with await open_store(settings, clock) as store:
            return await store.count_by_state()
    except StoreError as error:
        return Redactor(settings.secrets()).text(str(error))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
