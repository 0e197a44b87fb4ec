"""The one question of `init` about watching: what is offered, said and written."""

from collections.abc import Mapping
from importlib import util
from pathlib import Path

import pytest

from bot.cli.wizard.watch import WAYS, WatchQuestion, address_beside
from bot.cli.wizard.wizard import settings_of, shows_hls
from bot.core.clock import SystemClock
from bot.core.errors import SettingsError
from bot.settings import Settings, WatchChoice, known_providers, load, variables


class Interview:
    """A person with these answers, and what they read."""

    def __init__(self, folder: Path, *answers: str, **set_before: str) -> None:
        self._file = folder / ".env"
        self._before = set_before
        self._answers = list(answers)
        self.asked: list[str] = []
        self.told: list[str] = []

    def ask(self, words: str, unseen: bool) -> str:
        self.asked.append(f"{words}{' (unseen)' if unseen else ''}")
        return self._answers.pop(0)

    def settings_with(self, more: Mapping[str, str]) -> Settings:
        return settings_of(self._before | dict(more), beside=self._file)

    def answers(self, *, shows_hls: bool = False, has_person: bool = True) -> dict[str, str]:
        question = WatchQuestion(self.told.append, self.ask if has_person else None, self.settings_with)
        found = question.answers(shows_hls=shows_hls)
        assert not self._answers, "not everything was asked"
        return found


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting but those of the test."""
    for name, _, _ in variables():
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which PyAV cannot be found."""
    found = util.find_spec
    monkeypatch.setattr("bot.watching.find_spec", lambda name: None if name == "av" else found(name))


# --- the three ways --------------------------------------------------------------------------------------------------


def test_each_way_is_offered_with_what_it_needs_and_costs(tmp_path: Path) -> None:
    interview = Interview(tmp_path, "")
    assert interview.answers() == {"AVATAR_WATCH": "hls"}
    assert [line.split()[0] for line in interview.told] == ["hls", "livekit", "seat"] == [way.value for way in WAYS]
    assert all("eeds" in line for line in interview.told)
    assert interview.asked == ["How will people watch: hls, livekit, seat (empty: hls)"]


@pytest.mark.parametrize("answer", ["seat", " SEAT "])
def test_seat_needs_nothing(tmp_path: Path, without_extra: None, answer: str) -> None:
    assert Interview(tmp_path, answer).answers() == {"AVATAR_WATCH": "seat"}


def test_empty_answer_keeps_what_is_set(tmp_path: Path) -> None:
    assert Interview(tmp_path, "", AVATAR_WATCH="seat").answers() == {"AVATAR_WATCH": "seat"}


def test_another_word_is_asked_again(tmp_path: Path) -> None:
    interview = Interview(tmp_path, "webrtc", "direct", "hls")
    assert interview.answers() == {"AVATAR_WATCH": "hls"}
    assert interview.told.count("It must be one of hls, livekit, seat.") == 2


# --- what cannot work ------------------------------------------------------------------------------------------------


def test_missing_extra_is_said_with_what_to_do_before_it_goes_on(tmp_path: Path, without_extra: None) -> None:
    interview = Interview(tmp_path, "hls", "")
    assert interview.answers() == {"AVATAR_WATCH": "hls"}
    assert interview.told[-2].startswith("The extra livekit is not installed here, and hls needs it: pip install")
    assert interview.told[-1] == "Once more: empty goes on with hls."


def test_whoever_reads_that_can_still_choose_another_way(tmp_path: Path, without_extra: None) -> None:
    assert Interview(tmp_path, "hls", "seat").answers() == {"AVATAR_WATCH": "seat"}


def test_missing_extra_is_said_to_nobody_as_well(tmp_path: Path, without_extra: None) -> None:
    interview = Interview(tmp_path, AVATAR_WATCH="hls")
    assert interview.answers(has_person=False) == {"AVATAR_WATCH": "hls"}
    assert "pip install 'avatar-relay[livekit]'" in interview.told[0]


def test_livekit_without_any_address_leads_back_to_the_ways(tmp_path: Path) -> None:
    interview = Interview(tmp_path, "livekit", "", "")
    assert interview.answers() == {"AVATAR_WATCH": "hls"}
    assert "livekit needs an address that browsers reach" in interview.told[-1]


# --- a LiveKit server ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("public", "beside"),
    [
        ("https://avatar.example.com", "wss://avatar.example.com"),
        ("https://example.com:8443/avatar", "wss://example.com:8443"),
        ("http://127.0.0.1:8080", "ws://127.0.0.1:8080"),
        (None, None),
    ],
)
def test_address_follows_from_that_of_the_page(public: str | None, beside: str | None) -> None:
    assert address_beside(public) == beside


