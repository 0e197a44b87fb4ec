"""Every setting there is, read from the environment and `.env`, one class per concern (`bot.settings.sections`).

A bad value becomes one line that names the variable, what it was and what it may be (`SettingsError`); a secret is
never repeated in it. Nothing else in the program reads the environment. The description of each field says what a
value may be; `.env.example` and `docs/configuration.md` explain each setting, and a test compares the three.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote

from dotenv.parser import parse_stream
from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import NoDecode

from bot.core.errors import AvatarRelayError, SettingsError
from bot.settings.provider_options import HeyGenStreamingOptions, LiveAvatarOptions
from bot.settings.proxies import environment_proxies, proxy_problems
from bot.settings.secret_file import kept_secret
from bot.settings.sections import (
    PROVIDERS_GROUP,
    SIMULATOR,
    AccessSettings,
    AvatarSettings,
    ChatModelSettings,
    DiscordSettings,
    HeyGenSettings,
    LimitSettings,
    LiveAvatarSettings,
    LiveKitSettings,
    Section,
    SessionSettings,
    SlackSettings,
    StreamSettings,
    WebSettings,
    known_providers,
)
from bot.settings.types import (
    URL_PASSWORD,
    AnswerPlacement,
    AnyCase,
    EmbedChoice,
    LogFormat,
    LogLevel,
    NeedsViewer,
    PlatformIds,
    Quality,
    RelayMode,
    RoomTransportChoice,
    Seconds,
    Shutdown,
    VoiceChoice,
    WatchChoice,
    database_address,
    quoted,
    seconds,
)
from bot.store.url import FORMS, parse_url

__all__ = [
    "ENV_FILE",
    "PROVIDERS_GROUP",
    "SECTIONS",
    "SIMULATOR",
    "AnswerPlacement",
    "AvatarSettings",
    "ChatModelSettings",
    "EmbedChoice",
    "HeyGenSettings",
    "HeyGenStreamingOptions",
    "LimitSettings",
    "LiveAvatarOptions",
    "LiveAvatarSettings",
    "LiveKitSettings",
    "LogFormat",
    "LogLevel",
    "NeedsViewer",
    "Quality",
    "RelayMode",
    "RoomTransportChoice",
    "SessionSettings",
    "Settings",
    "Shutdown",
    "SlackSettings",
    "StreamSettings",
    "VoiceChoice",
    "WatchChoice",
    "WebSettings",
    "database_url_or_default",
    "known_providers",
    "load",
    "options_set",
    "variables",
    "web_secret",
]

ENV_FILE = Path(".env")
"""Settings of the folder that the program is started in."""

WEB_SECRET_FILE = "web-secret"  # noqa: S105 - a name
"""The name of the file that keeps the random secret of watch links, where `WEB_SECRET` is not set."""

_PROGRAM = "avatar-relay"


class Settings(Section):
    """Everything the program can be told, as one value. `load` is the only way to make one from the environment."""

    # It may hold a password, so it is neither in `repr` nor repeated in an error.
    database_url: Annotated[str, AfterValidator(database_address)] = Field(default="", repr=False, description=FORMS)
    queue_limit: int = Field(default=20, ge=1, le=1000, description="a whole number from 1 to 1000")
    queue_max_age: Seconds = seconds(600)
    user_rate: int = Field(default=30, ge=0, le=10_000, description="a whole number from 0 to 10000; 0 sets no limit")
    admin_users: PlatformIds = Field(
        default=(), description="platform:user pairs, separated by commas, such as discord:1234,slack:U0123"
    )
    audit_days: int = Field(
        default=365, ge=0, le=36_500, description="a whole number of days from 0 to 36500; 0 keeps it forever"
    )
    shutdown: Annotated[Shutdown, AnyCase] = Field(default=Shutdown.CLOSE, description="close or keep")
    log_level: Annotated[LogLevel, AnyCase] = Field(default=LogLevel.INFO, description="debug, info, warning or error")
    log_format: Annotated[LogFormat, AnyCase] = Field(default=LogFormat.TEXT, description="text or json")

    # NoDecode: a variable such as SESSION, which desktops set, is not JSON for the section of that name.
    avatar: Annotated[AvatarSettings, NoDecode] = Field(default_factory=AvatarSettings)
    heygen: Annotated[HeyGenSettings, NoDecode] = Field(default_factory=HeyGenSettings)
    liveavatar: Annotated[LiveAvatarSettings, NoDecode] = Field(default_factory=LiveAvatarSettings)
    heygen_streaming: Annotated[HeyGenStreamingOptions, NoDecode] = Field(default_factory=HeyGenStreamingOptions)
    liveavatar_options: Annotated[LiveAvatarOptions, NoDecode] = Field(default_factory=LiveAvatarOptions)
    livekit: Annotated[LiveKitSettings, NoDecode] = Field(default_factory=LiveKitSettings)
    chat_model: Annotated[ChatModelSettings, NoDecode] = Field(default_factory=ChatModelSettings)
    discord: Annotated[DiscordSettings, NoDecode] = Field(default_factory=DiscordSettings)
    slack: Annotated[SlackSettings, NoDecode] = Field(default_factory=SlackSettings)
    web: Annotated[WebSettings, NoDecode] = Field(default_factory=WebSettings)
    session: Annotated[SessionSettings, NoDecode] = Field(default_factory=SessionSettings)
    stream: Annotated[StreamSettings, NoDecode] = Field(default_factory=StreamSettings)
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
                elif isinstance(value, str) and (login := URL_PASSWORD.search(value)):
                    password = login[1].rpartition(":")[2]
                    found += [SecretStr(form) for form in sorted({password, unquote(password)})]
        with suppress(AvatarRelayError):  # what is wrong with it is said elsewhere
            found += parse_url(database_url_or_default(self)).secrets
        return (*found, *environment_proxies().secrets)


SECTIONS: dict[str, type[Section]] = {
    "avatar": AvatarSettings,
    "heygen": HeyGenSettings,
    "liveavatar": LiveAvatarSettings,
    "heygen_streaming": HeyGenStreamingOptions,
    "liveavatar_options": LiveAvatarOptions,
    "livekit": LiveKitSettings,
    "chat_model": ChatModelSettings,
    "discord": DiscordSettings,
    "slack": SlackSettings,
    "web": WebSettings,
    "session": SessionSettings,
    "stream": StreamSettings,
    "access": AccessSettings,
    "limit": LimitSettings,
}
"""The attributes of `Settings` that are settings of their own."""

_OPTIONS_OF = {"heygen-streaming": "heygen_streaming", "liveavatar": "liveavatar_options"}
"""The sections that hold for one provider, by its name."""


def load(env_file: Path | None = ENV_FILE) -> Settings:
    """Read every setting from the environment and `env_file`; the environment wins, an empty value counts as unset.

    env_file: None reads the environment alone; a file that is missing is not an error.
    Raises `SettingsError` with one line for each bad value.
    """
    bad: list[str] = []
    if env_file is not None:
        _check_file(env_file)
        # Not for the demo, which reads no file: it needs no way out.
        bad += proxy_problems()
    sections: dict[str, Section] = {}
    for name, kind in SECTIONS.items():
        try:
            sections[name] = kind.read(env_file)
            bad += sections[name].cross_check()
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
    kinds: list[type[Section]] = [Settings, *SECTIONS.values()]
    for kind in kinds:
        for name, field in kind.model_fields.items():
            if name not in SECTIONS or kind is not Settings:
                default = "" if field.default is None or field.default == () else str(field.default)
                default = default.lower() if isinstance(field.default, bool) else default
                yield _variable(kind, name), default, _is_secret(field)


def options_set(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """What is set of the options of each provider: whose it is, the variable, and its value as one would write it."""
    for provider, attribute in _OPTIONS_OF.items():
        section = getattr(settings, attribute)
        for name in type(section).model_fields:
            if name in section.model_fields_set and (value := getattr(section, name)) not in (None, ""):
                yield provider, _variable(type(section), name), _written(value)


def _written(value: object) -> str:
    if isinstance(value, Mapping):
        # Their names: the texts may be long, and are for the avatar.
        return ", ".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def database_url_or_default(settings: Settings) -> str:
    """Return `DATABASE_URL`, or the address of a SQLite file in the user's data folder."""
    return settings.database_url or f"sqlite:///{_data_folder() / f'{_PROGRAM}.sqlite3'}"


