import stat
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from adapters.avatars.heygen_realtime.provider import CAPABILITIES
from bot.core.errors import SettingsError
from bot.core.models import Mode
from bot.settings import (
    LogLevel,
    Quality,
    RelayMode,
    SessionSettings,
    Settings,
    WebSettings,
    database_url_or_default,
    known_providers,
    load,
    variables,
    web_secret,
)
from bot.wiring import options_from


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, _, _ in variables():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))


def refusal(env_file: Path | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(env_file)
    return str(caught.value).splitlines()


# --- where values come from ------------------------------------------------------------------------------------------


def test_nothing_set_gives_the_defaults() -> None:
    settings = load(None)
    assert settings.session.idle_timeout == 300
    assert settings.session.relay is RelayMode.MENTIONS
    assert settings.avatar.provider == "heygen-realtime"
    assert settings.heygen.api_url == "https://api.heygen.com"
    assert settings.admin_users == ()
    assert settings.secrets() == ()


def test_env_file_is_read_by_every_section(tmp_path: Path) -> None:
    env_file = tmp_path / "my.env"
    env_file.write_text(
        "# a comment\nAVATAR_ID=anna\nHEYGEN_API_KEY='a-#key'\nCHAT_API_URL=https://chat.example/v1/\nCHAT_MODEL=m\n"
        "WEB_PORT=0\nSESSION_MODE=chat\nQUEUE_LIMIT=7\nUSER_RATE=0\nADMIN_USERS=discord:1, slack:U2\nUNKNOWN=1\n"
    )
    settings = load(env_file)
    assert settings.avatar.id == "anna"
    assert settings.heygen.api_key == SecretStr("a-#key")
    assert settings.chat_model.api_url == "https://chat.example/v1"
    assert settings.web.port == 0
    assert settings.session.mode is Mode.CHAT
    assert settings.queue_limit == 7
    assert settings.user_rate == 0
    assert settings.admin_users == ("discord:1", "slack:U2")


def test_default_is_the_env_file_of_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("QUEUE_LIMIT=3\nSESSION_IDLE_TIMEOUT=90\n")
    assert load().queue_limit == 3
    assert load().session.idle_timeout == 90


def test_without_an_env_file_the_one_of_the_current_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("QUEUE_LIMIT=3\nSESSION_IDLE_TIMEOUT=90\nSESSION_RELAY=nonsense\n")
    assert load(None).queue_limit == 20
    assert load(None).session.idle_timeout == 300
    assert SessionSettings().idle_timeout == 300
    assert Settings().session.idle_timeout == 300


def test_environment_wins_over_the_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("WEB_PORT=1000\n")
    monkeypatch.setenv("WEB_PORT", "2000")
    assert load().web.port == 2000


@pytest.mark.parametrize("blank", ["", "  ", "\t"])
def test_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    for name, _, _ in variables():
        monkeypatch.setenv(name, blank)
    assert load(None) == Settings()


def test_spaces_around_a_value_and_capitals_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", " INFO ")
    monkeypatch.setenv("AVATAR_QUALITY", "High")
    monkeypatch.setenv("HEYGEN_API_KEY", " key\n")
    settings = load(None)
    assert settings.log_level is LogLevel.INFO
    assert settings.avatar.quality is Quality.HIGH
    assert settings.heygen.api_key == SecretStr("key")


@pytest.mark.parametrize("name", ["SESSION", "WEB", "AVATAR", "HEYGEN", "CHAT_MODEL_", "SECRETS"])
def test_variables_of_other_programs_are_left_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "gnome")
    assert load(None).session.idle_timeout == 300


def test_missing_env_file_is_no_error(tmp_path: Path) -> None:
    assert load(tmp_path / "none.env").queue_limit == 20


def test_env_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"HEYGEN_API_KEY=\xff\xfe\n")
    assert refusal(Path(".env")) == [".env cannot be read: it must be text in UTF-8."]


def test_env_file_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert refusal(Path(".env")) == [".env is a folder; it must be a file with one NAME=value on each line."]


def test_env_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("QUEUE_LIMIT=1\n")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)  # root may read everything, and tests may run as root
    assert refusal(Path(".env")) == [".env cannot be read: permission denied."]


def test_line_of_the_env_file_that_is_no_assignment_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WEB_PORT=1\n= secret-in-a-wrong-place\n")
    assert refusal(Path(".env")) == ["Line 2 of .env must have the form NAME=value."]


