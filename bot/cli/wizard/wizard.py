"""The interview of `init`: asks, checks each answer at once, asks again where it is wrong, writes `.env` at the end.

A person answers at a terminal, and an empty answer keeps what `.env` or the environment has. Without a person
(`--no-input`) the values are those of the environment, and the first that is missing or wrong ends it. Secrets are
typed unseen and never printed.
"""

import os
import tempfile
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path

from pydantic import SecretStr

from bot.cli.doctor.check import GROUP, Check, CheckContext, Examine, Outcome, failed
from bot.cli.doctor.provider import examine_provider
from bot.cli.doctor.public_address import examine_public_address
from bot.cli.doctor.report import table
from bot.cli.wizard.env_file import write_env
from bot.cli.wizard.questions import Platform, Question, questions
from bot.cli.wizard.watch import Ask, WatchQuestion
from bot.core.errors import SettingsError
from bot.core.ports import Clock, Echo
from bot.plugins import make_provider, with_simulator
from bot.settings import SECTIONS, Settings, load

OURS: Mapping[str, Examine] = {"provider": examine_provider, "web": examine_public_address}
"""The checks of `questions` that no adapter has."""

NOWHERE = "http://127.0.0.1:9"
"""An address for a provider that is only looked at."""

TRIES = 3
"""How often a group of questions is asked before the answers are taken as they are."""


class SetupWizard:
    """One run of `init`."""

    def __init__(self, file: Path, clock: Clock, echo: Echo, ask: Ask | None) -> None:
        """`file`: the `.env` to write. `ask`: None if nobody is there to be asked."""
        self._file = file
        self._clock = clock
        self._echo = echo
        self._ask = ask
        self._values: dict[str, str] = {}

    async def hold(self, platform: Platform, provider: str) -> Settings:
        """Ask for everything and write the file. Returns the settings it makes.

        Raises `SettingsError` if nobody is there to be asked and a value is missing, wrong, or cannot be written.
        """
        self._values = {"AVATAR_PROVIDER": provider}
        for check, group in questions(platform, provider):
            if group:
                await self._go_through(check, group)
        watch = WatchQuestion(self._echo, self._ask, self._settings_with)
        self._values |= watch.answers(shows_hls=shows_hls(self._settings_with({}), self._clock))
        try:
            write_env(self._file, self._values)
        except (OSError, ValueError) as error:
            raise SettingsError(f"{self._file} cannot be written: {error}") from error
        self._echo(f"Written to {self._file}, readable by you alone.")
        return load(self._file)

    def _settings_with(self, more: Mapping[str, str]) -> Settings:
        return settings_of(self._values | dict(more), beside=self._file)

    async def _go_through(self, check: str, group: tuple[Question, ...]) -> None:
        is_needed = any(question.is_needed for question in group)
        for tries_left in range(TRIES - 1, -1, -1):
            for question in group:
                self._answer(question)
            checks = await self._look(check, group)
            for line in table(checks) if checks else []:
                self._echo(f"  {line}")
            wrong = [found for found in checks if found.outcome is Outcome.FAILURE]
            if not wrong:
                return
            if self._ask is None:
                if is_needed:
                    raise SettingsError(f"{wrong[0].subject}: {wrong[0].found}. {wrong[0].fix}")
                break
            if tries_left:
                self._echo("Let us try that again.")
        self._echo("Kept as it is; `avatar-relay doctor` checks it again.")

    def _answer(self, question: Question) -> None:
        given = os.environ.get(question.variable, "").strip()
        if self._ask is not None:
            self._echo(f"{question.variable}: {question.hint}")
            given = self._ask(question.words, question.is_secret).strip() or given
        if given:
            self._values[question.variable] = given
        elif not question.is_needed:
            self._values.pop(question.variable, None)

    async def _look(self, name: str, group: tuple[Question, ...]) -> list[Check]:
        try:
            settings = settings_of(self._values, beside=self._file)
        except (SettingsError, ValueError) as error:
            # What was just typed is no value for that setting: the next round replaces it.
            for question in group:
                self._values.pop(question.variable, None)
            return [failed("settings", str(error).rstrip("."), "Give it another value.")]
        for question in group:
            if question.is_needed and not _is_set(settings, question.variable):
                return [failed("settings", f"{question.variable} is not set", f"Find it at {question.hint}.")]
        examine = _check_named(name)
        if examine is None:
            return []
        return [found async for found in examine(CheckContext(settings, self._clock))]


def settings_of(values: Mapping[str, str], *, beside: Path) -> Settings:
    """The settings that `values` make with those of the file `beside` and of the environment, without writing to it.

    Raises `SettingsError`, and `ValueError` for a value with a line break.
    """
    with tempfile.TemporaryDirectory(prefix="avatar-relay-init-") as folder:
        file = Path(folder) / "env"
        if beside.exists():
            file.touch(mode=0o600)
            file.write_bytes(beside.read_bytes())
        write_env(file, values)
        return load(file)


def shows_hls(settings: Settings, clock: Clock) -> bool:
    """Whether the provider's streams can be played by any number of people as they are. Opens nothing, needs no key."""
    try:
        provider = make_provider(with_simulator(settings, NOWHERE, SecretStr("none")), clock)
    except SettingsError:
        # Only for rooms something else has to be set, or installed.
        return False
    return provider.capabilities.many_viewers


def _is_set(settings: Settings, variable: str) -> bool:
    for name, kind in SECTIONS.items():
        prefix = kind.model_config.get("env_prefix", "")
        field = variable.removeprefix(prefix).lower()
        if variable.startswith(prefix) and field in kind.model_fields:
            return getattr(getattr(settings, name), field) is not None
    return False


def _check_named(name: str) -> Examine | None:
    if name in OURS:
        return OURS[name]
    for entry in entry_points(group=GROUP):
        if entry.name == name:
            try:
                examine: Examine = entry.load()
            except ModuleNotFoundError as error:
                add = f"pip install 'avatar-relay[{name}]'"
                raise SettingsError(f"{error.name} is not installed. Add it with: {add}") from None
            return examine
    return None
