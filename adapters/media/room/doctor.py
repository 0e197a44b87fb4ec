"""What `avatar-relay doctor` looks at for rooms as HLS: whether the extra is there, and whether the encoder works here.
Encodes one black picture and a moment of silence, in a process of its own, as the bot does.
"""

from collections.abc import AsyncIterator

from adapters.media.room.encoder_process import try_encoder
from bot.cli.doctor.check import Check, CheckContext, failed, passed, skipped, warned
from bot.settings import WatchChoice
from bot.watching import can_encode

SUBJECT = "encoder"
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
    trouble = await try_encoder()
    if trouble is None:
        yield passed(SUBJECT, "H264 and AAC work: everybody can watch a room as HLS (AVATAR_WATCH=hls)")
    elif examination.settings.avatar.watch is WatchChoice.HLS:
        yield failed(SUBJECT, f"does not work: {trouble}", FIX)
    else:
        yield warned(SUBJECT, f"does not work, so rooms cannot be HLS: {trouble}", FIX)
