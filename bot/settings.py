"""Every setting there is, read from the environment and `.env`, one class per concern.

A bad value becomes one line that names the variable, what it was and what it may be (`SettingsError`); a secret is
never repeated in it. Nothing else in the program reads the environment. The description of each field says what a
value may be; `.env.example` and `docs/configuration.md` explain each setting, and a test compares the three.
"""

import re
import secrets
from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Self

from dotenv.parser import parse_stream
from platformdirs import user_data_path
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bot.errors import SettingsError, StoreError
from bot.kept_secret import SHORTEST, kept_secret
from bot.model import Mode
from bot.store.address import FORMS, read_address

PROVIDERS_GROUP = "avatar_relay.avatars"
SIMULATOR = "simulator"
"""The provider that needs no account: a server of our own in this process, so it is no entry point."""

_PROGRAM = "avatar-relay"
_LONGEST_QUOTE = 60
_URL_PASSWORD = re.compile(r"//([^/@\s]*)@")


def _without_last_slash(url: str) -> str:
    url = url.rstrip("/")
    if not re.match(r"https?://[^/\s]", url) or re.search(r"\s", url):
        raise ValueError
    return url


def _livekit_address(url: str) -> str:
    url = url.rstrip("/")
    if not re.fullmatch(r"wss?://[^/\s@]+", url):
        raise ValueError
    return url


def _words(value: object) -> object:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _actor_keys(keys: tuple[str, ...]) -> tuple[str, ...]:
    for key in keys:
        platform, _, user = key.partition(":")
        if not platform or not user:
            raise ValueError
    return keys


def _socket_url(url: str) -> str:
    url = url.rstrip("/")
    if url and not re.match(r"wss?://[^/\s]\S*$", url):
        raise ValueError
    return url


def _command_word(word: str) -> str:
    word = word.removeprefix("/")
    # Slack takes 32 characters (manifest schema), and `-admin` goes behind.
    if not re.fullmatch(r"[a-z0-9_-]{1,20}", word):
        raise ValueError
    return word


def _database(url: str) -> str:
    try:
        if url:
            read_address(url)
    except StoreError as error:
        raise ValueError from error
    return url


_HttpUrl = Annotated[str, AfterValidator(_without_last_slash)]
_LiveKitUrl = Annotated[str, AfterValidator(_livekit_address)]
_Seconds = Annotated[float, Field(ge=5, le=604_800, allow_inf_nan=False)]
_AnyCase = BeforeValidator(_lower)
_PlatformIds = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words), AfterValidator(_actor_keys)]

_seconds = partial(Field, description="a number of seconds, at least 5 (and at most 604800, a week)")
_url = partial(Field, description="an address that starts with http:// or https://")
_key = partial(Field, description="the key as the account page shows it")


def _platform_ids(of_what: str) -> Any:
    return Field(
        default=(), description=f"{of_what} as platform:id with commas between, such as discord:1234,slack:C0123"
    )


_words_for_people = partial(Field, description="text")


class Relay(StrEnum):
    """Which chat messages are relayed to the avatar without a command."""

    OFF = "off"
    MENTIONS = "mentions"
    ALL = "all"


class Quality(StrEnum):
    """Picture quality, where the provider has a choice."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class CarrierChoice(StrEnum):
    """Who takes commands into a LiveKit room: a watch page, the bot, or whichever suits the other settings."""

    AUTO = "auto"
    PAGE = "page"
    BOT = "bot"


class Shutdown(StrEnum):
    """What becomes of open sessions when the program is told to stop."""

    CLOSE = "close"
    KEEP = "keep"


class Answers(StrEnum):
    """Where people read what the avatar answered."""

    OFF = "off"
    MESSAGE = "message"
    THREAD = "thread"


class LogFormat(StrEnum):
    """How log lines look."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """The least important log lines that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class _Section(BaseSettings):
    model_config = SettingsConfigDict(
        env_file=None, env_file_encoding="utf-8", extra="ignore", frozen=True, env_ignore_empty=True
    )

    @classmethod
    def read(cls, env_file: Path | None, **given: "_Section") -> Self:
        """Read from the environment and `env_file`, which may be missing. Raises pydantic's `ValidationError`."""
        values: dict[str, Any] = {"_env_file": env_file, **given}
        return cls(**values)

    def contradictions(self) -> Iterator[str]:
        """One line for each value that is right by itself and wrong beside another."""
        yield from ()

    @model_validator(mode="before")
    @classmethod
    def _blank_is_unset(cls, values: dict[str, Any]) -> dict[str, Any]:
        stripped = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
        return {name: value for name, value in stripped.items() if value != ""}