def web_secret(settings: Settings) -> SecretStr:
    """Return what watch links are signed with: `WEB_SECRET`, else a random one that is made once and kept.

    It is kept beside the SQLite file, or in the user's data folder, readable by its owner alone. Raises `SettingsError`
    if it cannot be kept.
    """
    if settings.web.secret is not None:
        return settings.web.secret
    address = parse_url(database_url_or_default(settings))
    folder = address.file.parent if address.file else _data_folder()
    try:
        return kept_secret(folder / WEB_SECRET_FILE)
    except OSError as error:
        why = (error.strerror or "unknown trouble").lower()
        raise SettingsError(
            f"WEB_SECRET is not set and none can be kept in {folder} ({why}): set it, or make the folder writable."
        ) from error
    except ValueError as error:
        raise SettingsError(
            f"WEB_SECRET is not set and {folder / WEB_SECRET_FILE} holds none: set it, or delete the file for a new "
            "one."
        ) from error


def _data_folder() -> Path:
    from platformdirs import user_data_path  # for those who have not set a database

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


def _variable(kind: type[Section], field: str) -> str:
    return f"{kind.model_config.get('env_prefix', '')}{field}".upper()


def _is_secret(field: FieldInfo) -> bool:
    return "SecretStr" in str(field.annotation) or not field.repr


def _lines(kind: type[Section], error: ValidationError) -> Iterator[str]:
    for name, detail in {str(detail["loc"][0]): detail for detail in error.errors(include_url=False)}.items():
        field = kind.model_fields[name]
        said = getattr(detail.get("ctx", {}).get("error"), "__cause__", None)
        if isinstance(said, SettingsError):  # it names the part of the value that is not right, and repeats nothing
            yield str(said)
            continue
        was = "is not right" if _is_secret(field) else f"is {quoted(detail['input'])}"
        yield f"{_variable(kind, name)} {was}: it must be {field.description}."