# --- bad values ------------------------------------------------------------------------------------------------------

SECONDS = "it must be a number of seconds, at least 5 (and at most 604800, a week)."
URL = "it must be an address that starts with http:// or https://."

LINGER = "it must be a number of seconds from 0 to 604800, a week; empty is what suits the provider."

BAD = [
    ("STREAM_LINGER", "-1", f'STREAM_LINGER is "-1": {LINGER}'),
    ("STREAM_LINGER", "a while", f'STREAM_LINGER is "a while": {LINGER}'),
    ("STREAM_LINGER", "inf", f'STREAM_LINGER is "inf": {LINGER}'),
    ("SESSION_IDLE_TIMEOUT", "soon", f'SESSION_IDLE_TIMEOUT is "soon": {SECONDS}'),
    ("SESSION_IDLE_TIMEOUT", "4.9", f'SESSION_IDLE_TIMEOUT is "4.9": {SECONDS}'),
    ("SESSION_MAX_DURATION", "inf", f'SESSION_MAX_DURATION is "inf": {SECONDS}'),
    ("SESSION_MAX_DURATION", "nan", f'SESSION_MAX_DURATION is "nan": {SECONDS}'),
    ("SESSION_RELAY", "some", 'SESSION_RELAY is "some": it must be off, mentions or all.'),
    ("SESSION_MODE", "sing", 'SESSION_MODE is "sing": it must be repeat or chat.'),
    ("AVATAR_QUALITY", "4k", 'AVATAR_QUALITY is "4k": it must be low, medium, high or very_high.'),
    ("LOG_LEVEL", "loud", 'LOG_LEVEL is "loud": it must be debug, info, warning or error.'),
    ("LOG_FORMAT", "xml", 'LOG_FORMAT is "xml": it must be text or json.'),
    ("QUEUE_LIMIT", "0", 'QUEUE_LIMIT is "0": it must be a whole number from 1 to 1000.'),
    ("USER_RATE", "-1", 'USER_RATE is "-1": it must be a whole number from 0 to 10000; 0 sets no limit.'),
    ("WEB_PORT", "http", 'WEB_PORT is "http": it must be a port number from 0 to 65535; 0 takes any free one.'),
    ("WEB_PUBLIC_URL", "avatar.example.com", f'WEB_PUBLIC_URL is "avatar.example.com": {URL}'),
    ("WEB_PUBLIC_URL", "https://", f'WEB_PUBLIC_URL is "https://": {URL}'),
    ("HEYGEN_API_URL", "ftp://ana:pass@host", f'HEYGEN_API_URL is "ftp://...@host": {URL}'),
    ("WEB_SECRET", "too short", "WEB_SECRET is not right: it must be at least 16 characters long."),
    (
        "ADMIN_USERS",
        "discord:1,ana",
        'ADMIN_USERS is "discord:1,ana": it must be platform:user pairs, separated by commas, such as '
        "discord:1234,slack:U0123.",
    ),
    (
        "DATABASE_URL",
        "mysql://ana:pass@host/db",
        "DATABASE_URL is not right: it must be sqlite:///path/to/file.db or postgresql://user:password@host/database.",
    ),
    (
        "AVATAR_PROVIDER",
        "heygen",
        'AVATAR_PROVIDER is "heygen": it must be one of heygen-realtime, heygen-streaming, liveavatar, simulator.',
    ),
]


@pytest.mark.parametrize(("name", "value", "line"), BAD, ids=[f"{name}={value}" for name, value, _ in BAD])
def test_bad_value_is_one_line(monkeypatch: pytest.MonkeyPatch, name: str, value: str, line: str) -> None:
    monkeypatch.setenv(name, value)
    assert refusal() == [line]


def test_every_bad_value_has_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in [("WEB_PORT", "x"), ("QUEUE_LIMIT", "x"), ("AVATAR_PROVIDER", "x"), ("CHAT_MODEL", "x")]:
        monkeypatch.setenv(name, value)
    assert sorted(line.split()[0] for line in refusal()) == [
        "AVATAR_PROVIDER",
        "CHAT_API_URL",
        "QUEUE_LIMIT",
        "WEB_PORT",
    ]


def test_long_value_is_not_repeated_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_PORT", "9" * 5000)
    assert len(refusal()[0]) < 200