class AvatarSettings(_Section):
    """Which avatar, from whom."""

    model_config = SettingsConfigDict(env_prefix="AVATAR_")

    provider: str = Field(default="heygen-realtime", description="the name of a provider")
    id: str = _words_for_people("")
    voice_id: str = _words_for_people("")
    quality: Annotated[Quality, _AnyCase] = Field(default=Quality.MEDIUM, description="low, medium or high")
    key_exclusive: bool = Field(default=False, description="true or false")
    carrier: Annotated[CarrierChoice, _AnyCase] = Field(default=CarrierChoice.AUTO, description="auto, page or bot")
    knowledge: str = _words_for_people("")
    greeting: str = _words_for_people("Hello, I am here.")

    def contradictions(self) -> Iterator[str]:
        """A provider that is not installed."""
        known = known_providers()
        if self.provider not in known:
            yield f"AVATAR_PROVIDER is {_quoted(self.provider)}: it must be one of {', '.join(known)}."


class HeyGenSettings(_Section):
    """The HeyGen account, for `heygen-streaming` and `heygen-realtime`."""

    model_config = SettingsConfigDict(env_prefix="HEYGEN_")

    api_key: SecretStr | None = _key(None)
    api_url: _HttpUrl = _url("https://api.heygen.com")


class LiveAvatarSettings(_Section):
    """The LiveAvatar account, for `liveavatar`. `context_id` is what lets the avatar answer by itself."""

    model_config = SettingsConfigDict(env_prefix="LIVEAVATAR_")

    api_key: SecretStr | None = _key(None)
    api_url: _HttpUrl = _url("https://api.liveavatar.com")
    context_id: str = _words_for_people("")
    sandbox: bool = Field(default=False, description="true or false")


class LiveKitSettings(_Section):
    """A LiveKit server of the operator's own, into which the bot republishes, so that everybody can watch."""

    model_config = SettingsConfigDict(env_prefix="LIVEKIT_")

    url: _LiveKitUrl | None = Field(default=None, description="an address that starts with ws:// or wss://")
    api_key: SecretStr | None = _key(None)
    api_secret: SecretStr | None = _key(None)

    @property
    def is_set(self) -> bool:
        """Whether there is such a server."""
        return self.url is not None

    def contradictions(self) -> Iterator[str]:
        """A server without its key, or a key without its server."""
        values = {"LIVEKIT_URL": self.url, "LIVEKIT_API_KEY": self.api_key, "LIVEKIT_API_SECRET": self.api_secret}
        if any(values.values()):
            for name in (name for name, value in values.items() if not value):
                yield f"{name} is not set: LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET go together."


class ChatModelSettings(_Section):
    """An OpenAI-compatible chat API that answers where the avatar provider cannot."""

    model_config = SettingsConfigDict(env_prefix="CHAT_")

    api_key: SecretStr | None = _key(None)
    api_url: _HttpUrl | None = _url(None)
    model: str = _words_for_people("")

    def contradictions(self) -> Iterator[str]:
        """An API without a model, or a model without an API."""
        if self.api_url and not self.model:
            yield f"CHAT_MODEL is not set: it must name a model of the API at CHAT_API_URL, {_quoted(self.api_url)}."
        if self.model and not self.api_url:
            yield f"CHAT_API_URL is not set: it must be the address of the API with CHAT_MODEL {_quoted(self.model)}."


