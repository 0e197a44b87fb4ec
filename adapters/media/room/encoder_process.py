"""One run of the encoder as a process (`worker`): it is started, fed, listened to, and surely ended.

Whoever started it decides whether there is another one. It needs nothing of the bot's environment, and gets next to
nothing of it.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress

from adapters.media.room.feed import Body, Feed
from adapters.media.room.wire import HEAD, Head, Kind

SILENCE_LIMIT = 10.0
"""Seconds without a part, of which there are two a second, after which it hangs."""

END_LIMIT = 1.0
"""Seconds for a process that says nothing more to end by itself."""

MAX_BODY = 8_000_000
"""Bytes of a part; at the highest quality half a second has about 200,000."""

LAST_WORDS = 2_000
"""Characters of its standard error that are kept."""

ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "SYSTEMROOT", "TMPDIR", "TZ")
"""What Python may need of the environment, in which there are also the bot's keys."""

WORKER = "adapters.media.room.worker"

TRIAL = ("-P", "-m", "adapters.media.room.trial")

TRIAL_LIMIT = 30.0
"""Seconds in which it must start, also on a machine that is busy."""

Listen = Callable[[Head, bytes], None]


class EncoderDied(Exception):
    """It ended although it was not asked to, or hangs."""


class EncoderProcess:
    """The encoder, from `run` to its end."""

    def __init__(self, listen: Listen, arguments: tuple[str, ...] = ()) -> None:
        """`listen` gets what it makes: the head of a MAP or a PART, and its bytes."""
        self._listen = listen
        self._arguments = arguments
        self._feed: Feed | None = None
        self.pid: int | None = None

    @property
    def left_out(self) -> int:
        """Pictures that were left out because it was not done with those before."""
        return self._feed.left_out if self._feed is not None else 0

    def put(self, head: Head, body: Body = b"") -> None:
        """Give it something; what it is given while it does not run is lost."""
        if self._feed is not None:
            self._feed.put(head, body)

    async def run(self) -> None:
        """Run it until this is cancelled. Raises `EncoderDied`."""
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", WORKER, *self._arguments,
                stdin=reading, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=_environment(),
            )  # fmt: skip
        except BaseException:
            os.close(writing)
            raise
        finally:
            os.close(reading)
        self._feed, self.pid = Feed(writing), process.pid
        words = asyncio.create_task(_last_words(process.stderr), name="last words of an encoder")
        try:
            why = await self._listen_to(process.stdout)
        finally:
            self._feed.close()
            await _end(process)
            await words
            await asyncio.to_thread(self._feed.join)
            self.pid = None
        raise EncoderDied(f"{why} ({process.returncode}); {words.result().strip()}"[:LAST_WORDS])

    async def _listen_to(self, output: asyncio.StreamReader | None) -> str:
        """Until it ends, or should be ended; returns why."""
        if output is None:
            return "it has no output"
        try:
            while True:
                async with asyncio.timeout(SILENCE_LIMIT):
                    head = Head.unpack(await output.readexactly(HEAD.size))
                    if head.kind not in (Kind.MAP, Kind.PART) or head.length > MAX_BODY:
                        return "it said something that makes no sense"
                    body = await output.readexactly(head.length)
                self._listen(head, body)
        except asyncio.IncompleteReadError:
            return "it ended"
        except TimeoutError:
            return f"it said nothing for {SILENCE_LIMIT:g} s"


async def try_encoder(arguments: tuple[str, ...] = (), limit: float = TRIAL_LIMIT) -> str | None:
    """Have one picture and a moment of silence encoded; None if that works, else why it does not, in a line.

    `arguments`: what else Python is to run. `limit`: seconds it may take.
    """
    nothing = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *(arguments or TRIAL),
            stdin=nothing, stdout=nothing, stderr=asyncio.subprocess.PIPE, env=_environment(),
        )  # fmt: skip
    except OSError as trouble:
        return f"{type(trouble).__name__}: {trouble}"
    try:
        async with asyncio.timeout(limit):
            words = await _last_words(process.stderr)
            code = await process.wait()
    except TimeoutError:
        return f"it takes more than {limit:g} s"
    finally:
        await _end(process)
    return None if code == 0 else (words.strip().rpartition("\n")[2] or f"it ended with {code}")


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}


async def _end(process: asyncio.subprocess.Process) -> None:
    """Have it ended. One that ends by itself just now is not killed: asyncio would lose its exit code."""
    try:
        if process.stdout is not None and process.stdout.at_eof():
            with suppress(TimeoutError):
                async with asyncio.timeout(END_LIMIT):
                    await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _last_words(output: asyncio.StreamReader | None) -> str:
    words = b""
    while output is not None and (more := await output.read(LAST_WORDS)):
        words = (words + more)[-LAST_WORDS:]
    return words.decode(errors="replace")
