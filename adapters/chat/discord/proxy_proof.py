"""What Discord's proxy can prove of a request of an Activity: who it is from. Three headers, signed with the key of the
application (Discord's documentation, "Multiplayer Experience", validating proxy request headers).

The signature covers who and when, not the request: whoever has the headers can use them until they expire. So they say
who somebody is, and never what a frame may see.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any

from bot.core.errors import LinkInvalid

SIGNATURE, TIMESTAMP, PAYLOAD = "x-signature-ed25519", "x-signature-timestamp", "x-discord-proxy-payload"
MAX_LENGTH = 4_096
"""Characters of the payload; a real one has a few hundred."""
SKEW = 60.0
"""Seconds that Discord's clock may be ahead of ours."""

_HEX = re.compile(r"[0-9a-fA-F]{128}")


def proven_user(headers: Mapping[str, str], public_key: str, application_id: int, now: float) -> str | None:
    """The id of the user that a request is from; None if the proxy says nothing. `now` is UTC epoch seconds.

    Raises `LinkInvalid` with `forged` if what is there is not from Discord, is not about this application, or is late.
    """
    given = [headers.get(name) for name in (SIGNATURE, TIMESTAMP, PAYLOAD)]
    if given == [None, None, None]:
        return None
    signature, timestamp, payload = (value or "" for value in given)
    try:
        content = _signed(signature, payload, public_key)
    except (ValueError, binascii.Error):
        raise LinkInvalid("forged") from None
    of_application = content.get("application_id", application_id)
    if not _is_current(content, timestamp, now) or str(of_application) != str(application_id):
        raise LinkInvalid("forged")
    user = content.get("user_id") or _within(content.get("user"), "id")
    if not isinstance(user, str | int) or not str(user).isdecimal():
        raise LinkInvalid("forged")
    return str(user)


def _signed(signature: str, payload: str, public_key: str) -> dict[str, Any]:
    """The payload as Discord has signed it. Raises ValueError."""
    from cryptography.exceptions import InvalidSignature  # 4 MB, and most requests prove nothing
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if len(payload) > MAX_LENGTH:
        raise ValueError("too long")
    body = base64.b64decode(payload, validate=True)
    # Discord's sample in JavaScript reads base64, the one in Python hexadecimal digits.
    proof = bytes.fromhex(signature) if _HEX.fullmatch(signature) else base64.b64decode(signature, validate=True)
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(proof, body)
    except InvalidSignature:
        raise ValueError("not signed by Discord") from None
    content = json.loads(body)
    if not isinstance(content, dict):
        raise ValueError("no object")  # noqa: TRY004 - what was sent is wrong, not what was passed
    return content


def _is_current(content: Mapping[str, Any], timestamp: str, now: float) -> bool:
    created, expires = content.get("created_at"), content.get("expires_at")
    if not isinstance(created, int | float) or not isinstance(expires, int | float) or str(created) != timestamp:
        return False
    return created <= now + SKEW and now < expires


def _within(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None
