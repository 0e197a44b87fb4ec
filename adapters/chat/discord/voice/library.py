"""Whether this machine can speak in voice channels: the extra `voice` (PyNaCl, davey), and libopus, which discord.py
brings on Windows alone. Loads libopus, once for the process.
"""

import ctypes.util
from importlib.util import find_spec
from pathlib import Path

from discord import opus

from adapters.chat.discord import strings


def why_unusable() -> str | None:
    """Why it cannot, as a sentence; None if it can. Takes tens of milliseconds: not for the event loop."""
    if find_spec("nacl") is None or find_spec("davey") is None:
        return strings.VOICE_NOT_INSTALLED
    if dave_version() < 1:
        return strings.VOICE_TOO_OLD
    return None if load_opus() else strings.OPUS_MISSING


def dave_version() -> int:
    """The newest version of Discord's end-to-end encryption that is understood; 0 for none."""
    try:
        import davey  # the extra
    except ImportError:
        return 0
    return davey.DAVE_PROTOCOL_VERSION


def load_opus() -> bool:
    """Load the system's libopus, else the one that PyAV brings. False if there is neither."""
    if opus.is_loaded():
        return True
    for name in filter(None, (ctypes.util.find_library("opus"), _beside_pyav())):
        try:
            opus.load_opus(name)
        except OSError:
            continue
        return True
    return False


def _beside_pyav() -> str | None:
    """PyAV's wheel has it in a folder of its own."""
    spec = find_spec("av")
    if spec is None or spec.origin is None:
        return None
    return next((str(path) for path in Path(spec.origin).parents[1].glob("av.libs/libopus*")), None)
