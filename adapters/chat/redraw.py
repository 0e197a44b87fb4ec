"""When a panel that a platform did not take is drawn again: the one decision, for every platform.

What may pass (a rate limit, a server in trouble, a lost connection, a token that is being replaced) is tried again,
after growing pauses, until the panel shows the truth: by this process or, since its row stays, by the next one. What is
final (forbidden, archived, unknown) is not. Knows no platform: adapters say what their errors are.
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
    GONE = auto()
    """Its place is gone, and it with it."""
    DELETED = auto()
    """The message alone is gone; another can be posted in its place."""
    IN_DOUBT = auto()
    """It may have been posted: no answer came, and another attempt might post it a second time."""


class NotDrawn(Exception):
    """The platform did not take a panel; `drawn` says what that means. Its text is for the log."""

    def __init__(self, drawn: Drawn, why: str) -> None:
        super().__init__(why)
        self.drawn = drawn


def of_status(status: int) -> Drawn:
    """What an HTTP answer to an attempt means."""
    if status < 400:
        return Drawn.DONE
    may_pass = status in _SAYS_NOTHING_OF_THE_PANEL or status >= _SERVER_TROUBLE
    return Drawn.AGAIN if may_pass else Drawn.NEVER
