"""Who enters rooms: what the settings ask for, and what is missing for it. And the tokens for rooms of our own."""

import base64
import json
import sys
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.avatars.rooms.bot_transport import BotTransport
from adapters.avatars.rooms.broadcast.server import BroadcastServer
from adapters.avatars.rooms.factory import bot_transport_for
from bot import watching
from bot.core.errors import SettingsError
from bot.settings import AvatarSettings, LiveKitSettings, RoomTransportChoice, Settings, WatchChoice
from bot.streams.entered_rooms import EnteredRooms
from tests.harness.clock import ManualClock

SECRET = SecretStr("a secret that is long enough for HS256")
OWN = LiveKitSettings(url="wss://live.example.com", api_key=SecretStr("key"), api_secret=SECRET)


def chosen(
    carrier: RoomTransportChoice = RoomTransportChoice.AUTO,
    watch: WatchChoice = WatchChoice.AUTO,
    livekit: LiveKitSettings | None = None,
) -> BotTransport | None:
    settings = Settings(avatar=AvatarSettings(carrier=carrier, watch=watch), livekit=livekit or LiveKitSettings())
    return bot_transport_for(settings, ManualClock(), EnteredRooms())


def test_the_bot_enters_where_there_is_something_to_show_the_room_with(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen() is not None
    monkeypatch.setattr(watching, "can_encode", lambda: False)
    assert chosen() is None
    assert chosen(livekit=OWN) is not None
    assert chosen(RoomTransportChoice.BOT, livekit=OWN) is not None


def test_pages_can_be_asked_for_all_the_same() -> None:
    assert chosen(RoomTransportChoice.PAGE, livekit=OWN) is None
    assert chosen(watch=WatchChoice.SEAT, livekit=OWN) is None


def test_a_bot_that_would_leave_no_place_to_watch_from_is_refused() -> None:
    with pytest.raises(SettingsError, match="LIVEKIT_URL"):
        chosen(watch=WatchChoice.LIVEKIT)


def test_without_the_extra_the_operator_reads_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("room", "server", "tracks"):
        monkeypatch.delitem(sys.modules, f"adapters.avatars.rooms.broadcast.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "livekit", None)

    with pytest.raises(SettingsError, match=r"install avatar-relay\[livekit\]"):
        chosen(livekit=OWN)


def claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return read


def test_a_viewer_may_watch_one_room_for_as_long_as_a_session_lasts() -> None:
    server = BroadcastServer("wss://live.example.com", "key", SECRET, 600)
    read = claims(server.viewer_token("stage-1"))

    assert read["exp"] - read["nbf"] == 600
    assert read["video"] == {
        "roomJoin": True, "room": "stage-1", "hidden": True, "canSubscribe": True,
        "canPublish": False, "canPublishData": False, "canUpdateOwnMetadata": False,
    }  # fmt: skip
    assert SECRET.get_secret_value() not in repr(server)


def test_viewers_have_names_of_their_own_that_say_nothing() -> None:
    server = BroadcastServer("wss://live.example.com", "key", SECRET, 600)
    names = {claims(server.viewer_token("stage-1"))["sub"] for _ in range(20)}

    assert len(names) == 20
    assert "stage" not in names


def test_the_bot_may_publish_and_nothing_else() -> None:
    video = claims(BroadcastServer("wss://live.example.com", "key", SECRET, 600).publisher_token("stage-1"))["video"]

    assert (video["canPublish"], video["canPublishData"], video["canSubscribe"]) == (True, False, False)
