"""What `AVATAR_WATCH` comes to, and that it is said."""

import pytest

from bot import watching
from bot.core.errors import SettingsError
from bot.settings import (
    AvatarSettings,
    HeyGenSettings,
    LiveAvatarSettings,
    LiveKitSettings,
    RoomTransportChoice,
    Settings,
    WatchChoice,
)
from bot.watching import WatchPlan, address_of_provider, plan_watching

OWN = "wss://live.example.com"


def plan(
    choice: WatchChoice,
    provider: str,
    *,
    shows_hls: bool,
    is_stand_in: bool = False,
    livekit: str | None = None,
    carrier: RoomTransportChoice = RoomTransportChoice.AUTO,
) -> WatchPlan:
    avatar = AvatarSettings(provider=provider, watch=choice, carrier=carrier)
    settings = Settings(avatar=avatar, livekit=LiveKitSettings(url=livekit))
    return plan_watching(settings, shows_hls=shows_hls, is_stand_in=is_stand_in)


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (WatchChoice.AUTO, "the bot hands on heygen-realtime's HLS, fetched once for everybody (AVATAR_WATCH=auto)"),
        (WatchChoice.HLS, "the bot hands on heygen-realtime's HLS, fetched once for everybody (AVATAR_WATCH=hls)"),
        (WatchChoice.DIRECT, "every page fetches heygen-realtime's HLS from there (AVATAR_WATCH=direct)"),
    ],
)
def test_hls_is_handed_on_unless_somebody_wants_it_otherwise(choice: WatchChoice, told: str) -> None:
    found = plan(choice, "heygen-realtime", shows_hls=True)
    is_served = choice is not WatchChoice.DIRECT
    assert found == WatchPlan(is_served, told, has_media=is_served)


@pytest.mark.parametrize("choice", [WatchChoice.LIVEKIT, WatchChoice.SEAT])
def test_who_shows_hls_has_no_room_to_be_in(choice: WatchChoice) -> None:
    with pytest.raises(
        SettingsError, match=f"AVATAR_WATCH is {choice.value}, and heygen-realtime shows HLS and no room"
    ):
        plan(choice, "heygen-realtime", shows_hls=True)


@pytest.mark.parametrize("choice", [WatchChoice.AUTO, WatchChoice.HLS, WatchChoice.LIVEKIT, WatchChoice.SEAT])
def test_a_simulator_without_a_livekit_server_shows_hls_whatever_is_set(choice: WatchChoice) -> None:
    found = plan(choice, "liveavatar", shows_hls=False, is_stand_in=True)
    assert (found.is_served, found.is_encoded, found.has_media) == (True, False, True)
    assert found.told.endswith("(the simulator has no LiveKit server)")


def test_a_provider_that_lets_the_bot_into_no_room_is_shown_as_it_is() -> None:
    settings = Settings(avatar=AvatarSettings(provider="somebody-else"))
    assert plan_watching(settings, shows_hls=False, enters_rooms=False).told.startswith("as somebody-else shows it")
    asked = Settings(avatar=AvatarSettings(provider="somebody-else", watch=WatchChoice.HLS))
    with pytest.raises(SettingsError, match="AVATAR_WATCH is hls, and somebody-else shows no HLS"):
        plan_watching(asked, shows_hls=False, enters_rooms=False)


ROOMS = [
    # AVATAR_WATCH, AVATAR_CARRIER, LIVEKIT_URL, the extra; how people watch, and why
    ("auto", "auto", None, True, "encodes", "LIVEKIT_URL is not set, and avatar-relay[livekit] is installed"),
    (
        "auto",
        "auto",
        None,
        False,
        "one page",
        "not set; install avatar-relay[livekit], and the bot serves",
    ),
    ("auto", "auto", OWN, True, "in a room on wss://live", "LIVEKIT_URL is set"),
    ("auto", "auto", OWN, False, "in a room on wss://live", "LIVEKIT_URL is set"),
    ("auto", "page", None, True, "one page", "AVATAR_CARRIER=page"),
    ("auto", "page", OWN, True, "one page", "AVATAR_CARRIER=page"),
    ("auto", "bot", None, True, "encodes", "is installed"),
    ("auto", "bot", OWN, True, "in a room on wss://live", "LIVEKIT_URL is set"),
    ("hls", "auto", OWN, True, "encodes", "AVATAR_WATCH=hls"),
    ("hls", "bot", None, True, "encodes", "AVATAR_WATCH=hls"),
    ("livekit", "auto", OWN, True, "in a room on wss://live", "LIVEKIT_URL is set"),
    ("seat", "auto", OWN, True, "one page", "AVATAR_WATCH=seat"),
    ("seat", "page", None, False, "one page", "AVATAR_WATCH=seat"),
]


@pytest.mark.parametrize(("watch", "carrier", "livekit", "extra", "way", "why"), ROOMS)
@pytest.mark.parametrize("provider", ["liveavatar", "heygen-streaming"])
def test_how_a_room_is_watched_and_the_reason(
    monkeypatch: pytest.MonkeyPatch,
    provider: str,
    watch: str,
    carrier: str,
    livekit: str | None,
    extra: bool,
    way: str,
    why: str,
) -> None:
    monkeypatch.setattr(watching, "can_encode", lambda: extra)
    found = plan(WatchChoice(watch), provider, shows_hls=False, livekit=livekit, carrier=RoomTransportChoice(carrier))
    assert way in found.told
    assert why in found.told
    assert found.is_served
    assert found.is_encoded is found.has_media is (way == "encodes")


REFUSED = [
    (
        "hls",
        "auto",
        None,
        False,
        r"liveavatar's rooms: install avatar-relay\[livekit\], or set AVATAR_WATCH=seat",
    ),
    (
        "auto",
        "bot",
        None,
        False,
        r"AVATAR_CARRIER is bot, .* cannot encode .* install avatar-relay\[livekit\]",
    ),
    ("livekit", "auto", None, True, "AVATAR_WATCH is livekit, and LIVEKIT_URL is not set"),
    ("hls", "page", None, True, "AVATAR_WATCH is hls, for which AVATAR_CARRIER must be bot or auto: it is page"),
    ("livekit", "page", OWN, True, "AVATAR_WATCH is livekit, for which AVATAR_CARRIER must be bot or auto"),
    ("seat", "bot", OWN, True, "AVATAR_WATCH is seat, for which AVATAR_CARRIER must be page or auto: it is bot"),
    ("direct", "auto", OWN, True, "AVATAR_WATCH is direct, and liveavatar shows no HLS"),
]


@pytest.mark.parametrize(("watch", "carrier", "livekit", "extra", "line"), REFUSED)
def test_what_cannot_be_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, watch: str, carrier: str, livekit: str | None, extra: bool, line: str
) -> None:
    monkeypatch.setattr(watching, "can_encode", lambda: extra)
    with pytest.raises(SettingsError, match=line) as refused:
        plan(WatchChoice(watch), "liveavatar", shows_hls=False, livekit=livekit, carrier=RoomTransportChoice(carrier))
    assert "\n" not in str(refused.value)


def test_what_may_be_fetched_follows_from_how_the_chosen_service_is_addressed() -> None:
    heygen, liveavatar = HeyGenSettings(api_url="http://127.0.0.1:1"), LiveAvatarSettings(api_url="http://10.0.0.1")
    for provider, address in (("heygen-realtime", "http://127.0.0.1:1"), ("liveavatar", "http://10.0.0.1")):
        settings = Settings(avatar=AvatarSettings(provider=provider), heygen=heygen, liveavatar=liveavatar)
        assert address_of_provider(settings) == address
