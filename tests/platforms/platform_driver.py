"""What the scenarios of every platform need of one: a person types, writes, presses and reads.

Each platform has a driver of its own (`console.py`, `discord.py`, `slack.py`) that does this over the platform's real
client library and a local server; `test_every_platform.py` has the one list of scenarios and knows no platform.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from tests.platforms.running_bot import RunningBot

ANA = "ana"
"""An ordinary member of the channel."""
BEN = "ben"
"""Another one."""
ADA = "ada"
"""Somebody the platform calls an admin."""

UNSAID = "The avatar left before it said"
"""How the sentence begins for words that the end of a session left unsaid."""

PATIENT = 30.0
"""Seconds for deadlines of a platform that a scenario is not about: a machine that is busy, or stands still for some
seconds, does not miss them."""

LONG = " ".join(f"This is sentence number {number} of a long speech." for number in range(40))
"""More than two minutes of speech; nothing in it repeats, since repetitions are shortened before they are spoken."""


class Driver(AbstractAsyncContextManager["Driver"], Protocol):
    """One channel of one platform, with the real bot in it. Entered, the bot is connected and hears the channel.

    has_roles: whether the platform tells people with and without rights apart.
    has_buttons: whether it shows panels with buttons.
    """

    name: str
    has_roles: bool
    has_buttons: bool
    bot: RunningBot

    async def command(self, line: str, *, by: str = ANA) -> str:
        """Give a command such as `/avatar say hello`; what its author reads as the answer, text and fields."""

    async def write(self, text: str, *, by: str = ANA) -> None:
        """Write a message that is meant for the avatar (it mentions the bot where that matters)."""

    async def remark(self, text: str, *, by: str = ANA, pictures: int = 0) -> Callable[[], Collection[str]]:
        """Write a message among people, which only `SESSION_RELAY=all` relays; its marks, as they are whenever asked.
        A console has none."""

    def seen(self) -> Sequence[object]:
        """Every message of the bot, to all or to one person."""

    async def until_read(self, fragment: str) -> None:
        """Wait until somebody in the channel can read `fragment` (a message or the panel, as it is now)."""

    async def until_told_unsaid(self, text: str, *, by: str = ANA) -> None:
        """Wait until the author of a command reads, alone, that its `text` was not said."""

    async def press(self, label: str, *, by: str = ANA) -> str:
        """Press a button of the newest panel; what the person reads as the answer."""

    async def panel(self) -> str:
        """The text of the newest panel as it is now, the labels of the buttons that can be pressed included."""

    async def restart(self) -> None:
        """End the bot as `kill -9` would, and start the next one on the same database; returns once it hears again."""
