"""The decoder's process, as the bot sees it: started with the first segment, ended when nobody listens any more,
started again where it died. One for all sessions: a second of sound takes it about 20 ms.

It needs nothing of the bot's environment, and gets next to nothing of it.
"""

import asyncio
import itertools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec

import structlog

from adapters.media.sound.wire import ANSWER, DECODE, FORGET, MAX_BODY, QUESTION
from bot.core.errors import PictureUnavailable
from bot.core.tasks import TaskSet

log = structlog.get_logger(__name__)

ANSWER_LIMIT = 10.0
"""Seconds for one segment, the start of the process included, on a machine that is busy."""

END_LIMIT = 2.0
"""Seconds for the process to be gone after it was killed."""

ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "SYSTEMROOT", "TMPDIR", "TZ")
"""What Python may need of the environment, in which there are also the bot's keys."""

WORKER = "adapters.media.sound.worker"

MISSING = "The bot cannot decode sound: install avatar-relay[voice]"


def can_decode() -> bool:
    """Whether PyAV is there. Does not import it: it is for the decoder's process alone."""
    return find_spec("av") is not None


class SoundDecoder:
    """See the module. `line` begins a line of sound, and keeps the process; `aclose` ends everything."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._lines: set[int] = set()
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._tasks = TaskSet()

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return self._process.pid if self._process is not None else None

    @contextmanager
    def line(self) -> Iterator[int]:
        """The number of a new line of sound, until the block is left."""
        number = next(self._numbers)
        self._lines.add(number)
        try:
            yield number
        finally:
            self._lines.discard(number)
            self._tasks.create_task(self._forget(number), name="forget a line of sound")

    async def decode(self, line: int, init: bytes, segment: bytes) -> bytes:
        """The samples (`bot.core.sound`) of the next segment of a line. init: of a fragmented MP4, else empty. Raises
        `PictureUnavailable`."""
        if not can_decode():
            raise PictureUnavailable(MISSING)
        async with self._turn:
            try:
                async with asyncio.timeout(ANSWER_LIMIT):
                    return await self._ask(line, init, segment)
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as trouble:
                self._end()
                raise PictureUnavailable(f"the decoder of sound died or hangs ({type(trouble).__name__})") from trouble
            except asyncio.CancelledError:
                # Its answer would be taken for that to the next question.
                self._end()
                raise

    async def aclose(self) -> None:
        """End the process."""
        self._lines.clear()
        self._end()
        try:
            async with asyncio.timeout(END_LIMIT):
                await self._tasks.drained()
        except TimeoutError:
            log.warning("the decoder of sound did not end in time")
        self._end()
        await self._tasks.close()

    async def _ask(self, line: int, init: bytes, segment: bytes) -> bytes:
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", WORKER,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
            )  # fmt: skip
        questions, answers = self._process.stdin, self._process.stdout
        if questions is None or answers is None:
            raise BrokenPipeError
        questions.write(QUESTION.pack(DECODE, line, len(init), len(segment)) + init + segment)
        await questions.drain()
        worked, size = ANSWER.unpack(await answers.readexactly(ANSWER.size))
        if size > MAX_BODY:
            raise BrokenPipeError
        body = await answers.readexactly(size)
        if not worked:
            raise PictureUnavailable(f"a segment has no sound that can be understood ({body.decode(errors='replace')})")
        return body

    async def _forget(self, line: int) -> None:
        async with self._turn:
            if not self._lines:
                self._end()
            elif self._process is not None and self._process.stdin is not None:
                with suppress(OSError):
                    self._process.stdin.write(QUESTION.pack(FORGET, line, 0, 0))

    def _end(self) -> None:
        """Have the process ended; that it has is waited for by a task of its own, whoever is cancelled meanwhile."""
        process, self._process = self._process, None
        if process is not None:
            self._tasks.create_task(_reap(process), name="end the decoder of sound")


async def _reap(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    # Reads what is left: a pipe that is full would not be noticed to be closed.
    await process.communicate()
