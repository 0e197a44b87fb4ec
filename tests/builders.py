"""Values for tests that are about something else: each field can be set, the rest is plausible. What a test checks it
sets."""

from datetime import UTC, datetime
from itertools import count
from typing import Any

from bot.core.models import Actor, Channel, Mode, Session, SessionState, Stream, StreamState, Utterance, UtteranceState
from bot.core.views import Phase, SessionView

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


def an_utterance(session: Session | None = None, **fields: Any) -> Utterance:
    """A queued utterance, of `session` if that matters; later ones have larger ids."""
    number = next(_numbers)
    plausible: dict[str, Any] = {
        "id": f"utterance-{number:06}",
        "session_id": "session" if session is None else session.id,
        "mode": Mode.REPEAT,
        "text": "Hello there.",
        "author": "discord:2",
        "author_name": "Grace",
        "state": UtteranceState.QUEUED,
        "accepted_at": NOON,
        "message_id": f"message-{number}",
    }
    return Utterance(**(plausible | fields))


def a_session_view(**fields: Any) -> SessionView:
    """A live session as panels and pages show it."""
    plausible: dict[str, Any] = {
        "session_id": "session",
        "channel": CHANNEL,
        "phase": Phase.LIVE,
        "mode": Mode.REPEAT,
        "avatar": "Juno",
        "avatar_picture": None,
        "started_by_name": "Ana",
        "queue_length": 0,
        "speaking": None,
        "held": False,
        "ends_at": NOON,
        "watch_url": "https://watch.test/w/nonce",
    }
    return SessionView(**(plausible | fields))


def an_actor(name: str = "Ana", **fields: Any) -> Actor:
    """Somebody who writes on the platform `test` and may start sessions; the id is the name in small letters."""
    plausible: dict[str, Any] = {"platform": "test", "id": name.lower(), "name": name}
    return Actor(**(plausible | fields))
