"""What the watch page needs of the core, as a protocol: the session behind a link, and access to its room."""

from typing import Protocol

from bot.core.models import RoomAccess
from bot.core.views import SessionView


class SessionLookup(Protocol):
    """Finds what a link opens."""

    async def view_by_link(self, link_nonce: str) -> SessionView | None:
        """The session behind the link, also one that has ended; None if the link was revoked or never was.

        Raises `bot.core.errors.StoreError` if that cannot be known right now.
        """

    async def room_access(self, link_nonce: str) -> RoomAccess | None:
        """How one more page joins the room of the session behind the link; None if there is none to join now.

        Raises `bot.core.errors.ProviderError` if that cannot be fetched right now.
        """