class DiscordSettings(_Section):
    """The Discord application."""

    model_config = SettingsConfigDict(env_prefix="DISCORD_")

    token: SecretStr | None = _key(None)
    api_url: _HttpUrl = _url("https://discord.com/api/v10")
    gateway_url: Annotated[str, AfterValidator(_socket_url)] = Field(
        default="", description="an address that starts with wss:// or ws://"
    )
    guild_ids: Annotated[tuple[int, ...], NoDecode, BeforeValidator(_words)] = Field(
        default=(), description="ids of servers, numbers with commas between"
    )


class SlackSettings(_Section):
    """The Slack app: Socket Mode with `app_token`, HTTP with `signing_secret`, many workspaces with `client_id`."""

    model_config = SettingsConfigDict(env_prefix="SLACK_")

    bot_token: SecretStr | None = _key(None)
    app_token: SecretStr | None = _key(None)
    signing_secret: SecretStr | None = _key(None)
    client_id: str = _words_for_people("")
    client_secret: SecretStr | None = _key(None)
    api_url: _HttpUrl = _url("https://slack.com/api")
    command: Annotated[str, AfterValidator(_command_word)] = Field(
        default="avatar", description="a word of at most 20 small letters, digits, - and _, with or without the slash"
    )
    sockets: int = Field(default=1, ge=1, le=10, description="a whole number from 1 to 10")


class WebSettings(_Section):
    """The watch page and the health endpoints. Port 0 takes any free port."""

    model_config = SettingsConfigDict(env_prefix="WEB_")

    host: str = Field(default="127.0.0.1", description="an address of this machine")
    port: int = Field(default=8080, ge=0, le=65535, description="a port number from 0 to 65535; 0 takes any free one")
    public_url: _HttpUrl | None = _url(None)
    secret: SecretStr | None = Field(default=None, min_length=SHORTEST, description="at least 16 characters long")


class SessionSettings(_Section):
    """How long a session lives and what it does with messages. Durations are seconds."""

    model_config = SettingsConfigDict(env_prefix="SESSION_")

    idle_timeout: _Seconds = _seconds(300)
    idle_warning: _Seconds = _seconds(60)
    idle_ceiling: _Seconds = _seconds(3600)
    unwatched_timeout: _Seconds | None = _seconds(None)
    max_duration: _Seconds = _seconds(3600)
    relay: Annotated[Relay, _AnyCase] = Field(default=Relay.MENTIONS, description="off, mentions or all")
    mode: Annotated[Mode, _AnyCase] = Field(default=Mode.REPEAT, description="repeat or chat")
    answers: Annotated[Answers, _AnyCase] = Field(default=Answers.MESSAGE, description="off, message or thread")
    reactions: bool = Field(default=True, description="true or false")

    def contradictions(self) -> Iterator[str]:
        """A warning that would come before the silence it warns of has begun."""
        if self.idle_warning >= self.idle_timeout:
            warning, timeout = (
                f"{getattr(self, field):g}{'' if field in self.model_fields_set else ' (the default)'}"
                for field in ("idle_warning", "idle_timeout")
            )
            yield f"SESSION_IDLE_WARNING is {warning}: it must be less than SESSION_IDLE_TIMEOUT, which is {timeout}."


class AccessSettings(_Section):
    """Who may do what, and where. Each is a list of `platform:id`."""

    model_config = SettingsConfigDict(env_prefix="ACCESS_")

    admins: _PlatformIds = _platform_ids("people or roles")
    hosts: _PlatformIds = _platform_ids("people or roles")
    speakers: _PlatformIds = _platform_ids("people or roles")
    channels_allowed: _PlatformIds = _platform_ids("channels")
    channels_denied: _PlatformIds = _platform_ids("channels")


class LimitSettings(_Section):
    """What may be used a day (UTC) and at once; empty is no limit."""

    model_config = SettingsConfigDict(env_prefix="LIMIT_")

    user_characters: int = Field(default=0, ge=0, le=1_000_000, description="a whole number; 0 sets no limit")
    workspace_sessions: int | None = Field(default=None, ge=1, description="a whole number from 1 up")
    channel_minutes: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="a number above 0")
    workspace_minutes: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="a number above 0")
    channel_dollars: Decimal | None = Field(default=None, gt=0, allow_inf_nan=False, description="a number above 0")
    workspace_dollars: Decimal | None = Field(default=None, gt=0, allow_inf_nan=False, description="a number above 0")
    warn_at: float = Field(default=0.8, gt=0, le=1, description="a number above 0, at most 1")


