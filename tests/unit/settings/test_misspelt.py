"""What is set and is no setting is told with the one that was meant, and other programs' variables are left alone."""

import os
from pathlib import Path

import pytest

from bot.settings import variables
from bot.settings.misspelt import misspelt

KNOWN = [name for name, _, _ in variables()]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without anything."""
    for name in list(os.environ):
        monkeypatch.delenv(name)


def told(env_file: Path | None = None) -> dict[str, str]:
    return {found.name: found.meant for found in misspelt(env_file)}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("AVATAR_WATHC", "AVATAR_WATCH"),
        ("avatar_wacth", "AVATAR_WATCH"),
        ("AVATAR_VOICE", "AVATAR_VOICE_ID"),
        ("HEYGEN_KEY", "HEYGEN_API_KEY"),
        ("HEYGEN_STREAMING_LANGAUGE", "HEYGEN_STREAMING_LANGUAGE"),
        ("LIVEAVATAR_SANDBOXED", "LIVEAVATAR_SANDBOX"),
        ("SESSION_IDLE_TIMOUT", "SESSION_IDLE_TIMEOUT"),
        ("STREAM_LINGERS", "STREAM_LINGER"),
        ("WEB_PUBLIC_ULR", "WEB_PUBLIC_URL"),
        ("LIVEKIT_API_SECRTE", "LIVEKIT_API_SECRET"),
        ("LIMIT_WORKSPACE_DOLLAR", "LIMIT_WORKSPACE_DOLLARS"),
        ("ACCESS_ADMIN", "ACCESS_ADMINS"),
        ("SLACK_BOT_TOKNE", "SLACK_BOT_TOKEN"),
        ("DISCORD_TOKNE", "DISCORD_TOKEN"),
        ("CHAT_MODLE", "CHAT_MODEL"),
    ],
)
def test_slip_is_told_with_what_was_meant(monkeypatch: pytest.MonkeyPatch, name: str, meant: str) -> None:
    monkeypatch.setenv(name, "x")
    assert told() == {name.upper(): meant}


@pytest.mark.parametrize(
    "name",
    [
        # X and desktops, web servers and frameworks, livekit-server and its clients, other bots, and so on.
        "SESSION_MANAGER", "SESSION_SECRET", "SESSION_COOKIE_NAME", "SESSION_ID", "SESSION_TIMEOUT", "SESSION",
        "WEB_CONCURRENCY", "WEB_MEMORY", "WEB_URL", "ACCESS_TOKEN", "ACCESS_KEY_ID", "LIMIT_CPU", "STREAM_URL",
        "STREAM_KEY", "LIVEKIT_KEYS", "LIVEKIT_CONFIG", "LIVEKIT_REGION", "LIVEKIT_TURN_KEY", "LIVEKIT_PORT",
        "LIVEKIT_INGRESS_URL", "LIVEKIT_WS_URL", "DISCORD_BOT_TOKEN", "DISCORD_CLIENT_ID", "DISCORD_CLIENT_SECRET",
        "DISCORD_WEBHOOK_URL", "DISCORD_PUBLIC_KEY", "DISCORD_CHANNEL_ID", "SLACK_TOKEN", "SLACK_WEBHOOK_URL",
        "SLACK_API_TOKEN", "SLACK_CHANNEL", "SLACK_USER_TOKEN", "CHAT_ID", "CHAT_TOKEN", "DATABASE_URI",
        "DATABASE_URLS", "LOG_LEVELS", "PATH", "HOME", "USER", "NODE_IP", "POSTGRES_PASSWORD",
    ],
)  # fmt: skip
def test_variable_of_another_program_is_left_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")
    assert told() == {}


@pytest.mark.parametrize("name", KNOWN)
def test_setting_is_none_in_any_case(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")
    monkeypatch.setenv(name.lower(), "x")
    assert told() == {}


def test_file_is_the_bots_own_so_that_names_without_a_prefix_and_slips_in_one_count(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("export LOG_LEVLE=debug\nDATABASE_URI=x\nAVTAR_WATCH=hls\nQUEUE_LIMT=3\nWEB_PORT=80\n")
    assert told(file) == {
        "LOG_LEVLE": "LOG_LEVEL",
        "DATABASE_URI": "DATABASE_URL",
        "AVTAR_WATCH": "AVATAR_WATCH",
        "QUEUE_LIMT": "QUEUE_LIMIT",
    }


def test_what_compose_reads_from_the_file_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    names = ("POSTGRES_PASSWORD", "NODE_IP", "IMAGE_LOCK", "COMPOSE_PROFILES", "HTTPS_PROXY", "SIMULATOR_API_KEY")
    file.write_text("".join(f"{name}=x\n" for name in names))
    assert told(file) == {}


def test_who_has_set_what_was_meant_has_the_other_from_another_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_GUILD_ID", "1")
    assert told() == {"DISCORD_GUILD_ID": "DISCORD_GUILD_IDS"}
    monkeypatch.setenv("DISCORD_GUILD_IDS", "1")
    assert told() == {}


def test_empty_one_has_no_effect_under_any_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AVATAR_WATHC", " ")
    (tmp_path / ".env").write_text("AVATAR_WACTH=\n")
    assert told(tmp_path / ".env") == {}


def test_value_is_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEYGEN_API_KYE", "a-key-of-somebody")
    (found,) = misspelt(None)
    assert str(found) == "HEYGEN_API_KYE is no setting and has no effect: HEYGEN_API_KEY was probably meant"
    assert "a-key-of-somebody" not in repr(found)


@pytest.mark.parametrize("name", ["AVATAR_WATC H", "AVATAR_\x1b[31mWATHC", "AVATAR_" + "W" * 200])
def test_name_that_no_person_has_typed_is_not_repeated(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")
    assert told() == {}


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_file_that_cannot_be_read_is_somebody_elses_to_tell(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / ".env"
    if content is not None:
        file.write_bytes(content)
    assert told(file) == {}
