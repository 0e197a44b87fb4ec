"""A person at a terminal: line editing, history, completion with Tab, a status line that counts down, and output above
the prompt while somebody types. Knows no command and no session; what to show comes from `chat` and `render`.
"""

import os
import shutil
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TextIO, cast

from platformdirs import user_state_path
from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.patch_stdout import StdoutProxy

from adapters.chat.console.render import Line, Tone
from bot.terminal import broken

STATUS_EVERY = 0.5
"""Seconds between redraws of the status line, whose seconds count down."""

_CODES = {Tone.QUIET: "2", Tone.LINK: "36", Tone.TROUBLE: "33"}
"""Select Graphic Rendition (ECMA-48): faint, cyan, yellow."""


async def typed_lines(status: Callable[[], str], words: Sequence[str]) -> AsyncGenerator[str, None]:
    """The lines a person types, until Ctrl-D, Ctrl-C or the end of the terminal.

    `status` is drawn at the bottom, `words` complete with Tab.

    Meanwhile everything written to standard output or standard error appears above the prompt.
    """
    session: PromptSession[str] = PromptSession(
        history=_history(),
        auto_suggest=AutoSuggestFromHistory(),
        completer=WordCompleter(list(words), sentence=True),
        complete_while_typing=False,
        bottom_toolbar=status,
        refresh_interval=STATUS_EVERY,
    )
    # Ours is clean and may be coloured; a log line may carry anything, so its escapes are shown, not obeyed.
    with (
        StdoutProxy(raw=True) as out,
        StdoutProxy() as err,
        redirect_stdout(cast("TextIO", out)),
        redirect_stderr(cast("TextIO", err)),
    ):
        while True:
            try:
                yield await session.prompt_async("> ")
            except (EOFError, KeyboardInterrupt, OSError):
                # OSError: the terminal is gone, its window was closed.
                return


def styled(line: Line) -> str:
    """A line for the terminal that is there now: broken between words, with a little colour."""
    return dress(line, columns=shutil.get_terminal_size().columns, colour=shows_colour())


def dress(line: Line, *, columns: int, colour: bool) -> str:
    """A line no wider than `columns` where its words allow that; every part of it is indented like the first."""
    text = line.text if line.tone is Tone.LINK else broken(line.text, columns)
    code = _CODES.get(line.tone) if colour else None
    return text if code is None else f"\x1b[{code}m{text}\x1b[0m"


def shows_colour() -> bool:
    """Whether colour is wanted (https://no-color.org) and understood."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def _history() -> History:
    folder = user_state_path("avatar-relay", appauthor=False)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = Path(folder) / "console-history"
        file.touch(mode=0o600)
        return FileHistory(str(file))
    except OSError:
        # A read-only home does not keep anybody from talking; the history just ends with the program.
        return InMemoryHistory()
