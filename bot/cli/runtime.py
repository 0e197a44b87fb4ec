"""Around every command of the shell: settings are read, the log is set up, errors become sentences and exit codes.

Exit codes: 0 done, 1 it could not be done, 2 a setting or the database is not right, 75 (`EX_TEMPFAIL`) another process
has taken this one's work over, so that starting again helps; the output says what.
"""

import shutil
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from pydantic import SecretStr

from bot import terminal
from bot.core import event_loop
from bot.core.errors import AvatarRelayError, OwnershipLost, SettingsError, StoreError
from bot.settings import ENV_FILE, LogLevel, Settings, load
from bot.telemetry.logs import configure

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")]

TAKEN_OVER = 75
"""The exit code for a supervisor that must start the program again; `sysexits.h` calls it a temporary failure."""


def run_async(work: Coroutine[Any, Any, None]) -> None:
    """Run a command's work in a loop of its own; what fails ends with its sentence and its exit code."""
    try:
        event_loop.run(work)
    except OwnershipLost as error:
        fail(str(error), code=TAKEN_OVER)
    except (SettingsError, StoreError) as error:
        fail(str(error))
    except AvatarRelayError as error:
        fail(str(error), code=1)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None  # before the signals were ours; 128 + SIGINT, as shells count


def load_settings(*, quiet: bool = False) -> Settings:
    """The settings of the environment and `.env`, with the log set up by them.

    quiet: only errors are logged unless LOG_LEVEL says otherwise, for commands whose output says it all.
    """
    settings = read_settings(ENV_FILE)
    if quiet and "log_level" not in settings.model_fields_set:
        set_up_log(settings.model_copy(update={"log_level": LogLevel.ERROR}))
    else:
        set_up_log(settings)
    return settings


def read_settings(env_file: Path | None) -> Settings:
    """The settings, or the end with a line for each that is not right."""
    try:
        return load(env_file)
    except SettingsError as error:
        fail(str(error))


def set_up_log(settings: Settings, *secrets: SecretStr) -> None:
    """Log as the settings say, and mask every secret among them and the other `secrets`."""
    configure(settings.log_level, settings.log_format, (*settings.secrets(), *secrets))


def echo(line: str) -> None:
    """Print one line on standard output, broken between words where a person reads it."""
    in_terminal = sys.stdout is not None and sys.stdout.isatty()
    terminal.write_line(terminal.broken(line, shutil.get_terminal_size().columns) if in_terminal else line)


def fail(message: str, code: int = 2) -> NoReturn:
    """End with a sentence on stderr."""
    text = message[:1].upper() + message[1:]
    typer.echo(text if text.endswith((".", "?", "!")) else f"{text}.", err=True)
    raise typer.Exit(code)
