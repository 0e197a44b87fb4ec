"""When a panel that a platform did not take is drawn again: the one decision, for every platform.

What may pass (a rate limit, a server in trouble, a lost connection, a token that is being replaced) is tried again,
after growing pauses, until the panel shows the truth: by this process or, since its row stays, by the next one. What is
final (deleted, forbidden, archived, unknown) is not. Knows no platform: adapters say what their errors are.
"""

from enum import Enum, auto

RETRY_DELAYS = (2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds before a panel is tried again. The longest is what a panel can be behind once the platform takes it again."""

_SAYS_NOTHING_OF_THE_PANEL = frozenset({401, 408, 425, 429})
_SERVER_TROUBLE = 500


class Drawn(Enum):
    """What became of one attempt to draw a panel."""

    DONE = auto()
    """It shows what it should."""
    AGAIN = auto()
    """It does not, which may pass."""
    NEVER = auto()
    """It does not, and another attempt with the same content would not change that."""


def of_status(status: int) -> Drawn:
    """What an HTTP answer to an attempt means."""
    if status < 400:
        return Drawn.DONE
    may_pass = status in _SAYS_NOTHING_OF_THE_PANEL or status >= _SERVER_TROUBLE
    return Drawn.AGAIN if may_pass else Drawn.NEVER
