"""How much a benchmark does."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """How much of everything.

    rounds: of each comparison; a figure is the median over them.
    channels: with an avatar in each. messages: of a round at a steady rate.
    rate: messages a second, over all channels, under which nothing should have to wait.
    at_once: channels of a closed loop, with one message under way in each. each: messages of one of them.
    flood: messages around a kill. commands: at the same time.
    sessions: that are live at once. silence: seconds in which nobody talks, before a look at what that costs; v3 closes
        its streams after 30 s.
    """

    rounds: int = 5
    channels: int = 50
    messages: int = 300
    rate: float = 50.0
    at_once: int = 32
    each: int = 20
    flood: int = 640
    sessions: int = 1000
    silence: float = 40.0
    commands: int = 100


SHORT = Scale(rounds=1, channels=4, messages=50, at_once=2, each=2, flood=64, sessions=8, silence=0.0, commands=8)
"""Shows that everything runs; its figures say nothing. As many messages as the bare client needs some steps of 10 ms
of processor time for, in which the system counts."""
