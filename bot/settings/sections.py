"""The settings, one class per concern. Read and put together by `bot.settings`."""

from collections.abc import Iterator
from decimal import Decimal
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bot.core.models import Mode
from bot.settings.secret_file import MIN_LENGTH
from bot.settings.types import (
    AnswerPlacement,
    AnyCase,
    ChatApiUrl,
    EmbedChoice,
    HttpUrl,
    Key,
    LiveKitUrl,
    NeedsViewer,
    PlatformIds,
    Quality,
    RelayMode,
    RoomTransportChoice,
    Seconds,
    VoiceChoice,
    WatchChoice,
    address,
    auto_is_zero,
    command_word,
    key,
    platform_ids,
    quoted,
    seconds,
    separate_words,
    socket_address,
    words,
)

PROVIDERS_GROUP = "avatar_relay.avatars"
SIMULATOR = "simulator"
"""The provider that needs no account: a server of our own in this process, so it is no entry point."""


class Section(BaseSettings):
    model_config = SettingsConfigDict(
        env_file=None, env_file_encoding="utf-8", extra="ignore", frozen=True, env_ignore_empty=True
    )

    @classmethod
    def read(cls, env_file: Path | None, **given: "Section") -> Self:
        """Read from the environment and `env_file`, which may be missing. Raises pydantic's `ValidationError`."""
        values: dict[str, Any] = {"_env_file": env_file, **given}
        return cls(**values)

    def cross_check(self) -> Iterator[str]:
        """One line for each value that is right by itself and wrong beside another."""
        yield from ()

    @model_validator(mode="before")
    @classmethod
    def _blank_is_unset(cls, values: dict[str, Any]) -> dict[str, Any]:
        stripped = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
        return {name: value for name, value in stripped.items() if value != ""}


class AvatarSettings(Section):
    """Which avatar, from whom."""

    model_config = SettingsConfigDict(env_prefix="AVATAR_")

    provider: str = Field(default="heygen-realtime", description="the name of a provider")
    id: str = words("")
    voice_id: str = words("")
    quality: Annotated[Quality, AnyCase] = Field(default=Quality.MEDIUM, description="low, medium, high or very_high")
    key_exclusive: bool = Field(default=False, description="true or false")
    carrier: Annotated[RoomTransportChoice, AnyCase] = Field(
        default=RoomTransportChoice.AUTO, description="auto, page or bot"
    )
    watch: Annotated[WatchChoice, AnyCase] = Field(
        default=WatchChoice.AUTO, description="auto, hls, livekit, seat or direct"
    )
    knowledge: str = words("")
    greeting: str = words("Hello, I am here.")

    def cross_check(self) -> Iterator[str]:
        """A provider that is not installed."""
        known = known_providers()
        if self.provider not in known:
            yield f"AVATAR_PROVIDER is {quoted(self.provider)}: it must be one of {', '.join(known)}."


class HeyGenSettings(Section):
    """The HeyGen account, for `heygen-streaming` and `heygen-realtime`."""

    model_config = SettingsConfigDict(env_prefix="HEYGEN_")

    api_key: Key | None = key(None)
    api_url: HttpUrl = address("https://api.heygen.com")


class LiveAvatarSettings(Section):
    """The LiveAvatar account, for `liveavatar`. `context_id` is what lets the avatar answer by itself."""

    model_config = SettingsConfigDict(env_prefix="LIVEAVATAR_")

    api_key: Key | None = key(None)
    api_url: HttpUrl = address("https://api.liveavatar.com")
    context_id: str = words("")
    sandbox: bool = Field(default=False, description="true or false")


class LiveKitSettings(Section):
    """A LiveKit server of the operator's own, into which the bot republishes, so that everybody can watch."""

    model_config = SettingsConfigDict(env_prefix="LIVEKIT_")

    url: LiveKitUrl | None = Field(default=None, description="an address that starts with ws:// or wss://")
    api_key: Key | None = key(None)
    api_secret: SecretStr | None = key(None)

    @property
    def is_set(self) -> bool:
        """Whether there is such a server."""
        return self.url is not None

    def cross_check(self) -> Iterator[str]:
        """A server without its key, or a key without its server."""
        values = {"LIVEKIT_URL": self.url, "LIVEKIT_API_KEY": self.api_key, "LIVEKIT_API_SECRET": self.api_secret}
        if any(values.values()):
            for name in (name for name, value in values.items() if not value):
                yield f"{name} is not set: LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET go together."


class ChatModelSettings(Section):
    """An OpenAI-compatible chat API that answers where the avatar provider cannot."""

    model_config = SettingsConfigDict(env_prefix="CHAT_")

    api_key: Key | None = key(None)
    api_url: ChatApiUrl | None = Field(
        default=None,
        description="an address that starts with http:// or https:// and ends with the version, without a query, such "
        "as https://llm.example.com/v1",
    )
    model: str = words("")

    @property
    def is_set(self) -> bool:
        """Whether there is such a model."""
        return self.api_url is not None and bool(self.model)

    def cross_check(self) -> Iterator[str]:
        """An API without a model, or a model without an API."""
        if self.api_url and not self.model:
            yield f"CHAT_MODEL is not set: it must name a model of the API at CHAT_API_URL, {quoted(self.api_url)}."
        if self.model and not self.api_url:
            yield f"CHAT_API_URL is not set: it must be the address of the API with CHAT_MODEL {quoted(self.model)}."


