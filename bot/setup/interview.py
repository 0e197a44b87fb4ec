"""The interview of `init`: asks, checks each answer at once, asks again where it is wrong, writes `.env` at the end.

A person answers at a terminal; without one (`--no-input`) the values are those of the environment, and the first that
is missing or wrong ends it. Secrets are typed unseen and never printed.
"""

import os
import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path

from bot.doctor.check import GROUP, Check, Examination, Examine, Outcome
from bot.doctor.provider import examine_provider
from bot.doctor.report import table
from bot.errors import SettingsError
from bot.invocation import Tell
from bot.ports import Clock
from bot.settings import Settings, load
from bot.setup.env_file import write_env
from bot.setup.questions import Platform, Question, questions

Ask = Callable[[str, bool], str]
"""Asks a person with these words, unseen where the second argument says so, and returns what was typed."""

TRIES = 3
"""How often a group of questions is asked before the answers are taken as they are."""


class Interview:
    """One run of `init`."""

    def __init__(self, file: Path, clock: Clock, tell: Tell, ask: Ask | None) -> None:
        """`file`: the `.env` to write. `ask`: None where nobody is there to be asked."""
        self._file = file
        self._clock = clock
        self._tell = tell
        self._ask = ask
        self._values: dict[str, str] = {}

    async def hold(self, platform: Platform, provider: str) -> Settings:
        """Ask for everything and write the file. Returns the settings it makes.

        Raises `SettingsError` where nobody is there to be asked and a value is missing, wrong, or cannot be written.
        """
        self._values = {"AVATAR_PROVIDER": provider}
        for check, group in questions(platform, provider):
            if group:
                await self._go_through(check, group)
        try:
            write_env(self._file, self._values)
        except (OSError, ValueError) as error:
            raise SettingsError(f"{self._file} cannot be written: {error}") from error
        self._tell(f"Written to {self._file}, readable by you alone.")
        return load(self._file)

    async def _go_through(self, check: str, group: tuple[Question, ...]) -> None:
        for tries_left in range(TRIES - 1, -1, -1):
            for question in group:
                self._answer(question)
            checks = await self._look(check)
            for line in table(checks) if checks else []:
                self._tell(f"  {line}")
            wrong = [found for found in checks if found.outcome is Outcome.FAILURE]
            if not wrong:
                return
            if self._ask is None:
                raise SettingsError(f"{wrong[0].subject}: {wrong[0].found}. {wrong[0].fix}")
            if tries_left:
                self._tell("Let us try that again.")
        self._tell("I keep it as it is; `avatar-relay doctor` looks again.")

    def _answer(self, question: Question) -> None:
        given = os.environ.get(question.variable, "").strip()
        if self._ask is None:
            if not given and question.is_needed:
                raise SettingsError(f"{question.variable} is not set: set it in the environment for --no-input")
            answer = given
        else:
            self._tell(f"{question.variable}: {question.hint}")
            answer = self._ask(question.words, question.is_secret).strip() or given
        if answer:
            self._values[question.variable] = answer

    async def _look(self, name: str) -> list[Check]:
        settings = settings_of(self._values)
        examine = _check_named(name)
        if examine is None:
            return []
        return [found async for found in examine(Examination(settings, self._clock))]


def settings_of(values: Mapping[str, str]) -> Settings:
    """The settings that `values` make beside the environment. Raises `SettingsError`."""
    with tempfile.TemporaryDirectory(prefix="avatar-relay-init-") as folder:
        file = Path(folder) / "env"
        write_env(file, values)
        return load(file)


def _check_named(name: str) -> Examine | None:
    if name == "provider":
        return examine_provider
    for entry in entry_points(group=GROUP):
        if entry.name == name:
            try:
                examine: Examine = entry.load()
            except ModuleNotFoundError as error:
                add = f"pip install 'avatar-relay[{name}]'"
                raise SettingsError(f"{error.name} is not installed. Add it with: {add}") from None
            return examine
    return None
