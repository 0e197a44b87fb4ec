"""Every setting there is, read from the environment and `.env`, one class per concern.

A bad value becomes one line that names the variable, what it was and what it may be (`SettingsError`); a secret is never
repeated in it. Nothing else in the program reads the environment. `.env.example` documents each setting and a test
compares the two.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar

from platformdirs import user_data_path
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bot.errors import SettingsError
from bot.model import Mode


def _without_last_slash(url: str) -> str:
    url = url.strip().rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise ValueError("an address that starts with http:// or https://")
    return url


def _words(value: Any) -> Any:
    return tuple(part for part in value.replace(",", " ").split() if part) if isinstance(value, str) else value


def _actor_keys(keys: tuple[str, ...]) -> tuple[str, ...]:
    for key in keys:
        platform, _, user = key.partition(":")
        if not platform or not user:
            raise ValueError("platform:user pairs with commas between, such as discord:1234,slack:U0123")
    return keys


HttpUrl = Annotated[str, AfterValidator(_without_last_slash)]
Seconds = Annotated[float, Field(ge=5)]


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
        env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True, env_ignore_empty=True
    )


class AvatarSettings(_Section):
    """Which avatar, from whom."""

    model_config = SettingsConfigDict(env_prefix="AVATAR_")

    provider: str = "heygen-realtime"
    id: str = ""
    voice_id: str = ""
    quality: Quality = Quality.MEDIUM
    knowledge: str = ""


class HeyGenSettings(_Section):
    """The HeyGen account, for `heygen-streaming` and `heygen-realtime`."""

    model_config = SettingsConfigDict(env_prefix="HEYGEN_")

    api_key: SecretStr | None = None
    api_url: HttpUrl = "https://api.heygen.com"


class ChatModelSettings(_Section):
    """An OpenAI-compatible chat API that answers where the avatar provider cannot."""

    model_config = SettingsConfigDict(env_prefix="CHAT_")

    api_key: SecretStr | None = None
    api_url: HttpUrl | None = None
    model: str = ""


class WebSettings(_Section):
    """The watch page and the health endpoints. Port 0 takes any free port."""

    model_config = SettingsConfigDict(env_prefix="WEB_")

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    public_url: HttpUrl | None = None
    secret: Annotated[SecretStr, Field(min_length=16)] | None = None


class SessionSettings(_Section):
    """How long a session lives and what it does with messages. Durations are seconds."""

    model_config = SettingsConfigDict(env_prefix="SESSION_")

    idle_timeout: Seconds = 300
    idle_warning: Seconds = 60
    max_duration: Seconds = 3600
    relay: Relay = Relay.MENTIONS
    mode: Mode = Mode.REPEAT


class Settings(_Section):
    """Everything the program can be told, as one value. `load` is the only way to make one from the environment."""

    database_url: str = ""
    queue_limit: Annotated[int, Field(ge=1, le=1000)] = 20
    user_rate: Annotated[int, Field(ge=0, le=10_000)] = 30
    admin_users: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words), AfterValidator(_actor_keys)] = ()
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.TEXT

    avatar: AvatarSettings = Field(default_factory=AvatarSettings)
    heygen: HeyGenSettings = Field(default_factory=HeyGenSettings)
    chat_model: ChatModelSettings = Field(default_factory=ChatModelSettings)
    web: WebSettings = Field(default_factory=WebSettings)
    session: SessionSettings = Field(default_factory=SessionSettings)

    SECTIONS: ClassVar[tuple[str, ...]] = ("avatar", "heygen", "chat_model", "web", "session")