def test_error_carries_no_other_error_with_the_value_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_SECRET", "too short")
    with pytest.raises(SettingsError) as caught:
        load(None)
    assert "too short" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(("value", "linger"), [("", 7.5), ("0", 0.0), ("2.5", 2.5)])
def test_a_silent_stream_is_kept_for_its_linger_which_is_the_providers_unless_it_is_set(
    monkeypatch: pytest.MonkeyPatch, value: str, linger: float
) -> None:
    monkeypatch.setenv("STREAM_LINGER", value)
    capabilities = replace(CAPABILITIES, linger=7.5)
    assert options_from(load(None), capabilities, has_watch_page=False).policy.stream_linger == linger


@pytest.mark.parametrize(
    ("choice", "has_watch_page", "needs_viewer"),
    [("", True, True), ("", False, False), ("auto", True, True), ("Always", True, True), ("never", True, False)],
)
def test_a_viewer_is_needed_where_it_is_known_who_watches(
    monkeypatch: pytest.MonkeyPatch, choice: str, has_watch_page: bool, needs_viewer: bool
) -> None:
    monkeypatch.setenv("SESSION_NEEDS_VIEWER", choice)
    options = options_from(load(None), CAPABILITIES, has_watch_page=has_watch_page)
    assert options.policy.needs_viewer is needs_viewer


def test_a_viewer_who_cannot_be_seen_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSION_NEEDS_VIEWER", "always")
    with pytest.raises(SettingsError, match="Set WEB_PUBLIC_URL, or leave SESSION_NEEDS_VIEWER empty"):
        options_from(load(None), CAPABILITIES, has_watch_page=False)


def test_warning_must_come_before_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SESSION_IDLE_TIMEOUT", "30")
    assert refusal() == [
        "SESSION_IDLE_WARNING is 60 (the default): it must be less than SESSION_IDLE_TIMEOUT, which is 30."
    ]
    monkeypatch.setenv("SESSION_IDLE_WARNING", "10")
    assert load(None).session.idle_warning == 10


def test_chat_model_and_its_address_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_API_URL", "https://chat.example/v1")
    assert refusal() == [
        'CHAT_MODEL is not set: it must name a model of the API at CHAT_API_URL, "https://chat.example/v1".'
    ]
    monkeypatch.delenv("CHAT_API_URL")
    monkeypatch.setenv("CHAT_MODEL", "gpt")
    assert refusal() == ['CHAT_API_URL is not set: it must be the address of the API with CHAT_MODEL "gpt".']


@pytest.mark.parametrize(
    ("pasted", "understood"),
    [
        ("https://llm.example.com/v1/chat/completions", "https://llm.example.com/v1"),
        ("https://llm.example.com/v1/chat/completions/", "https://llm.example.com/v1"),
        ("https://llm.example.com//v1//Chat/Completions", "https://llm.example.com/v1"),
        ("http://127.0.0.1:11434/v1/", "http://127.0.0.1:11434/v1"),
        ("http://[::1]:11434/chat/completions", "http://[::1]:11434"),
        ("https://chat", "https://chat"),
    ],
)
def test_the_whole_endpoint_of_the_chat_api_is_understood(
    monkeypatch: pytest.MonkeyPatch, pasted: str, understood: str
) -> None:
    monkeypatch.setenv("CHAT_API_URL", pasted)
    monkeypatch.setenv("CHAT_MODEL", "small")
    assert load(None).chat_model.api_url == understood


@pytest.mark.parametrize(
    ("pasted", "shown"),
    [
        ("https://llm.example.com/v1?key=hush", "https://llm.example.com/v1?..."),
        (
            "https://ana:hush@llm.example.com/v1/chat/completions?a=b",
            "https://...@llm.example.com/v1/chat/completions?...",
        ),
        ("https://llm.example.com/v1#hush", "https://llm.example.com/v1#..."),
        ("https://llm.example.com/v1/completions", "https://llm.example.com/v1/completions"),
        ("https://llm.example.com/v1/responses", "https://llm.example.com/v1/responses"),
        ("https://llm.example.com/v1/models", "https://llm.example.com/v1/models"),
        ("http://127.0.0.1:11434/api/chat", "http://127.0.0.1:11434/api/chat"),
        ("llm.example.com/v1", "llm.example.com/v1"),
    ],
)
def test_another_address_than_that_of_a_chat_api_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, pasted: str, shown: str
) -> None:
    monkeypatch.setenv("CHAT_API_URL", pasted)
    monkeypatch.setenv("CHAT_MODEL", "small")
    (line,) = [line for line in refusal() if line.startswith("CHAT_API_URL")]
    assert line == (
        f'CHAT_API_URL is "{shown}": it must be an address that starts with http:// or https:// and ends with the '
        "version, without a query, such as https://llm.example.com/v1."
    )