def test_its_key_is_made_and_never_shown(tmp_path: Path) -> None:
    interview = Interview(tmp_path, "livekit", "", "", WEB_PUBLIC_URL="https://avatar.example.com/page")
    found = interview.answers()
    secret = found.pop("LIVEKIT_API_SECRET")
    assert found == {
        "AVATAR_WATCH": "livekit",
        "LIVEKIT_URL": "wss://avatar.example.com",
        "LIVEKIT_API_KEY": "relay",
    }
    assert len(secret) >= 32, "livekit-server complains of shorter ones"
    assert not any(secret in line for line in interview.told + interview.asked)
    assert any("docker compose --profile livekit up" in line for line in interview.told)
    other = Interview(tmp_path, "livekit", "wss://live.example.com", "").answers()
    assert other["LIVEKIT_API_SECRET"] != secret


def test_key_of_a_server_that_there_is_is_typed_and_its_secret_unseen(tmp_path: Path) -> None:
    interview = Interview(tmp_path, "livekit", "wss://live.example.com", "APIkey", "hush")
    assert interview.answers() == {
        "AVATAR_WATCH": "livekit",
        "LIVEKIT_URL": "wss://live.example.com",
        "LIVEKIT_API_KEY": "APIkey",
        "LIVEKIT_API_SECRET": "hush",
    }
    assert interview.asked[-1] == "Its API secret (unseen)"


def test_what_cannot_be_an_address_or_a_key_is_asked_again_with_the_reason(tmp_path: Path) -> None:
    interview = Interview(
        tmp_path, "livekit", "live.example.com", "wss://live.example.com", "two words", "hush", "APIkey", "", ""
    )
    assert interview.answers()["LIVEKIT_API_KEY"] == "relay", "whoever gives no secret after all gets a new key"
    told = "\n".join(interview.told)
    assert 'LIVEKIT_URL is "live.example.com": it must be an address that starts with ws:// or wss://.' in told
    assert "LIVEKIT_API_KEY is not right" in told
    assert "LIVEKIT_API_SECRET is not set" in told


def test_server_that_is_set_keeps_its_key(tmp_path: Path) -> None:
    own = {"LIVEKIT_URL": "wss://live.example.com", "LIVEKIT_API_KEY": "APIkey", "LIVEKIT_API_SECRET": "hush"}
    assert Interview(tmp_path, "livekit", "", **own).answers() == {
        "AVATAR_WATCH": "livekit",
        "LIVEKIT_URL": "wss://live.example.com",
    }


def test_nobody_gets_address_and_key_as_well(tmp_path: Path) -> None:
    interview = Interview(tmp_path, AVATAR_WATCH="livekit", WEB_PUBLIC_URL="https://avatar.example.com")
    found = interview.answers(has_person=False)
    assert found["LIVEKIT_URL"] == "wss://avatar.example.com"
    assert len(found["LIVEKIT_API_SECRET"]) >= 32
    with pytest.raises(SettingsError, match="LIVEKIT_URL is not set"):
        Interview(tmp_path, AVATAR_WATCH="livekit").answers(has_person=False)


# --- services that show HLS ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chosen", ["auto", "hls", "direct"])
def test_nothing_is_asked_where_there_is_nothing_to_choose(tmp_path: Path, chosen: str) -> None:
    assert Interview(tmp_path, AVATAR_WATCH=chosen).answers(shows_hls=True) == {}


@pytest.mark.parametrize("chosen", ["livekit", "seat"])
def test_what_was_chosen_for_rooms_is_undone_and_told(tmp_path: Path, chosen: str) -> None:
    interview = Interview(tmp_path, AVATAR_WATCH=chosen)
    assert interview.answers(shows_hls=True) == {"AVATAR_WATCH": "auto"}
    assert interview.told == [f"AVATAR_WATCH was {chosen}; this service shows HLS, so it is auto now."]


def test_nobody_who_has_chosen_nothing_gets_nothing(tmp_path: Path) -> None:
    assert Interview(tmp_path).answers(has_person=False) == {}


@pytest.mark.parametrize("provider", known_providers())
def test_services_with_hls_are_known_without_their_keys(monkeypatch: pytest.MonkeyPatch, provider: str) -> None:
    monkeypatch.setenv("AVATAR_PROVIDER", provider)
    assert shows_hls(load(None), SystemClock()) is (provider in ("heygen-realtime", "simulator"))


def test_every_way_is_a_value_of_the_setting() -> None:
    assert set(WatchChoice) - set(WAYS) == {WatchChoice.AUTO, WatchChoice.DIRECT}
