"""The console in a real terminal (a pseudo-terminal), typed at key by key."""

import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.harness.page_thread import handshake
from tests.harness.programs import PATIENCE, Service

pytestmark = pytest.mark.slow

CTRL_C, CTRL_D, TAB, ENTER, UP = "\x03", "\x04", "\t", "\r", "\x1b[A"
WHERE = b"\x1b[6n"
"""The question where the cursor is, which every real terminal answers; without an answer there is no status line."""

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[()][A-Z0-9]|[=>])")


class Terminal:
    """`avatar-relay ARGUMENTS` in a terminal of 80 columns."""

    def __init__(self, folder: Path, *arguments: str, **settings: str) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        tty = os.ttyname(theirs)
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "PYTHONPYCACHEPREFIX") if name in os.environ}
        self._keys = ours
        self._shown = b""
        self.process = subprocess.Popen(  # noqa: S603 - our own program and our own words
            # Opened by the leader of a new session, it becomes the terminal that sends Ctrl-C and hang-up as signals.
            ["/bin/sh", "-c", f'exec "$@" <{tty} >{tty} 2>&1', "sh", sys.executable, "-m", "bot", *arguments],
            cwd=folder,
            start_new_session=True,
            env=kept | {"HOME": str(folder), "TERM": "xterm"} | {"AVATAR_GREETING": "Hi."} | settings,
        )
        # With nobody at that end, reading at ours fails: it stays open until the program has opened it as well.
        self._theirs: int | None = theirs

    def type(self, keys: str) -> None:
        os.write(self._keys, keys.encode())

    @property
    def raw(self) -> str:
        return self._shown.decode(errors="replace")

    @property
    def screen(self) -> str:
        """Everything that was ever shown, without colours and movements."""
        return _ESCAPES.sub("", self.raw).replace("\r", "")

    def until(self, text: str) -> None:
        """Wait until `text` has been shown."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.screen:
            assert time.monotonic() < deadline, f"never showed {text!r}:\n{self.screen[-4000:]}"
            assert self._read(), f"ended without {text!r}:\n{self.screen[-4000:]}"

    def _read(self) -> bool:
        if not select.select([self._keys], [], [], 0.5)[0]:
            return True
        try:
            data = os.read(self._keys, 65536)
        except OSError:  # on Linux the end of a pseudo-terminal reads as an error
            return False
        self._let_go()
        self._shown += data
        for _ in range(data.count(WHERE)):
            self.type("\x1b[12;1R")
        return bool(data)

    def end(self, key: str = "") -> int:
        """Wait for the program to end, and return its exit code.

        key: pressed again each second, as people do: Ctrl-D is lost in the moment in which a line is being shown.
        """
        start = pressed = time.monotonic()
        while self._read():
            assert time.monotonic() < start + PATIENCE, f"does not end:\n{self.screen[-4000:]}"
            if key and time.monotonic() > pressed + 1:
                self.type(key)
                pressed = time.monotonic()
        return self.process.wait(PATIENCE)

    def _let_go(self) -> None:
        if self._theirs is not None:
            os.close(self._theirs)
            self._theirs = None

    def hang_up(self) -> None:
        """Close the window."""
        os.close(self._keys)
        self._keys = -1

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._let_go()
        if self._keys >= 0:
            self.hang_up()


@pytest.fixture
def terminal(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    """The demo in a terminal."""
    terminal = Terminal(tmp_path, "demo", "--speed", "5", **getattr(request, "param", {}))
    yield terminal
    terminal.close()


def test_person_starts_writes_and_leaves_with_ctrl_d(terminal: Terminal) -> None:
    terminal.until("no avatar here: /avatar start brings one")
    terminal.type(f"/avatar start{ENTER}")
    terminal.until("The avatar is here. Open the link and write something: it wakes up and says it.")
    terminal.until("asleep · mode repeat · no messages waiting")
    terminal.type(f"hello there{ENTER}half a li")
    terminal.until("The avatar says it as soon as somebody opens the watch link.")
    with page_of(terminal):
        terminal.until("live · mode repeat · no messages waiting · 59:")
        terminal.until("$3.00/min")
        terminal.until("  said: hello there")
        says_the_rest(terminal)


def says_the_rest(terminal: Terminal) -> None:
    """After a first line and half a second one."""
    # What came from the avatar stands above the line that is being typed, and never in it.
    assert not re.search(r"half a li\s*(saying|said|Got it|Queued|The avatar is saying)", terminal.screen)
    terminal.type(f"ne{ENTER}")
    terminal.until("  said: half a line")
    terminal.type(CTRL_D)
    assert terminal.end(CTRL_D) == 0
    assert "Closing everything…" in terminal.screen
    assert terminal.screen.endswith("Everything is closed.\n")
    assert "Traceback" not in terminal.screen


def test_tab_completes_and_arrow_up_brings_back(terminal: Terminal) -> None:
    terminal.until("no avatar here")
    terminal.type("/avatar-admin se")
    terminal.type(TAB)
    terminal.until("/avatar-admin sessions")
    terminal.type(ENTER)
    terminal.until("No open sessions.")
    terminal.type(UP)
    terminal.type(ENTER)
    while terminal.screen.count("No open sessions.") < 2:
        terminal.until("No open sessions.")
        assert terminal._read()
    terminal.type(CTRL_C)
    assert terminal.end() == 0


@contextmanager
def page_of(terminal: Terminal) -> Iterator[None]:
    """Somebody opens the link that stands in the terminal, as far as the bot can tell."""
    link = urlsplit(terminal.screen.rpartition("Watch: ")[2].split()[0])
    with socket.create_connection((link.hostname, link.port)) as connection:
        connection.sendall(handshake(link.path, link.netloc, f"{link.scheme}://{link.netloc}"))
        assert connection.recv(1024).startswith(b"HTTP/1.1 101")
        yield


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_gives_the_terminal_back(terminal: Terminal, number: signal.Signals) -> None:
    terminal.until("no avatar here")
    terminal.type(f"/avatar start{ENTER}")
    terminal.until("The avatar is here.")
    terminal.type("some words that were never sent")
    terminal.until("never sent")
    terminal.process.send_signal(number)
    assert terminal.end() == 0
    assert "so the avatar has left" in terminal.screen
    assert "Traceback" not in terminal.screen


def test_closing_the_window_closes_the_stream(tmp_path: Path) -> None:
    with Service.running(tmp_path) as service:
        terminal = Terminal(tmp_path, "run", "--console", **service.settings(tmp_path))
        try:
            terminal.until("no avatar here")
            terminal.type(f"/avatar start{ENTER}")
            terminal.until("The avatar is live.")
            assert service.open_streams == 1
            terminal.hang_up()
            assert terminal.process.wait(PATIENCE) == 0
        finally:
            terminal.close()
        assert service.open_streams == 0


@pytest.mark.parametrize(
    ("terminal", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False)],
    ids=["colour", "no-color"],
    indirect=["terminal"],
)
def test_colour_is_left_out_where_it_is_not_wanted(terminal: Terminal, coloured: bool) -> None:
    terminal.until("no avatar here")
    terminal.type(f"/avatar start{ENTER}")
    terminal.until("Watch: http")
    terminal.type(CTRL_C)
    assert terminal.end() == 0
    assert ("\x1b[36m" in terminal.raw) is coloured
