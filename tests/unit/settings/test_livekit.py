"""The settings of LiveAvatar and of a LiveKit server of the operator's own."""

import pytest

from bot.core.errors import SettingsError
from bot.settings import RoomTransportChoice, load, variables

SERVER = {"LIVEKIT_URL": "wss://live.example.com/", "LIVEKIT_API_KEY": "key-hush", "LIVEKIT_API_SECRET": "secret-hush"}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, _, _ in variables():
        monkeypatch.delenv(name, raising=False)


def set_all(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_nothing_set_is_the_real_service_without_a_server_of_ones_own() -> None:
    settings = load(None)

    assert settings.liveavatar.api_url == "https://api.liveavatar.com"
    assert settings.liveavatar.api_key is None
    assert not settings.liveavatar.sandbox
    assert not settings.livekit.is_set
    assert settings.avatar.carrier is RoomTransportChoice.AUTO


def test_a_server_is_its_address_and_both_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, SERVER)
    settings = load(None)

    assert settings.livekit.is_set
    assert settings.livekit.url == "wss://live.example.com"
    assert "hush" not in repr(settings)
    assert {"key-hush", "secret-hush"} <= {secret.get_secret_value() for secret in settings.secrets()}


@pytest.mark.parametrize("missing", SERVER)
def test_a_part_of_a_server_is_none(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    set_all(monkeypatch, {name: value for name, value in SERVER.items() if name != missing})

    with pytest.raises(SettingsError) as refusal:
        load(None)

    assert str(refusal.value).startswith(f"{missing} is not set: ")
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize(
    "url", ["https://live.example.com", "live.example.com", "ws://", "wss://a b", "wss://u:p@host"]
)
def test_a_server_has_a_websocket_address(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    set_all(monkeypatch, {**SERVER, "LIVEKIT_URL": url})

    with pytest.raises(SettingsError, match="LIVEKIT_URL"):
        load(None)


@pytest.mark.parametrize(
    ("written", "is_on"), [("true", True), ("TRUE", True), ("1", True), ("false", False), ("", False)]
)
def test_the_sandbox_is_switched_by_a_word(monkeypatch: pytest.MonkeyPatch, written: str, is_on: bool) -> None:
    monkeypatch.setenv("LIVEAVATAR_SANDBOX", written)

    assert load(None).liveavatar.sandbox is is_on


def test_the_key_of_liveavatar_is_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEAVATAR_API_KEY", "la-hush")
    settings = load(None)

    assert "hush" not in repr(settings)
    assert "la-hush" in {secret.get_secret_value() for secret in settings.secrets()}
