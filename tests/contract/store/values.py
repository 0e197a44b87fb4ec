"""Values to store: each field can be set, the rest is plausible."""

from datetime import UTC, datetime
from itertools import count
from typing import Any

from bot.core.models import Channel, Mode, Session, SessionState, Stream, StreamState, Utterance, UtteranceState

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
CHANNEL = Channel("discord", "guild", "general")

_numbers = count(1)


def a_session(**fields: Any) -> Session:
    """An opening session in a channel of its own."""
    number = next(_numbers)
    plausible: dict[str, Any] = {
        "id": f"session-{number}",
        "channel": Channel("discord", "guild", f"channel-{number}"),
        "provider": "heygen-realtime",
        "state": SessionState.OPENING,
        "mode": Mode.REPEAT,
        "avatar": "ada",
        "voice": "",
        "quality": "medium",
        "link_nonce": f"nonce-{number}",
        "started_by": "discord:1",
        "started_by_name": "Ada",
        "created_at": NOON,
    }
    return Session(**(plausible | fields))


def a_stream(session: Session, **fields: Any) -> Stream:
    """A stream that is about to be created for the session."""
    plausible: dict[str, Any] = {
        "id": f"stream-{next(_numbers)}",
        "session_id": session.id,
        "provider": session.provider,
        "state": StreamState.CREATING,
        "created_at": NOON,
    }
    return Stream(**(plausible | fields))


def an_utterance(session: Session, **fields: Any) -> Utterance:
    """A queued utterance; later ones have larger ids."""
    number = next(_numbers)
    plausible: dict[str, Any] = {
        "id": f"utterance-{number:06}",
        "session_id": session.id,
        "mode": Mode.REPEAT,
        "text": "Hello there.",
        "author": "discord:2",
        "author_name": "Grace",
        "state": UtteranceState.QUEUED,
        "accepted_at": NOON,
        "message_id": f"message-{number}",
    }
    return Utterance(**(plausible | fields))