class Settings(_Section):
    """Everything the program can be told, as one value. `load` is the only way to make one from the environment."""

    # It may hold a password, so it is neither in `repr` nor repeated in an error.
    database_url: Annotated[str, AfterValidator(_database)] = Field(default="", repr=False, description=FORMS)
    queue_limit: int = Field(default=20, ge=1, le=1000, description="a whole number from 1 to 1000")
    user_rate: int = Field(default=30, ge=0, le=10_000, description="a whole number from 0 to 10000; 0 sets no limit")
    admin_users: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words), AfterValidator(_actor_keys)] = Field(
        default=(), description="platform:user pairs with commas between, such as discord:1234,slack:U0123"
    )
    shutdown: Annotated[Shutdown, _AnyCase] = Field(default=Shutdown.CLOSE, description="close or keep")
    log_level: Annotated[LogLevel, _AnyCase] = Field(default=LogLevel.INFO, description="debug, info, warning or error")
    log_format: Annotated[LogFormat, _AnyCase] = Field(default=LogFormat.TEXT, description="text or json")

    # NoDecode: a variable such as SESSION, which desktops set, is not JSON for the section of that name.
    avatar: Annotated[AvatarSettings, NoDecode] = Field(default_factory=AvatarSettings)
    heygen: Annotated[HeyGenSettings, NoDecode] = Field(default_factory=HeyGenSettings)
    liveavatar: Annotated[LiveAvatarSettings, NoDecode] = Field(default_factory=LiveAvatarSettings)
    livekit: Annotated[LiveKitSettings, NoDecode] = Field(default_factory=LiveKitSettings)
    chat_model: Annotated[ChatModelSettings, NoDecode] = Field(default_factory=ChatModelSettings)
    discord: Annotated[DiscordSettings, NoDecode] = Field(default_factory=DiscordSettings)
    slack: Annotated[SlackSettings, NoDecode] = Field(default_factory=SlackSettings)
    web: Annotated[WebSettings, NoDecode] = Field(default_factory=WebSettings)
    session: Annotated[SessionSettings, NoDecode] = Field(default_factory=SessionSettings)
    access: Annotated[AccessSettings, NoDecode] = Field(default_factory=AccessSettings)
    limit: Annotated[LimitSettings, NoDecode] = Field(default_factory=LimitSettings)

    def secrets(self) -> tuple[SecretStr, ...]:
        """Every secret among the settings, passwords inside addresses included, for the log to mask."""
        found: list[SecretStr] = []
        for section in (self, *(getattr(self, name) for name in SECTIONS)):
            for name in type(section).model_fields:
                value = getattr(section, name)
                if isinstance(value, SecretStr):
                    found.append(value)
                elif isinstance(value, str) and (login := _URL_PASSWORD.search(value)):
                    found.append(SecretStr(login[1].rpartition(":")[2]))
        return tuple(found)


SECTIONS: dict[str, type[_Section]] = {
    "avatar": AvatarSettings,
    "heygen": HeyGenSettings,
    "liveavatar": LiveAvatarSettings,
    "livekit": LiveKitSettings,
    "chat_model": ChatModelSettings,
    "discord": DiscordSettings,
    "slack": SlackSettings,
    "web": WebSettings,
    "session": SessionSettings,
    "access": AccessSettings,
    "limit": LimitSettings,
}
"""The attributes of `Settings` that are settings of their own."""


def load(env_file: Path | None = Path(".env")) -> Settings:
    """Read every setting from the environment and `env_file`; the environment wins, an empty value counts as unset.

    env_file: None reads the environment alone; a file that is missing is no error.
    Raises `SettingsError` with one line for each bad value.
    """
    if env_file is not None:
        _check_file(env_file)
    bad: list[str] = []
    sections: dict[str, _Section] = {}
    for name, kind in SECTIONS.items():
        try:
            sections[name] = kind.read(env_file)
            bad += sections[name].contradictions()
        except ValidationError as error:
            sections[name] = kind.model_construct()
            bad += _lines(kind, error)
    try:
        settings = Settings.read(env_file, **sections)
    except ValidationError as error:
        # From None: pydantic's own text repeats the values, and a secret may be among them.
        raise SettingsError("\n".join([*bad, *_lines(Settings, error)])) from None
    if bad:
        raise SettingsError("\n".join(bad))
    return settings


