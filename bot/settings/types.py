"""What the value of a setting may be, and how a wrong one is quoted: what the sections of `bot.settings` are made of.

A `description` continues the sentence "it must be".
"""

import re
from enum import StrEnum
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from bot.core.errors import SettingsError, StoreError
from bot.store.url import parse_url

MAX_QUOTE_LENGTH = 60
"""Characters of a wrong value that are repeated to who set it."""

OTHER_ENDPOINT = re.compile(r"(?i)/(completions|responses|messages|embeddings|models|chat|generate)$")
"""Where a model is asked in other ways, or by other services' own APIs; no base address ends like this."""

URL_PASSWORD = re.compile(r"//([^/@\s]*)@")
"""What stands between `//` and `@` in an address: a name and a password."""


def without_last_slash(url: str) -> str:
    url = url.rstrip("/")
    if not re.match(r"https?://[^/\s]", url) or re.search(r"\s", url):
        raise ValueError
    return url


def chat_api_address(url: str) -> str:
    """The address that `/chat/completions` goes behind: the whole endpoint is understood, another one is refused."""
    url = without_last_slash(url)
    if "?" in url or "#" in url:
        raise ValueError
    server, path = url[: -len(urlsplit(url).path) or None], urlsplit(url).path
    path = re.sub(r"(?i)/chat/completions$", "", re.sub(r"/{2,}", "/", path))
    if OTHER_ENDPOINT.search(path):
        raise ValueError
    return server + path


def livekit_address(url: str) -> str:
    url = url.rstrip("/")
    if not re.fullmatch(r"wss?://[^/\s@]+", url):
        raise ValueError
    return url


def separate_words(value: object) -> object:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def auto_is_zero(value: object) -> object:
    return 0 if lower(value) == "auto" else value


def actor_keys(keys: tuple[str, ...]) -> tuple[str, ...]:
    for key in keys:
        platform, _, user = key.partition(":")
        if not platform or not user:
            raise ValueError
    return keys


def socket_address(url: str) -> str:
    url = url.rstrip("/")
    if url and not re.match(r"wss?://[^/\s]\S*$", url):
        raise ValueError
    return url


def command_word(word: str) -> str:
    word = word.removeprefix("/")
    # Slack takes 32 characters (manifest schema), and `-admin` goes behind.
    if not re.fullmatch(r"[a-z0-9_-]{1,20}", word):
        raise ValueError
    return word


def key_for_a_header(key: SecretStr) -> SecretStr:
    """A key travels in an HTTP header, which takes nothing else (RFC 9110, 5.5)."""
    if not re.fullmatch(r"[!-~]+", key.get_secret_value()):
        raise ValueError
    return key


def database_address(url: str) -> str:
    try:
        if url:
            parse_url(url)
    except (StoreError, SettingsError) as error:
        raise ValueError from error
    return url


ChatApiUrl = Annotated[str, AfterValidator(chat_api_address)]
HttpUrl = Annotated[str, AfterValidator(without_last_slash)]
LiveKitUrl = Annotated[str, AfterValidator(livekit_address)]
Seconds = Annotated[float, Field(ge=5, le=604_800, allow_inf_nan=False)]
AnyCase = BeforeValidator(lower)
Key = Annotated[SecretStr, AfterValidator(key_for_a_header)]
PlatformIds = Annotated[tuple[str, ...], NoDecode, BeforeValidator(separate_words), AfterValidator(actor_keys)]

seconds = partial(Field, description="a number of seconds, at least 5 (and at most 604800, a week)")
address = partial(Field, description="an address that starts with http:// or https://")
key = partial(Field, description="the key as the account page shows it")


def platform_ids(of_what: str) -> Any:
    return Field(
        default=(), description=f"{of_what} as platform:id, separated by commas, such as discord:1234,slack:C0123"
    )


words = partial(Field, description="text")


class RelayMode(StrEnum):
    """Which chat messages are relayed to the avatar without a command."""

    OFF = "off"
    MENTIONS = "mentions"
    ALL = "all"


class VoiceChoice(StrEnum):
    """Whether an avatar speaks in voice channels. AUTO: by itself in that of the chat it was started in; ASK: when it
    is asked to; OFF: never."""

    AUTO = "auto"
    ASK = "ask"
    OFF = "off"


class NeedsViewer(StrEnum):
    """Whether the avatar speaks, and its stream is opened, only while somebody watches. AUTO: where that is known."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class EmbedChoice(StrEnum):
    """Whether the watch page is offered inside the chat client. AUTO: where it can be, with the link beside it."""

    OFF = "off"
    AUTO = "auto"


class Quality(StrEnum):
    """Picture quality, where the provider has a choice."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    VERY_HIGH = "very_high"


class RoomTransportChoice(StrEnum):
    """Who takes commands into a LiveKit room: a watch page, the bot, or whichever suits the other settings."""

    AUTO = "auto"
    PAGE = "page"
    BOT = "bot"


class WatchChoice(StrEnum):
    """How people watch: HLS from the bot; a room on the operator's LiveKit server; the one seat in the provider's room;
    the provider's own HLS; or whichever suits the other settings."""

    AUTO = "auto"
    HLS = "hls"
    LIVEKIT = "livekit"
    SEAT = "seat"
    DIRECT = "direct"


class Shutdown(StrEnum):
    """What becomes of open sessions when the program is told to stop."""

    CLOSE = "close"
    KEEP = "keep"


class AnswerPlacement(StrEnum):
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


def quoted(value: object) -> str:
    """A wrong value as it is shown to who set it: shortened, and without what may be a password before an `@` or a key
    in a query."""
    text = URL_PASSWORD.sub("//...@", str(value))
    if "://" in text:
        text = re.sub(r"([?#])\S+", r"\1...", text)
    if "@" in text and "//...@" not in text:
        text = f"...@{text.rpartition('@')[2]}"
    return f'"{text}"' if len(text) <= MAX_QUOTE_LENGTH else f'"{text[:MAX_QUOTE_LENGTH]}..."'
