"""Somebody who opens the watch page of a program on a console, for tests that have no event loop of their own: a thread
that holds the page's connection open, and opens it again, as a browser does.
"""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.harness.watchers import PUBLIC_URL

AGAIN = 0.05
"""Seconds until the page tries again."""


class PageThread:
    """The page is open inside the `with` block, as soon as the program has printed its link."""

    def __init__(self, output: Callable[[], str]) -> None:
        """`output`: everything that the program has printed so far; it is told `tests.harness.watchers.SETTINGS`."""
        self._output = output
        self._is_left = threading.Event()
        self._thread = threading.Thread(target=self._stay, name="watch page")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_left.set()
        self._thread.join()

    def _stay(self) -> None:
        while not self._is_left.is_set():
            with contextlib.suppress(OSError):
                self._watch()
            time.sleep(AGAIN)

    def _watch(self) -> None:
        output = self._output()
        links = re.findall(rf"Watch: {re.escape(PUBLIC_URL)}(/w/\S+)", output)
        served = re.findall(r"Web: .*?(http://127[\d.]+:\d+)", output)
        if not links or not served:
            return
        address = urlsplit(served[-1])
        assert address.hostname is not None
        assert address.port is not None
        with socket.create_connection((address.hostname, address.port), timeout=1) as connection:
            connection.sendall(handshake(links[-1], address.netloc, PUBLIC_URL))
            connection.settimeout(AGAIN)
            while not self._is_left.is_set():
                with contextlib.suppress(TimeoutError):
                    if not connection.recv(65536):
                        return


def handshake(path: str, host: str, origin: str) -> bytes:
    """The request by which a browser's page opens its connection."""
    lines = (
        f"GET {path}/live HTTP/1.1",
        f"Host: {host}",
        f"Origin: {origin}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "",
        "",
    )
    return "\r\n".join(lines).encode()
