"""When the app is no longer in a channel or a workspace: the avatars there leave, because nobody could stop them."""

import asyncio

import structlog

from adapters.chat.slack.calls import Workspace
from adapters.chat.slack.troubles import UNINSTALLED, bot_token_trouble
from adapters.chat.slack.workspaces import Workspaces
from bot.errors import SettingsError, StoreError
from bot.model import Channel
from bot.sessions import Sessions
from bot.tasks import TaskOwner

log = structlog.get_logger(__name__)

_WHY = {"archive": "the channel was archived", "deleted": "the channel was deleted", "left": "the app was removed"}


class Departures:
    """Ends what can no longer be used."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._tasks = TaskOwner()
        self._fatal: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.workspaces: Workspaces

    async def until_fatal(self) -> None:
        """Wait until the only workspace is gone. Raises `SettingsError` then: nobody but the operator can help."""
        await asyncio.shield(self._fatal)

    async def leave_channel(self, channel: Channel, what: str) -> None:
        """A channel was archived or deleted, or the app was removed from it."""
        try:
            await self._sessions.leave_channels(lambda other: other == channel, _WHY[what])
        except StoreError as error:
            log.error("leaving a channel could not be written down", error=str(error))

    async def leave_workspace(self, workspace: Workspace) -> None:
        """The app was uninstalled, or its tokens were revoked."""
        own = self.workspaces.own
        try:
            team = workspace.team_id
            await self.workspaces.remove(team)
            await self._sessions.leave_channels(
                lambda channel: (channel.platform, channel.workspace) == ("slack", team), "the app was uninstalled"
            )
        except StoreError as error:
            log.error("an uninstallation could not be written down", error=str(error))
        if own is workspace:
            self._fail(UNINSTALLED)

    def token_is_useless(self, workspace: Workspace, error: str) -> None:
        """A call said that the token of a workspace no longer works."""
        if self.workspaces.own is workspace:
            self._fail(bot_token_trouble(error) or UNINSTALLED)
        else:
            self._tasks.start(self.leave_workspace(workspace), name="slack token useless")

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
