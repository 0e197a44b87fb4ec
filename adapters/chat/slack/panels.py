"""How panels are posted and edited in Slack; when that happens is `adapters.chat.panel_updater`'s.

They are drawn behind what goes out to the channel already. One whose first posting got lost is recognised when Slack
tells us of it."""

from collections.abc import Awaitable, Callable

from cachetools import LRUCache

from adapters.chat.keyed_queue import KeyedTaskQueue
from adapters.chat.panel_updater import PanelUpdater
from adapters.chat.redraw import Drawn, NotDrawn
from adapters.chat.slack.blocks import CommandRenamer, message_of_panel
from adapters.chat.slack.cards import Cards
from adapters.chat.slack.client import SlackError, SlackUnavailable, WorkspaceClient, drawn_after
from adapters.chat.slack.outbox import QUIET
from adapters.chat.slack.work_object import with_change_time
from bot.core.models import Channel
from bot.core.views import SessionView
from bot.facade import Bot
from bot.sessions.panel import panel_of

WorkspaceOf = Callable[[str], Awaitable[WorkspaceClient | None]]
Undrawable = Callable[[Channel, str], None]

MAX_REMEMBERED_COMPLAINTS = 1000
"""Sessions of which it is remembered that somebody was told why they have no panel."""


class Panels(PanelUpdater):
    """The panels of every workspace. A reference is the workspace, the channel and the `ts` of the message."""

    def __init__(
        self,
        bot: Bot,
        outgoing: KeyedTaskQueue,
        workspace_of: WorkspaceOf,
        wording: CommandRenamer,
        cards: Cards,
        undrawable: Undrawable,
    ) -> None:
        """`outgoing`: what goes to a channel, in order. `cards`: what opens the side pane. `undrawable` is told why a
        first panel cannot be posted, once for each session."""
        super().__init__("slack", bot)
        self._outgoing = outgoing
        self._workspace_of = workspace_of
        self._wording = wording
        self._cards = cards
        self._undrawable = undrawable
        self._complained: LRUCache[str, bool] = LRUCache(MAX_REMEMBERED_COMPLAINTS)

    def found(self, channel: Channel, session_id: str, ts: str) -> None:
        """Slack tells of a panel: the one whose posting was never answered, perhaps."""
        panel = self._panels.get(session_id)
        if panel is not None and panel.reference is None and panel.view.channel == channel:
            panel.reference, panel.looks = _reference(channel, ts), None
            panel.change()

    def ts_of(self, session_id: str) -> str | None:
        """The message of a session's panel, for what is written below it."""
        panel = self._panels.get(session_id)
        return _ts_of(panel.reference) if panel and panel.reference else None

    def _looks_of(self, view: SessionView) -> dict[str, object]:
        looks = message_of_panel(panel_of(view), view.session_id, self._wording)
        card = self._cards.metadata_of(view)
        return looks if card is None else looks | {"metadata": card}

    def _is_reference(self, reference: str) -> bool:
        return reference.count("/") == 2

    async def _post(self, view: SessionView, _nonce: int, /) -> str:
        """Once only: where the answer is lost, the message may stand in the channel all the same."""
        try:
            answer = await self._call(view, "chat.postMessage", **QUIET)
        except SlackError as refusal:
            drawn = drawn_after(refusal)
            if drawn is Drawn.NEVER and view.session_id not in self._complained:
                self._complained[view.session_id] = True
                self._undrawable(view.channel, refusal.error)
            raise NotDrawn(drawn, str(refusal)) from refusal
        except SlackUnavailable as error:
            raise NotDrawn(Drawn.IN_DOUBT, str(error)) from error
        return _reference(view.channel, str(answer["ts"]))

    async def _edit(self, view: SessionView, reference: str) -> None:
        try:
            await self._call(view, "chat.update", ts=_ts_of(reference))
        except (SlackError, SlackUnavailable) as error:
            raise NotDrawn(drawn_after(error), str(error)) from error

    async def _call(self, view: SessionView, method: str, **arguments: object) -> dict[str, object]:
        """Send the panel in its turn. Raises `NotDrawn`, `SlackError`, `SlackUnavailable`, `StoreError`."""
        workspace = await self._workspace_of(view.channel.workspace)
        if workspace is None:
            raise NotDrawn(Drawn.NEVER, "the app is no longer in the workspace")
        looks = with_change_time(self._looks_of(view), self._clock.now().timestamp())
        if method == "chat.postMessage" and not looks.get("metadata"):
            # There is nothing yet to be taken away.
            looks = {name: value for name, value in looks.items() if name != "metadata"}
        message = {"channel": view.channel.id, **looks, **arguments}
        async with self._outgoing.turn(view.channel):
            answer = await workspace.call(method, **message)
        self._cards.heed(view.channel.workspace, answer)
        return answer


def _reference(channel: Channel, ts: str) -> str:
    return f"{channel.workspace}/{channel.id}/{ts}"


def _ts_of(reference: str) -> str:
    return reference.rpartition("/")[2]
