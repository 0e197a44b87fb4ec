"""Names for new things: short ones that people read aloud and type, sortable ones that carry the order of acceptance.

Nothing here is a secret but `new_nonce`, which is.
"""

import itertools
import random
import secrets

from bot.core.ports import Clock

READABLE = "23456789abcdefghjkmnpqrstuvwxyz"
"""Digits and letters that cannot be taken for one another."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_count = itertools.count()
_latest = 0
"""The latest moment an id was made at, so that setting the clock back does not turn the order around."""


def new_session_id() -> str:
    """Six readable characters: enough for a channel's life time, short enough for `/avatar-admin stop ID`."""
    return "".join(secrets.choice(READABLE) for _ in range(6))


def new_reference() -> str:
    """Eight readable characters that a failure carries in chat and in the log (rule 10)."""
    return "".join(secrets.choice(READABLE) for _ in range(8))


def new_stream_id() -> str:
    """A name of our own for a stream; the provider's comes with the reply to the create."""
    return secrets.token_hex(8)


def new_nonce() -> str:
    """What makes a watch link unguessable: 72 random bits."""
    return secrets.token_urlsafe(9)


def new_utterance_id(clock: Clock) -> str:
    """An id that sorts in the order of acceptance: milliseconds since 1970, a count, four random characters.

    The count keeps the order within a millisecond of one process; the random end keeps processes apart.
    """
    global _latest
    _latest = max(_latest, int(clock.now().timestamp() * 1000))
    # No secret, so the system need not be asked for each message.
    end = random.getrandbits(16)
    return f"{_base36(_latest, 9)}{_base36(next(_count) % 36**5, 5)}{end:04x}"


def continue_after(utterance_id: str) -> None:
    """Have every new utterance id sort behind one of an earlier process, whose clock may have been ahead."""
    global _latest
    _latest = max(_latest, int(utterance_id[:9], 36) + 1)


def _base36(number: int, width: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text.rjust(width, "0")
