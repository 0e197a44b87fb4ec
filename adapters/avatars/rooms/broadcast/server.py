"""The LiveKit server of the operator's own: its rooms, and the tokens for them. Shows nothing and joins nothing.

Imports `livekit-api`, so it is itself imported only where such a server is configured.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import aiohttp
import structlog
from livekit import api
from pydantic import SecretStr

from adapters import network

log = structlog.get_logger(__name__)

PUBLISHER = "stage"
"""The identity of the bot. Viewers get random ones."""

CALL_LIMIT = 5.0
"""Seconds for a call to the server."""

EMPTY_LIMIT = 30
"""Seconds after which the server removes a room nobody is in, such as one whose bot has died."""

PUBLISHER_TTL = timedelta(minutes=10)
"""A token is looked at when somebody enters; LiveKit renews it for whoever is in."""


@dataclass(frozen=True, slots=True)
class BroadcastServer:
    """Where it is, and the key to it. `longest`: the most seconds somebody may stay in one room."""

    url: str
    api_key: str
    api_secret: SecretStr
    longest: float

    def publisher_token(self, room: str) -> str:
        """For the bot: it publishes, and hears nobody."""
        grants = api.VideoGrants(
            room_join=True, room=room, can_publish=True, can_publish_data=False, can_subscribe=False
        )
        return self._token(PUBLISHER, grants, PUBLISHER_TTL)

    def viewer_token(self, room: str) -> str:
        """For one page more: it sees and hears, sends nothing, and no other viewer learns that it is there."""
        grants = api.VideoGrants(
            room_join=True,
            room=room,
            can_publish=False,
            can_publish_data=False,
            can_update_own_metadata=False,
            can_subscribe=True,
            hidden=True,
        )
        return self._token(secrets.token_urlsafe(12), grants, timedelta(seconds=self.longest))

    async def count_rooms(self) -> int:
        """How many rooms are open. Raises what `livekit-api` raises."""
        async with self._api() as server:
            return len((await server.room.list_rooms(api.ListRoomsRequest())).rooms)

    async def create(self, room: str) -> None:
        """Make a room; one that is there already is left as it is. Raises what `livekit-api` raises."""
        async with self._api() as server:
            await server.room.create_room(
                api.CreateRoomRequest(name=room, empty_timeout=EMPTY_LIMIT, departure_timeout=EMPTY_LIMIT)
            )

    async def delete(self, room: str) -> None:
        """Remove a room and whoever is in it. What goes wrong is logged: the server removes an empty room by itself."""
        try:
            async with self._api() as server:
                await server.room.delete_room(api.DeleteRoomRequest(room=room))
        except api.TwirpError as refusal:
            if refusal.code != api.TwirpErrorCode.NOT_FOUND:
                log.warning("a broadcast room was not removed", code=refusal.code)
        except (aiohttp.ClientError, OSError) as trouble:
            log.warning("a broadcast room was not removed", error=network.told(trouble))

    @asynccontextmanager
    async def _api(self) -> AsyncIterator[api.LiveKitAPI]:
        async with network.session(timeout=aiohttp.ClientTimeout(total=CALL_LIMIT)) as session:
            yield api.LiveKitAPI(self.url, self.api_key, self.api_secret.get_secret_value(), session=session)

    def _token(self, identity: str, grants: api.VideoGrants, ttl: timedelta) -> str:
        token = api.AccessToken(self.api_key, self.api_secret.get_secret_value())
        return token.with_identity(identity).with_grants(grants).with_ttl(ttl).to_jwt()
