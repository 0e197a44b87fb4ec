"""Which panels carry a Work Object: those of workspaces that take it, where the operator wants it and it can work.

Slack says only once a message is posted that a workspace takes none, or that a feature is off. From then on the panels
of that workspace are plain ones, until the next start."""

from collections.abc import Callable, Mapping
from typing import Any

import structlog
from aiohttp import web

from adapters.chat.slack.manifest import NO_PANE_ADDRESS
from adapters.chat.slack.strings import CARD_PAGE
from adapters.chat.slack.text_page import text_page
from adapters.chat.slack.work_object import Json, card_of, dropped_because
from bot.core.views import SessionView
from bot.settings import EmbedChoice, Settings

log = structlog.get_logger(__name__)

NO_PICTURE = (
    "SLACK_EMBED is auto, but the bot does not serve the picture itself, so that the side pane could not show it: see "
    "AVATAR_WATCH"
)


class Cards:
    """The Work Objects of panels. on_give_up: called when a workspace turns out to take none."""

    def __init__(self, settings: Settings, *, shows_in_frames: bool) -> None:
        """`shows_in_frames`: see `bot.facade.Bot`."""
        is_wanted = settings.slack.embed is EmbedChoice.AUTO
        self._refused: set[str] = set()
        self._is_possible = is_wanted and shows_in_frames
        self.public_url = settings.web.public_url or ""
        self.on_give_up: Callable[[], None] = lambda: None
        if is_wanted and not shows_in_frames:
            log.warning(NO_PICTURE if self.public_url.startswith("https:") else NO_PANE_ADDRESS)

    def are_offered(self, team_id: str) -> bool:
        """Whether panels of a workspace have one."""
        return self._is_possible and team_id not in self._refused

    def metadata_of(self, view: SessionView) -> Json | None:
        """The `metadata` of a panel's message. Empty: it has none any more. None: it never had one."""
        if not self._is_possible:
            return None
        return card_of(view, self.public_url) if self.are_offered(view.channel.workspace) else {}

    def heed(self, team_id: str, answer: Mapping[str, Any]) -> None:
        """Look at the answer to a message that had one."""
        if (why := dropped_because(answer)) is not None:
            self.give_up(team_id, why)

    def give_up(self, team_id: str, why: str) -> None:
        """A workspace takes no Work Objects, or not ours. `why`: Slack's words, for the log."""
        if not self.are_offered(team_id):
            return
        self._refused.add(team_id)
        log.warning(
            "Slack takes no Work Object of ours: panels have the link alone until the next start; docs/slack.md, "
            "watching in the side pane, has what the app's settings need",
            workspace=team_id,
            error=why,
        )
        self.on_give_up()


async def card_page(_: web.Request) -> web.Response:
    """Where the address of a card leads in a browser: nowhere, since everybody in the channel can read it."""
    return text_page(CARD_PAGE, 200)
