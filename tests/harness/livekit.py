"""A real LiveKit server for tests: `livekit-server --dev` on ports of its own, one for each test process.

Import `livekit_server` in a `conftest.py` or a test module. Without the program on the PATH the tests that ask for it
are skipped with a line that says so, unless `--require=livekit` asks for a failure instead.
"""

import http.client
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import options
from tests.harness.ports import free_port

PROGRAM = "livekit-server"
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0

# Media goes over the loopback device alone: nothing asks a STUN server for an outside address, and a machine without
# any other network is enough. A room that everyone has left is gone after a second.
_CONFIG = """
port: {port}
bind_addresses: ["127.0.0.1"]
rtc:
  tcp_port: {tcp}
  udp_port: {udp}
  node_ip: 127.0.0.1
  use_external_ip: false
  enable_loopback_candidate: true
  interfaces:
    includes: ["lo"]
room:
  departure_timeout: 1
keys:
  {key}: {secret}
"""
KEY, SECRET = "devkey", "a secret of the tests that is long enough for HS256"
"""PyJWT warns of a secret as short as the one that `--dev` brings, and a warning is an error here."""


@dataclass(frozen=True, slots=True)
class LiveKitServer:
    """Where a LiveKit server is, and the key that makes tokens for it."""

    url: str
    api_key: str = KEY
    api_secret: str = SECRET


@pytest.fixture(scope="session")
def livekit_program(pytestconfig: pytest.Config) -> str:
    """Where `livekit-server` is."""
    return options.program(pytestconfig, "livekit")


@pytest.fixture(scope="session")
def livekit_server(livekit_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveKitServer]:
    """A server that answers; it is stopped at the end of the test process."""
    with running_livekit_server(livekit_program, tmp_path_factory.mktemp("livekit")) as server:
        yield server


@contextmanager
def running_livekit_server(program: str, folder: Path) -> Iterator[LiveKitServer]:
    """A server that answers, its log in `folder`, until the block ends. Raises RuntimeError when it does not start."""
    log, port = folder / "server.log", free_port()
    config = _CONFIG.format(port=port, tcp=free_port(), udp=free_port(socket.SOCK_DGRAM), key=KEY, secret=SECRET)
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - a program of the machine, with arguments of this file
            [program, "--dev", "--config-body", config], stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _wait_until_it_answers(process, port, log)
        yield LiveKitServer(f"ws://127.0.0.1:{port}")
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
            try:
                connection.request("GET", "/")
                if connection.getresponse().status == 200:
                    return
            finally:
                connection.close()
        time.sleep(0.05)
    raise RuntimeError(f"{PROGRAM} did not start; its last words: {log.read_text(errors='replace')[-2000:]}")
