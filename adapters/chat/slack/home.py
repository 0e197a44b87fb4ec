"""The App Home: the avatars that are running in this workspace, the settings, and what can be typed."""

from collections.abc import Iterable
from typing import Any

import structlog

from adapters.chat.slack.blocks import Block, CommandRenamer, plain, section, verbatim
from adapters.chat.slack.client import SlackError, SlackUnavailable, WorkspaceClient
from adapters.chat.slack.mrkdwn import escape
from bot import sentences
from bot.commands.parser import AVATAR, Usage
from bot.core.errors import StoreError
from bot.core.views import SessionView
from bot.facade import Bot
from bot.settings import RelayMode, SessionSettings

log = structlog.get_logger(__name__)

MAX_SESSIONS = 40
"""Sessions that are listed; a view has at most 100 blocks."""

_RELAYS = {
    RelayMode.OFF: "Only what is given with `/avatar say` and `/avatar ask` reaches the avatar.",
    RelayMode.MENTIONS: "Messages that mention the app reach the avatar.",
    RelayMode.ALL: "Every message in a channel with an avatar reaches it.",
}
_NOBODY = "No avatar is running. Type `/avatar start` in a channel."


class Home:
    """Publishes the App Home."""

    def __init__(self, bot: Bot, wording: CommandRenamer) -> None:
        self._bot = bot
        self._wording = wording

    async def publish(self, workspace: WorkspaceClient, user: str) -> None:
        """Show the tab to somebody who has opened it. The watch links stay in the channels: not everybody may see
        every channel."""
        views = [running.view() for running in self._bot.sessions]
        views = [view for view in views if view.channel.workspace == workspace.team_id]
        try:
            elsewhere = await self._bot.sessions.elsewhere.overviews(("slack", workspace.team_id))
        except StoreError as error:
            log.error("the App Home shows the avatars of this process alone", error=str(error))
        else:
            views += [overview.view for overview in elsewhere]
        view = home_view(views, self._bot.settings.session, self._bot.commands.usages.values(), self._wording)
        try:
            await workspace.call("views.publish", user_id=user, view=view)
        except (SlackError, SlackUnavailable) as error:
            log.info("the App Home was not published", error=str(error))


def home_view(
    views: Iterable[SessionView], settings: SessionSettings, usages: Iterable[Usage], wording: CommandRenamer
) -> dict[str, Any]:
    """The tab as Block Kit."""
    running = list(views)
    blocks: list[Block] = [_header("Avatars in this workspace")]
    blocks += [section(_line(view)) for view in running[:MAX_SESSIONS]]
    if len(running) > MAX_SESSIONS:
        blocks.append(section(escape(sentences.and_more(len(running) - MAX_SESSIONS))))
    if not running:
        blocks.append(section(escape(wording(_NOBODY))))
    facts = [
        ("Mode of a new avatar", sentences.MODES[settings.mode]),
        ("Leaves after silence of", sentences.duration(settings.idle_timeout)),
        ("Stays at most", sentences.duration(settings.max_duration)),
    ]
    fields = [verbatim(f"*{escape(name)}*\n{escape(value)}") for name, value in facts]
    blocks += [
        {"type": "divider"},
        _header("Settings"),
        section(escape(wording(_RELAYS[settings.relay]))),
        {"type": "section", "fields": fields},
        {"type": "divider"},
        _header("What you can type"),
        section(escape(wording(_help(usages)))),
    ]
    return {"type": "home", "blocks": blocks}


def _line(view: SessionView) -> str:
    state = escape(sentences.state(view))
    return f"<#{view.channel.id}>: *{escape(view.avatar)}*, {state}, started by {escape(view.started_by_name)}"


def _help(usages: Iterable[Usage]) -> str:
    return "\n".join(f"`{usage.line}` {usage.summary}" for usage in usages if usage.group == AVATAR)


def _header(text: str) -> Block:
    return {"type": "header", "text": plain(text, 150)}
