"""What `AVATAR_WATCH` comes to, and that it is said."""

import pytest

from bot.core.errors import SettingsError
from bot.settings import AvatarSettings, HeyGenSettings, LiveAvatarSettings, LiveKitSettings, Settings, WatchChoice
from bot.watching import WatchPlan, address_of_provider, plan_watching


def plan(choice: WatchChoice, provider: str, *, shows_hls: bool, livekit: str | None = None) -> WatchPlan:
    settings = Settings(avatar=AvatarSettings(provider=provider, watch=choice), livekit=LiveKitSettings(url=livekit))
    return plan_watching(settings, shows_hls=shows_hls)


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
    assert found == WatchPlan(choice is not WatchChoice.DIRECT, told)


def test_rooms_are_as_they_are_and_cannot_be_had_as_hls() -> None:
    assert "one page at a time" in plan(WatchChoice.AUTO, "liveavatar", shows_hls=False).told
    livekit = plan(WatchChoice.AUTO, "liveavatar", shows_hls=False, livekit="wss://live.example.com")
    assert livekit.told == "everybody watches in a room on wss://live.example.com (LIVEKIT_URL is set)"
    with pytest.raises(SettingsError, match="AVATAR_WATCH is hls, and liveavatar shows no HLS"):
        plan(WatchChoice.HLS, "liveavatar", shows_hls=False)


def test_what_may_be_fetched_follows_from_how_the_chosen_service_is_addressed() -> None:
    heygen, liveavatar = HeyGenSettings(api_url="http://127.0.0.1:1"), LiveAvatarSettings(api_url="http://10.0.0.1")
    for provider, address in (("heygen-realtime", "http://127.0.0.1:1"), ("liveavatar", "http://10.0.0.1")):
        settings = Settings(avatar=AvatarSettings(provider=provider), heygen=heygen, liveavatar=liveavatar)
        assert address_of_provider(settings) == address
