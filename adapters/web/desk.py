"""What the watch page asks of the core, as a protocol: which session stands behind a link."""

from typing import Protocol

from bot.model import SessionView


class Desk(Protocol):
    """Where the page learns what a link opens."""

    async def watched(self, link_nonce: str) -> SessionView | None:
        """The session behind the link, also one that has ended; None where the link was revoked or never was.

        Raises `bot.errors.StoreError` where that cannot be known right now.
        """
