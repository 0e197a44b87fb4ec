"""Runs every check, and shows what came of them: a table for people, JSON for machines."""

import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict
from importlib.metadata import entry_points

import structlog

from bot.cli.doctor.chat_model import examine_answers
from bot.cli.doctor.check import GROUP, Check, CheckContext, Examine, Outcome, failed, skipped
from bot.cli.doctor.machine import examine_machine
from bot.cli.doctor.provider import examine_provider
from bot.cli.doctor.public_address import examine_public_address
from bot.core.errors import SettingsError
from bot.telemetry.redaction import Redactor

log = structlog.get_logger(__name__)

_MARKS = {Outcome.PASS: "ok", Outcome.WARNING: "warning", Outcome.FAILURE: "FAILED", Outcome.SKIP: "-"}


async def examine(examination: CheckContext) -> list[Check]:
    """Run every check, one after the other. Nothing of what they say holds a secret."""
    redactor = Redactor(examination.settings.secrets())
    checks: list[Check] = []
    ours: list[tuple[str, Examine]] = [
        ("machine", examine_machine),
        ("public address", examine_public_address),
        ("avatar service", examine_provider),
        ("answers", examine_answers),
    ]
    for name, each in [*ours, *_of_adapters()]:
        checks += await _collect(name, each(examination))
    return [
        Check(check.subject, check.outcome, redactor.text(check.found), redactor.text(check.fix)) for check in checks
    ]


def of_bad_settings(error: SettingsError) -> list[Check]:
    """The checks where the settings cannot be read, so that nothing else can be looked at: one for each bad value."""
    return [failed("settings", line, "Fix it in .env or in the environment.") for line in str(error).splitlines()]


def table(checks: Iterable[Check]) -> list[str]:
    """The checks as lines, each with its fix below."""
    lines = []
    checks = list(checks)
    width = max(len(check.subject) for check in checks)
    for check in checks:
        lines.append(f"{_MARKS[check.outcome]:<8} {check.subject:<{width}}  {check.found}")
        if check.fix:
            lines.append(f"{'':<8} {'':<{width}}  -> {check.fix}")
    return lines


def as_json(checks: Iterable[Check]) -> str:
    """The checks as a JSON list."""
    return json.dumps([asdict(check) for check in checks], indent=2)


def has_failed(checks: Iterable[Check]) -> bool:
    """Whether something does not work."""
    return any(check.outcome is Outcome.FAILURE for check in checks)


def _of_adapters() -> Iterable[tuple[str, Examine]]:
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            yield entry.name, entry.load()
        except ModuleNotFoundError as error:
            yield entry.name, _without_its_extra(entry.name, error.name or entry.name)


def _without_its_extra(name: str, missing: str) -> Examine:
    async def say_so(_: CheckContext) -> AsyncIterator[Check]:
        yield skipped(name.capitalize(), f"{missing} is not installed. Add it with: pip install 'avatar-relay[{name}]'")

    return say_so


async def _collect(name: str, checks: AsyncIterator[Check]) -> list[Check]:
    found: list[Check] = []
    try:
        async for check in checks:
            found.append(check)  # noqa: PERF401 - what was found before a mistake counts
    except Exception as error:
        # A doctor that dies of one organ cannot report on the others.
        log.exception("a check failed: unexpected error", name=name)
        found.append(failed(name, f"the check itself failed ({type(error).__name__})", "Report it; the log has more."))
    return found
