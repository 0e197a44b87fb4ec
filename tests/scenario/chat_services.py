"""Everything a program talks to that brings avatars to Discord and Slack: both platforms, the avatar services, the API
that answers, all in this process and behind one `EchoingGateway`.

Each service has credentials of its own, so that a finding tells whose it is.
"""

from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import SecretStr

from adapters.chat.slack.manifest import manifest_of
from adapters.simulator import Simulator, SimulatorOptions
from bot.core.clock import SystemClock
from tests.fakes.discord import FakeDiscord
from tests.fakes.slack import Ephemeral, FakeSlack, Message
from tests.harness.livekit import LiveKitServer
from tests.platforms.running_bot import settings_with
from tests.scenario.echoing_gateway import EchoingGateway

PUBLIC = "https://watch.example.com"
AVATAR_KEY = "avatarkey-7h1s0n31sn0b0dys"
CHAT_KEY = "answerskey-4nd7h1s0n3t00"
WEB_SECRET = 'web"secret\\7h1s 0n31sn0b0dys'
DISCORD_TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4OQ.Gd1sc0.t0k3n-7h1s0n31sn0b0dys"


class ChatServices:
    """The services, as an async context manager.

    livekit: where LiveAvatar makes its rooms, which is the operator's own server too; without one there are stand-ins.
    is_http: Slack sends signed requests and the app is installed over OAuth; else one workspace over Socket Mode.
    """

    def __init__(self, *, livekit: LiveKitServer | None, is_http: bool) -> None:
        self._livekit = livekit
        self._is_http = is_http
        options = SimulatorOptions(api_key=SecretStr(AVATAR_KEY))
        if livekit is not None:
            options = options.with_livekit(livekit.url, livekit.api_key, SecretStr(livekit.api_secret))
        self.avatars = Simulator(options, SystemClock())
        self.answers = Simulator(SimulatorOptions(api_key=SecretStr(CHAT_KEY)), SystemClock())
        self.discord = FakeDiscord(token=DISCORD_TOKEN)
        self.slack = FakeSlack()
        self.slack_replies: list[list[Message | Ephemeral]] = []
        self.gateway: EchoingGateway
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for service in (self.avatars, self.answers, self.discord, self.slack):
            await self._stack.enter_async_context(service)
        self.gateway = self._stack.enter_context(
            EchoingGateway(
                avatars=self.avatars.address,
                answers=self.answers.address,
                discord=self.discord.api_url.removesuffix("/api/v10"),
                slack=self.slack.url.rstrip("/"),
            )
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    def settings(self, folder: Path, **others: str) -> dict[str, str]:
        """The environment of a program that uses all of them, its database in `folder`."""
        url = self.gateway.url
        settings = {
            "HEYGEN_API_URL": f"{url}/avatars",
            "LIVEAVATAR_API_URL": f"{url}/avatars",
            "CHAT_API_URL": f"{url}/answers/v1",
            "CHAT_MODEL": "simulator",
            "DISCORD_API_URL": f"{url}/discord/api/v10",
            "DISCORD_GATEWAY_URL": self.discord.gateway_url,
            "SLACK_API_URL": f"{url}/slack/api",
            "DATABASE_URL": f"sqlite:///{folder / 'bot.sqlite3'}",
            "WEB_PORT": "0",
            "WEB_PUBLIC_URL": PUBLIC,
            "SESSION_NEEDS_VIEWER": "never",
            "LOG_LEVEL": "debug",
            **self.credentials,
            **others,
        }
        if self._livekit is not None:
            settings["LIVEKIT_URL"] = self._livekit.url
        if self._is_http:
            settings["SLACK_CLIENT_ID"] = self.slack.client_id
        self.slack.configure(manifest_of(settings_with(settings)))
        return settings

    @property
    def credentials(self) -> dict[str, str]:
        """What the program is given to prove itself with: variable -> secret."""
        slack = self.slack
        found = {
            "HEYGEN_API_KEY": AVATAR_KEY,
            "LIVEAVATAR_API_KEY": AVATAR_KEY,
            "CHAT_API_KEY": CHAT_KEY,
            "WEB_SECRET": WEB_SECRET,
            "DISCORD_TOKEN": DISCORD_TOKEN,
            "SLACK_BOT_TOKEN": slack.bot_token,
        }
        if self._livekit is not None:
            found |= {"LIVEKIT_API_KEY": self._livekit.api_key, "LIVEKIT_API_SECRET": self._livekit.api_secret}
        if self._is_http:
            return found | {"SLACK_SIGNING_SECRET": slack.signing_secret, "SLACK_CLIENT_SECRET": slack.client_secret}
        return found | {"SLACK_APP_TOKEN": slack.app_token}

    @property
    def issued(self) -> set[str]:
        """Every token that a service has given out since: rooms, sockets, installations, ways to answer somebody."""
        tokens = {token for team in self.slack.teams.values() for token in team.tokens}
        tokens |= {interaction.token for interaction in self.discord.interactions.all}
        tokens |= {url.rpartition("/")[2] for url in self.slack.responses._urls}
        return tokens | self.gateway.tokens

    @property
    def posted(self) -> str:
        """Everything that was put before people, changed or deleted since included."""
        discord = [f"{request.body} {request.reason}" for request in self.discord.requests]
        slack = [f"{call.method} {call.args}" for call in self.slack.requests if call.method != "oauth.v2.access"]
        replies = [f"{reply.text} {reply.blocks}" for replies in self.slack_replies for reply in replies]
        return "\n".join([*discord, *slack, *replies])
