"""What `init` asks for, by platform and provider: names of settings, how they are asked, where their values come from.

Pure data and small decisions; no I/O.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Platform(StrEnum):
    """Where people will write to the avatar."""

    DISCORD = "discord"
    SLACK = "slack"
    CONSOLE = "console"


@dataclass(frozen=True, slots=True)
class Question:
    """`variable` is the setting, `words` how it is asked for, `hint` where the value is found."""

    variable: str
    words: str
    hint: str
    is_secret: bool = True
    is_needed: bool = True


OF_PLATFORM = {
    Platform.DISCORD: (
        Question("DISCORD_TOKEN", "Bot token", "discord.com/developers, your application, Bot, Reset Token"),
    ),
    Platform.SLACK: (
        Question("SLACK_BOT_TOKEN", "Bot token (xoxb-…)", "api.slack.com/apps, your app, OAuth & Permissions"),
        Question("SLACK_APP_TOKEN", "App-level token (xapp-…)", "the same app, Basic Information, App-Level Tokens"),
    ),
    Platform.CONSOLE: (),
}

OF_PROVIDER = {
    "heygen-realtime": (Question("HEYGEN_API_KEY", "HeyGen API key", "app.heygen.com, Settings, API"),),
    "heygen-streaming": (Question("HEYGEN_API_KEY", "HeyGen API key", "app.heygen.com, Settings, API"),),
    "liveavatar": (Question("LIVEAVATAR_API_KEY", "LiveAvatar API key", "app.liveavatar.com, Developers"),),
    "simulator": (),
}

PUBLIC_URL = Question(
    "WEB_PUBLIC_URL",
    "Address under which others reach the watch page (empty: later)",
    "a reverse proxy or a tunnel with HTTPS in front of this machine, see docs/watching.md",
    is_secret=False,
    is_needed=False,
)


def questions(platform: Platform, provider: str) -> Iterator[tuple[str, tuple[Question, ...]]]:
    """The groups of questions in their order, each with the name of the check that looks at the answers."""
    yield platform.value, OF_PLATFORM[platform]
    yield "provider", OF_PROVIDER.get(provider, ())
    yield "web", (PUBLIC_URL,)
