"""What `avatar-relay doctor` looks at for rooms as HLS: whether the extra is there, and whether the encoder works here.
Encodes one black picture and a moment of silence, in a process of its own, as the bot does.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress

from adapters.media.room.encoder_process import ENVIRONMENT, LAST_WORDS
from bot.cli.doctor.check import Check, CheckContext, failed, passed, skipped, warned
from bot.settings import WatchChoice
from bot.watching import can_encode

SUBJECT = "encoder"
TRIAL = ("-P", "-m", "adapters.media.room.trial")
TRIAL_LIMIT = 20.0
"""Seconds for the trial. It takes one, on a machine with other work; most of it is loading FFmpeg's libraries."""

MISSING = (
    "the extra livekit is not installed, so the bot cannot make HLS of rooms (AVATAR_WATCH=hls). Add it with: "
    "pip install 'avatar-relay[livekit]'"
)
FIX = "Install the extra again: pip install --force-reinstall 'avatar-relay[livekit]'."


async def examine_encoder(examination: CheckContext) -> AsyncIterator[Check]:
    """Look whether a room can be made HLS of."""
    if not can_encode():
        yield skipped(SUBJECT, MISSING)
        return
    trouble = await trial(TRIAL)
    if trouble is None:
        yield passed(SUBJECT, "H264 and AAC work: everybody can watch a room as HLS (AVATAR_WATCH=hls)")
    elif examination.settings.avatar.watch is WatchChoice.HLS:
        yield failed(SUBJECT, f"does not work: {trouble}", FIX)
    else:
        yield warned(SUBJECT, f"does not work, so rooms cannot be HLS: {trouble}", FIX)


async def trial(arguments: tuple[str, ...], limit: float = TRIAL_LIMIT) -> str | None:
    """What is wrong with the encoder, in its own last words; None if it works. `limit`: seconds it may take."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
    )  # fmt: skip
    try:
        async with asyncio.timeout(limit):
            _, words = await process.communicate()
    except TimeoutError:
        return f"no picture after {limit:g} s"
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if process.returncode == 0:
        return None
    lines = words.decode(errors="replace")[-LAST_WORDS:].strip().splitlines()
    return lines[-1] if lines else f"it ended with {process.returncode}"
