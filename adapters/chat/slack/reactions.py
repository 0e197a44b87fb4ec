"""Small feedback on people's messages: a reaction that says whether a message waits, was said, or was not.

A message shows at most one of them; one that changes before it was drawn is drawn once, and a mark that stands is not
put again."""

from functools import partial

import structlog
from cachetools import LRUCache

from adapters.chat.keyed_queue import KeyedTaskQueue
from adapters.chat.slack.client import SlackError, SlackUnavailable, WorkspaceClient
from adapters.chat.slack.events import ts_of
from adapters.chat.slack.workspaces import Workspaces
from bot.core.models import Channel, Utterance, UtteranceState

log = structlog.get_logger(__name__)

WAITS = "hourglass_flowing_sand"
SAID = "white_check_mark"
NOT_SAID = "x"

_MARKS = {
    UtteranceState.QUEUED: WAITS,
    UtteranceState.SPOKEN: SAID,
    UtteranceState.DROPPED: NOT_SAID,
    UtteranceState.INTERRUPTED: NOT_SAID,
    UtteranceState.FAILED: NOT_SAID,
    UtteranceState.UNKNOWN: NOT_SAID,
}

_AS_WISHED = {"already_reacted", "no_reaction", "message_not_found"}
"""Errors after which everything is as it should be."""

MAX_REMEMBERED_MARKS = 1000
"""Messages whose mark is remembered; to put one again that was forgotten changes nothing."""

Place = tuple[Channel, str]


class Reactions:
    """The marks on messages."""

    def __init__(self, outgoing: KeyedTaskQueue, workspaces: Workspaces) -> None:
        self._outgoing = outgoing
        self._workspaces = workspaces
        self._wanted: dict[Place, str] = {}
        self._shown: LRUCache[Place, str] = LRUCache(MAX_REMEMBERED_MARKS)

    def mark(self, channel: Channel, utterance: Utterance) -> None:
        """Show what became of the message that an utterance was made from; a command has none."""
        mark = _MARKS.get(utterance.state)
        if mark is not None and utterance.message_id is not None:
            self._mark(channel, utterance.message_id, mark)

    def mark_not_said(self, channel: Channel, message_id: str) -> None:
        """Show that a message was not taken."""
        self._mark(channel, message_id, NOT_SAID)

    def _mark(self, channel: Channel, message_id: str, mark: str) -> None:
        place = (channel, ts_of(message_id))
        if place not in self._wanted:
            if self._shown.get(place) == mark:
                return
            if mark != WAITS:
                # Also where we do not know of it: it may be from before a restart.
                self._shown.setdefault(place, WAITS)
        self._wanted[place] = mark
        self._outgoing.submit(("reactions", channel), partial(self._draw, place))

    async def _draw(self, place: Place) -> None:
        wanted = self._wanted.pop(place, None)
        workspace = await self._workspaces.of(place[0].workspace)
        if wanted is None or workspace is None:
            return
        shown = self._shown.pop(place, None)
        if shown is not None and shown != wanted:
            await self._call(workspace, "reactions.remove", place, shown)
        if shown == wanted or await self._call(workspace, "reactions.add", place, wanted):
            self._shown[place] = wanted

    async def _call(self, workspace: WorkspaceClient, method: str, place: Place, name: str) -> bool:
        """Whether everything is as it should be afterwards."""
        channel, ts = place
        try:
            await workspace.call(method, channel=channel.id, timestamp=ts, name=name)
        except SlackError as refusal:
            if refusal.error not in _AS_WISHED:
                log.info("a reaction was not taken", error=refusal.error)
                return False
        except SlackUnavailable as error:
            log.info("a reaction did not arrive", error=str(error))
            return False
        return True
