"""The workspaces the app is in: the one of `SLACK_BOT_TOKEN`, and those that installed it over OAuth.

Who we are in each of them is asked once (`auth.test`) and remembered, so that no event waits for it."""

import asyncio
from collections.abc import Callable

import aiohttp
import structlog

from adapters.chat.slack.calls import SlackRefused, SlackUnreachable, Workspace, call, web_client
from adapters.chat.slack.installations import Installation, Installations
from adapters.chat.slack.manifest import NAME
from adapters.chat.slack.troubles import bot_token_trouble
from bot.errors import SettingsError, StoreError
from bot.ports import Clock
from bot.settings import SlackSettings

log = structlog.get_logger(__name__)

PAUSE = 5.0
"""Seconds between attempts to reach Slack at the start."""


class Workspaces:
    """Finds the workspace that something came from."""

    def __init__(
        self,
        settings: SlackSettings,
        session: aiohttp.ClientSession,
        installations: Installations | None,
        on_useless: Callable[[Workspace, str], None],
    ) -> None:
        """`on_useless` is told of a token that no longer works."""
        self._settings = settings
        self._session = session
        self._installations = installations
        self._on_useless = on_useless
        self._known: dict[str, Workspace] = {}
        self._finding = asyncio.Lock()
        self.bot_name = NAME.lower()
        self.own: Workspace | None = None

    async def sign_in(self, clock: Clock) -> None:
        """Find out who `SLACK_BOT_TOKEN` is, waiting out what may pass. Raises `SettingsError` for a useless token."""
        token = self._settings.bot_token
        while token is not None:
            client = web_client(token.get_secret_value(), self._settings.api_url, self._session, repeat=True)
            try:
                who = await call(client, "auth.test")
            except SlackRefused as refusal:
                if sentence := bot_token_trouble(refusal.error):
                    raise SettingsError(sentence) from None
                log.warning("Slack does not say who we are", error=refusal.error)
            except SlackUnreachable as error:
                log.warning("Slack cannot be reached", error=str(error))
            else:
                self.bot_name = str(who.get("user") or self.bot_name)
                found = Installation(
                    str(who["team_id"]), token.get_secret_value(), str(who["user_id"]), str(who.get("bot_id", ""))
                )
                self.own = self._known[found.team_id] = self._workspace(found)
                return
            await clock.sleep(PAUSE)

    async def of(self, team_id: str) -> Workspace | None:
        """The workspace with this id; None where the app is not installed there, or nobody can tell."""
        try:
            return await self.find(team_id)
        except StoreError as error:
            log.error("an installation could not be read", error=str(error))
            return None

    async def find(self, team_id: str) -> Workspace | None:
        """The workspace with this id; None where the app is not installed there. Raises `StoreError`."""
        if (known := self._known.get(team_id)) is not None or self._installations is None:
            return known
        async with self._finding:
            if (known := self._known.get(team_id)) is not None:
                return known
            found = await self._installations.read(team_id)
            if found is not None:
                self._known[team_id] = self._workspace(found)
            return self._known.get(team_id)

    async def add(self, installation: Installation) -> None:
        """The app has been installed. Raises `StoreError`."""
        assert self._installations is not None  # noqa: S101 - only OAuth installs
        await self._installations.keep(installation)
        self._known[installation.team_id] = self._workspace(installation)

    async def remove(self, team_id: str) -> None:
        """The app is no longer installed there. Raises `StoreError`."""
        self._known.pop(team_id, None)
        if self._installations is not None:
            await self._installations.forget(team_id)

    def _workspace(self, found: Installation) -> Workspace:
        return Workspace(
            found.team_id,
            found.token,
            bot_user=found.bot_user,
            bot_id=found.bot_id,
            api_url=self._settings.api_url,
            session=self._session,
            on_useless=self._on_useless,
        )