def test_every_known_provider_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"heygen-realtime", "heygen-streaming", "simulator"} <= set(known_providers())
    for name in known_providers():
        monkeypatch.setenv("AVATAR_PROVIDER", name)
        assert load(None).avatar.provider == name


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_no_secret_is_in_the_repr_and_all_are_known_for_masking(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = {"HEYGEN_API_KEY": "heygen-hush", "CHAT_API_KEY": "chat-hush", "WEB_SECRET": "web-hush-web-hush"}
    for name, value in hidden.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABASE_URL", "postgresql://ana:db-hush@host/relay")
    settings = load(None)
    assert "hush" not in repr(settings)
    assert {secret.get_secret_value() for secret in settings.secrets()} == {*hidden.values(), "db-hush"}


def test_database_is_a_file_in_the_data_folder_by_default(tmp_path: Path) -> None:
    file = make_url(database_url_or_default(load(None))).database
    assert file is not None
    assert Path(file).name == "avatar-relay.sqlite3"
    assert Path(file).is_relative_to(tmp_path)


def test_database_that_is_set_is_the_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "sqlite:///here.db")
    assert database_url_or_default(load(None)) == "sqlite:///here.db"


def test_web_secret_that_is_set_is_the_one(tmp_path: Path) -> None:
    settings = Settings(web=WebSettings(secret=SecretStr("0123456789abcdef")))
    assert web_secret(settings).get_secret_value() == "0123456789abcdef"
    assert list(tmp_path.rglob("web-secret")) == []


def test_web_secret_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    first = web_secret(Settings())
    assert len(first.get_secret_value()) >= 32
    assert web_secret(Settings()) == first
    (file,) = tmp_path.rglob("web-secret")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(path.name for path in file.parent.iterdir()) == ["web-secret"]


def test_web_secret_lies_beside_the_database_file(tmp_path: Path) -> None:
    web_secret(Settings(database_url=f"sqlite:///{tmp_path}/deep/down/relay.db"))
    assert (tmp_path / "deep/down/web-secret").is_file()


def test_a_database_in_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="database_url"):
        Settings(database_url="sqlite://")


def test_web_secret_that_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    file = tmp_path / "web-secret"
    file.write_text("0123456789abcdef\n")
    file.chmod(0o644)
    settings = Settings(database_url=f"sqlite:///{tmp_path}/relay.db")
    assert web_secret(settings).get_secret_value() == "0123456789abcdef"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_empty_secret_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "web-secret").write_text("")
    with pytest.raises(SettingsError, match="delete the file for a new one"):
        web_secret(Settings(database_url=f"sqlite:///{tmp_path}/relay.db"))


def test_folder_that_cannot_keep_a_secret_is_named(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file where a folder should be")
    with pytest.raises(SettingsError, match=r"WEB_SECRET is not set and none can be kept in .*blocked"):
        web_secret(Settings(database_url=f"sqlite:///{tmp_path}/blocked/relay.db"))


@pytest.mark.parametrize("key", ["schlüssel", "two words", "line\u2028break"])
@pytest.mark.parametrize("name", ["HEYGEN_API_KEY", "LIVEAVATAR_API_KEY", "DISCORD_TOKEN", "SLACK_BOT_TOKEN"])
def test_a_key_that_no_header_takes_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, key: str
) -> None:
    monkeypatch.setenv(name, key)
    with pytest.raises(SettingsError) as refused:
        load(None)
    assert str(refused.value).startswith(f"{name} is not right: it must be the key as the account page shows it")
    assert key not in str(refused.value)


def test_what_may_be_a_password_in_a_malformed_address_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEYGEN_API_URL", "somebody:password-hush@example.com")
    with pytest.raises(SettingsError) as refused:
        load(None)
    assert "hush" not in str(refused.value)
    assert "example.com" in str(refused.value)
