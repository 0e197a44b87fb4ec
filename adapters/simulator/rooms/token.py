"""Tokens for rooms: LiveKit's access tokens, made and read with nothing but HMAC (RFC 7519, HS256).

Whether a room stands behind a token is the business of `rooms`. The `livekit-api` package would do as well, but is an
extra, and it warns of a secret as short as the one that `livekit-server --dev` brings.
"""

import base64
import hmac
import json
import time
from dataclasses import dataclass

from pydantic import SecretStr

from adapters.simulator.wire import JsonObject

DAY = 86_400
"""Seconds that a token is good for, as in a recorded one of the real service."""

_HEAD: JsonObject = {"alg": "HS256", "typ": "JWT"}


@dataclass(frozen=True, slots=True)
class RoomKey:
    """The name of a key and its secret."""

    name: str
    secret: SecretStr

    def participant_token(self, identity: str, room: str) -> str:
        """For one participant in one room: it may publish, subscribe and send data."""
        may: JsonObject = dict.fromkeys(("roomJoin", "canPublish", "canSubscribe", "canPublishData"), True)
        may["room"] = room
        return self._signed({"sub": identity, "name": identity, "video": may})

    def owner_token(self, room: str) -> str:
        """For deleting a room."""
        return self._signed({"video": {"roomCreate": True, "room": room}})

    def identity(self, token: str, room: str) -> str | None:
        """Who holds a participant's token for this room; None for a token that is not ours or for another room."""
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(signed).encode()):
            return None
        claims = json.loads(_from_base64url(signed.partition(".")[2]))
        return f"{claims['sub']}" if claims["video"].get("room") == room and "sub" in claims else None

    def _signed(self, claims: JsonObject) -> str:
        # The machine's time, not the simulator's: a LiveKit server lives in it.
        now = int(time.time())
        times: JsonObject = {"iss": self.name, "nbf": now - 10, "exp": now + DAY}
        signed = ".".join(_to_base64url(json.dumps(part).encode()) for part in (_HEAD, {**times, **claims}))
        return f"{signed}.{self._signature(signed)}"

    def _signature(self, signed: str) -> str:
        return _to_base64url(hmac.digest(self.secret.get_secret_value().encode(), signed.encode(), "sha256"))


def _to_base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _from_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