class DiscordSettings(Section):
    """The Discord application."""

    model_config = SettingsConfigDict(env_prefix="DISCORD_")

    token: Key | None = key(None)
    api_url: HttpUrl = address("https://discord.com/api/v10")
    gateway_url: Annotated[str, AfterValidator(socket_address)] = Field(
        default="", description="an address that starts with wss:// or ws://"
    )
    guild_ids: Annotated[tuple[int, ...], NoDecode, BeforeValidator(separate_words)] = Field(
        default=(), description="ids of servers, numbers separated by commas"
    )
    activity: bool = Field(default=True, description="true or false")
    activity_signed: bool = Field(default=False, description="true or false")
    voice: Annotated[VoiceChoice, AnyCase] = Field(default=VoiceChoice.AUTO, description="auto, ask or off")
    voice_alone: Seconds = seconds(120)
    shards: Annotated[int, BeforeValidator(auto_is_zero)] = Field(
        default=0, ge=0, le=16_384, description="auto, or a whole number from 0 to 16384"
    )


class SlackSettings(Section):
    """The Slack app: Socket Mode with `app_token`, HTTP with `signing_secret`, many workspaces with `client_id`."""

    model_config = SettingsConfigDict(env_prefix="SLACK_")

    bot_token: Key | None = key(None)
    app_token: Key | None = key(None)
    signing_secret: SecretStr | None = key(None)
    client_id: str = words("")
    client_secret: SecretStr | None = key(None)
    api_url: HttpUrl = address("https://slack.com/api")
    command: Annotated[str, AfterValidator(command_word)] = Field(
        default="avatar", description="a word of at most 20 small letters, digits, - and _, with or without the slash"
    )
    sockets: int = Field(default=1, ge=1, le=10, description="a whole number from 1 to 10")
    embed: Annotated[EmbedChoice, AnyCase] = Field(default=EmbedChoice.OFF, description="off or auto")


class WebSettings(Section):
    """The watch page and the health endpoints. Port 0 takes any free port."""

    model_config = SettingsConfigDict(env_prefix="WEB_")

    host: str = Field(default="127.0.0.1", description="an address of this machine")
    port: int = Field(default=8080, ge=0, le=65535, description="a port number from 0 to 65535; 0 takes any free one")
    public_url: HttpUrl | None = address(None)
    secret: SecretStr | None = Field(default=None, min_length=MIN_LENGTH, description="at least 16 characters long")


class SessionSettings(Section):
    """How long a session lives and what it does with messages. Durations are seconds."""

    model_config = SettingsConfigDict(env_prefix="SESSION_")

    idle_timeout: Seconds = seconds(300)
    idle_warning: Seconds = seconds(60)
    idle_ceiling: Seconds = seconds(3600)
    unwatched_timeout: Seconds | None = seconds(None)
    needs_viewer: Annotated[NeedsViewer, AnyCase] = Field(default=NeedsViewer.AUTO, description="auto, always or never")
    max_duration: Seconds = seconds(3600)
    relay: Annotated[RelayMode, AnyCase] = Field(default=RelayMode.MENTIONS, description="off, mentions or all")
    mode: Annotated[Mode, AnyCase] = Field(default=Mode.REPEAT, description="repeat or chat")
    answers: Annotated[AnswerPlacement, AnyCase] = Field(
        default=AnswerPlacement.MESSAGE, description="off, message or thread"
    )
    reactions: bool = Field(default=True, description="true or false")

    def cross_check(self) -> Iterator[str]:
        """A warning that would come before the silence it warns of has begun."""
        if self.idle_warning >= self.idle_timeout:
            warning, timeout = (
                f"{getattr(self, field):g}{'' if field in self.model_fields_set else ' (the default)'}"
                for field in ("idle_warning", "idle_timeout")
            )
            yield f"SESSION_IDLE_WARNING is {warning}: it must be less than SESSION_IDLE_TIMEOUT, which is {timeout}."


class StreamSettings(Section):
    """How long a session keeps a stream that says nothing. Durations are seconds."""

    model_config = SettingsConfigDict(env_prefix="STREAM_")

    linger: float | None = Field(
        default=None,
        ge=0,
        le=604_800,
        allow_inf_nan=False,
        description="a number of seconds from 0 to 604800, a week; empty is what suits the provider",
    )


class AccessSettings(Section):
    """Who may do what, and where. Each is a list of `platform:id`."""

    model_config = SettingsConfigDict(env_prefix="ACCESS_")

    admins: PlatformIds = platform_ids("people or roles")
    hosts: PlatformIds = platform_ids("people or roles")
    speakers: PlatformIds = platform_ids("people or roles")
    channels_allowed: PlatformIds = platform_ids("channels")
    channels_denied: PlatformIds = platform_ids("channels")


class LimitSettings(Section):
    """What may be used a day (UTC) and at once; empty is no limit."""

    model_config = SettingsConfigDict(env_prefix="LIMIT_")

    user_characters: int = Field(default=0, ge=0, le=1_000_000, description="a whole number; 0 sets no limit")
    workspace_sessions: int | None = Field(default=None, ge=1, description="a whole number from 1 up")
    channel_minutes: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="a number above 0")
    workspace_minutes: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="a number above 0")
    channel_dollars: Decimal | None = Field(default=None, gt=0, allow_inf_nan=False, description="a number above 0")
    workspace_dollars: Decimal | None = Field(default=None, gt=0, allow_inf_nan=False, description="a number above 0")
    warn_at: float = Field(default=0.8, gt=0, le=1, description="a number above 0, at most 1")


def known_providers() -> tuple[str, ...]:
    """What `AVATAR_PROVIDER` may be: the providers that are installed, and the simulator."""
    return (*sorted({entry.name for entry in entry_points(group=PROVIDERS_GROUP)}), SIMULATOR)
