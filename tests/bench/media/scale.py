"""How much the measurements of pictures do."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """viewers: of one session, each a measurement of its own. seconds: that one takes, after `settle`.

    sessions: that are open besides, among which the messages go. rate: messages a second. rounds: of the comparison of
        their latency.
    """

    viewers: tuple[int, ...] = (1, 10, 100)
    seconds: float = 20.0
    settle: float = 5.0
    sessions: int = 100
    rate: float = 20.0
    rounds: int = 3


SHORT = Scale(viewers=(1, 3), seconds=3.0, settle=1.0, sessions=2, rate=10.0, rounds=1)
"""Shows that everything runs; its figures say nothing."""