def variables() -> Iterator[tuple[str, str, bool]]:
    """Every environment variable there is: its name, its default as one would write it, whether it is a secret."""
    kinds: list[type[_Section]] = [Settings, *SECTIONS.values()]
    for kind in kinds:
        for name, field in kind.model_fields.items():
            if name not in SECTIONS or kind is not Settings:
                default = "" if field.default is None or field.default == () else str(field.default)
                default = default.lower() if isinstance(field.default, bool) else default
                yield _variable(kind, name), default, "SecretStr" in str(field.annotation)


def known_providers() -> tuple[str, ...]:
    """What `AVATAR_PROVIDER` may be: the providers that are installed, and the simulator."""
    return (*sorted({entry.name for entry in entry_points(group=PROVIDERS_GROUP)}), SIMULATOR)


def database_url_or_default(settings: Settings) -> str:
    """Return `DATABASE_URL`, or the address of a SQLite file in the user's data folder."""
    return settings.database_url or f"sqlite:///{_data_folder() / f'{_PROGRAM}.sqlite3'}"


def web_secret(settings: Settings) -> SecretStr:
    """Return what watch links are signed with: `WEB_SECRET`, else a random one that is made once and kept.

    It is kept beside the SQLite file, or in the user's data folder, readable by its owner alone; with a database in
    memory it is kept nowhere and each call makes another. Raises `SettingsError` where it cannot be kept.
    """
    if settings.web.secret is not None:
        return settings.web.secret
    address = read_address(database_url_or_default(settings))
    if address.is_in_memory:
        return SecretStr(secrets.token_urlsafe(32))
    folder = address.file.parent if address.file else _data_folder()
    try:
        return kept_secret(folder / "web-secret")
    except OSError as error:
        why = (error.strerror or "unknown trouble").lower()
        raise SettingsError(
            f"WEB_SECRET is not set and none can be kept in {folder} ({why}): set it, or make the folder writable."
        ) from error
    except ValueError as error:
        raise SettingsError(
            f"WEB_SECRET is not set and {folder / 'web-secret'} holds none: set it, or delete the file for a new one."
        ) from error


def _data_folder() -> Path:
    return user_data_path(_PROGRAM, appauthor=False)


def _check_file(env_file: Path) -> None:
    try:
        if env_file.is_dir():
            raise SettingsError(f"{env_file} is a folder; it must be a file with one NAME=value on each line.")
        if not env_file.is_file():
            return
        with env_file.open(encoding="utf-8") as lines:
            wrong = [binding.original.line for binding in parse_stream(lines) if binding.error]
    except UnicodeDecodeError as error:
        raise SettingsError(f"{env_file} cannot be read: it must be text in UTF-8.") from error
    except OSError as error:
        raise SettingsError(f"{env_file} cannot be read: {(error.strerror or 'unknown trouble').lower()}.") from error
    if wrong:
        raise SettingsError("\n".join(f"Line {line} of {env_file} must have the form NAME=value." for line in wrong))


def _variable(kind: type[_Section], field: str) -> str:
    return f"{kind.model_config.get('env_prefix', '')}{field}".upper()


def _lines(kind: type[_Section], error: ValidationError) -> Iterator[str]:
    for name, value in {str(detail["loc"][0]): detail["input"] for detail in error.errors(include_url=False)}.items():
        field = kind.model_fields[name]
        is_hidden = "SecretStr" in str(field.annotation) or not field.repr
        was = "is not right" if is_hidden else f"is {_quoted(value)}"
        yield f"{_variable(kind, name)} {was}: it must be {field.description}."


def _quoted(value: object) -> str:
    text = _URL_PASSWORD.sub("//...@", str(value))
    return f'"{text}"' if len(text) <= _LONGEST_QUOTE else f'"{text[:_LONGEST_QUOTE]}..."'
