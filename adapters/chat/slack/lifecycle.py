"""When the app is no longer in a channel, a workspace or an organisation: the avatars there leave, because nobody could
stop them."""

import asyncio
from collections.abc import Collection

import structlog

from adapters.chat.slack.client import WorkspaceClient
from adapters.chat.slack.strings import UNINSTALLED, bot_token_trouble
from adapters.chat.slack.workspaces import Workspaces
from bot.core.errors import SettingsError, StoreError
from bot.core.models import Channel
from bot.core.tasks import TaskSet
from bot.sessions.registry import SessionRegistry

log = structlog.get_logger(__name__)

_WHY = {"archive": "the channel was archived", "deleted": "the channel was deleted", "left": "the app was removed"}


class AppLifecycle:
    """Ends what can no longer be used."""

    def __init__(self, sessions: SessionRegistry) -> None:
        self._sessions = sessions
        self._tasks = TaskSet()
        self._fatal: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.workspaces: Workspaces

    async def wait_fatal(self) -> None:
        """Wait until the only workspace is gone. Raises `SettingsError` then: nobody but the operator can help."""
        await asyncio.shield(self._fatal)

    async def leave_channel(self, channel: Channel, what: str) -> None:
        """A channel was archived or deleted, or the app was removed from it."""
        try:
            await self._sessions.end_in_channels(lambda other: other == channel, _WHY[what])
        except StoreError as error:
            log.error("leaving a channel could not be written down", error=str(error))

    async def leave_installation(self, workspace: WorkspaceClient, token: str | None = None) -> None:
        """The app was uninstalled, or its tokens were revoked; with an organisation's, in all of its workspaces. token:
        the one that no longer works, where Slack did not say more."""
        is_own = self._is_own(workspace)
        installed = workspace.organisation or workspace.team_id
        teams = {installed, workspace.team_id, *self.workspaces.teams(installed)}
        try:
            if not await self.workspaces.remove(installed, token):
                return
            await self._leave_teams(teams)
        except StoreError as error:
            log.error("an uninstallation could not be written down", error=str(error))
        if is_own:
            self._fail(UNINSTALLED)

    async def team_access(self, organisation: str, teams: Collection[str], *, is_granted: bool) -> None:
        """An organisation has given the app to some of its workspaces, or taken it from them."""
        try:
            if is_granted:
                await self.workspaces.admit(organisation, teams)
                return
            await self.workspaces.expel(organisation, teams)
            await self._leave_teams(teams)
        except StoreError as error:
            log.error("could not save where the app is installed", error=str(error))

    async def _leave_teams(self, teams: Collection[str]) -> None:
        await self._sessions.end_in_channels(
            lambda channel: channel.platform == "slack" and channel.workspace in teams, "the app was uninstalled"
        )

    def _is_own(self, workspace: WorkspaceClient) -> bool:
        own = self.workspaces.own
        return own is not None and (own is workspace or own.team_id == workspace.organisation)

    def token_is_useless(self, workspace: WorkspaceClient, error: str) -> None:
        """A call said that the token of a workspace no longer works."""
        if self._is_own(workspace):
            self._fail(bot_token_trouble(error) or UNINSTALLED)
        else:
            self._tasks.create_task(self.leave_installation(workspace, workspace.token), name="slack token useless")

    async def close(self) -> None:
        """End what is still under way."""
        await self._tasks.close()
        if self._fatal.done():
            self._fatal.exception()
        else:
            self._fatal.cancel()

    def _fail(self, sentence: str) -> None:
        if not self._fatal.done():
            self._fatal.set_exception(SettingsError(sentence))
