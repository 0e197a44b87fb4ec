"""What the watch page needs of the core, as a protocol: the session behind a link, and access to its room."""

from typing import Protocol

from bot.core.models import Channel, RoomAccess
from bot.core.views import SessionView


class SessionLookup(Protocol):
    """Finds what a link opens, and the links of sessions that are watched without one."""

    async def view_by_link(self, link_nonce: str) -> SessionView | None:
        """The session behind the link, also one that has ended; None if the link was revoked or never was.

        Raises `bot.core.errors.StoreError` if that cannot be known right now.
        """

    async def room_access(self, link_nonce: str) -> RoomAccess | None:
        """How one more page joins the room of the session behind the link; None if there is none to join now.

        Raises `bot.core.errors.ProviderError` if that cannot be fetched right now.
        """

    def link_in(self, channel: Channel) -> str | None:
        """The nonce of the session that is open in a channel; None if there is none."""

    async def link_of(self, session_id: str) -> str | None:
        """The nonce of a session, also of one that has ended; None if it never was. Raises as `view_by_link` does."""
