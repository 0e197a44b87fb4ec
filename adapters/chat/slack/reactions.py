"""How a message is marked in Slack; with what and when is `adapters.chat.reaction_marker`'s."""

import structlog

from adapters.chat.reaction_marker import Mark, ReactionMarker
from adapters.chat.slack.client import SlackError, SlackUnavailable
from adapters.chat.slack.events import ts_of
from adapters.chat.slack.workspaces import Workspaces
from bot.core.models import Channel
from bot.core.ports import Clock
from bot.core.precedence import Precedence

log = structlog.get_logger(__name__)

_EMOJI = {Mark.WAITS: "hourglass_flowing_sand", Mark.SPOKEN: "white_check_mark", Mark.NOT_SPOKEN: "x"}

PER_MINUTE = 40
"""Marks in one workspace: `reactions.add` may be called some 50 times a minute there (docs.slack.dev, rate limits,
tier 3)."""


class Reactions(ReactionMarker):
    """The marks in every workspace."""

    def __init__(self, workspaces: Workspaces, clock: Clock, precedence: Precedence) -> None:
        super().__init__(clock, precedence, PER_MINUTE)
        self._workspaces = workspaces

    def _line_of(self, channel: Channel) -> str:
        return channel.workspace

    async def _put(self, channel: Channel, message_id: str, mark: Mark) -> bool:
        workspace = await self._workspaces.of(channel.workspace)
        if workspace is None:
            return True
        place = {"channel": channel.id, "timestamp": ts_of(message_id)}
        try:
            await workspace.call("reactions.add", **place, name=_EMOJI[mark])
        except SlackError as refusal:
            if refusal.error == "message_not_found":
                return False
            if refusal.error != "already_reacted":
                log.info("a reaction was not taken", error=refusal.error)
        except SlackUnavailable as error:
            log.info("a reaction did not arrive", error=str(error))
        return True
