"""The panels: one message for each session, drawn again when something changed, at most every two seconds.

Where they stand is kept in the database, so that they are found after a restart. A panel that Slack no longer lets us
draw is forgotten; one whose first posting got lost is recognised when Slack tells us of it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import structlog

from adapters.chat.slack.blocks import Wording, message_of_panel
from adapters.chat.slack.calls import SlackRefused, SlackUnreachable, Workspace
from adapters.chat.slack.lanes import Lanes
from bot.errors import StoreError
from bot.model import Channel, PlacedPanel
from bot.panel import panel_of
from bot.ports import Clock
from bot.presentation import SessionView
from bot.store.store import Store
from bot.tasks import TaskOwner

log = structlog.get_logger(__name__)

PAUSE = 2.0
"""Seconds between two drawings of one panel: Slack lets about one message a second into a channel, and the panel must
not take all of it (docs.slack.dev, rate limits)."""

WorkspaceOf = Callable[[str], Awaitable[Workspace | None]]
Undrawable = Callable[[Channel, str], None]


@dataclass(slots=True)
class Placed:
    """A panel: where it stands, what it should show and what it shows."""

    session_id: str
    channel: Channel | None = None
    ts: str | None = None
    wanted: SessionView | None = None
    shown: SessionView | None = None
    drawn: dict[str, object] | None = None
    drawn_at: float = float("-inf")
    posted: bool = False
    complained: bool = False
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None
    afterwards: list[Callable[[], None]] = field(default_factory=list)


class Panels:
    """The panels of every workspace."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        outgoing: Lanes,
        workspace_of: WorkspaceOf,
        wording: Wording,
        undrawable: Undrawable,
    ) -> None:
        """`outgoing`: what goes to a channel, in order. `undrawable` is told why a first panel cannot be posted."""
        self._store = store
        self._clock = clock
        self._outgoing = outgoing
        self._workspace_of = workspace_of
        self._wording = wording
        self._undrawable = undrawable
        self._placed: dict[str, Placed] = {}
        self._tasks = TaskOwner()
        self._leaving = False

    async def restore(self) -> list[str]:
        """Find the panels of the run before; returns their sessions, whose views are to be handed to `change`."""
        for panel in await self._store.panels("slack"):
            team, channel, ts = panel.reference.split("/")
            place = Channel("slack", team, channel)
            self._placed[panel.session_id] = Placed(panel.session_id, place, ts, posted=True)
        return list(self._placed)

    def change(self, view: SessionView) -> None:
        """Something a panel shows is different now."""
        placed = self._placed.get(view.session_id)
        if placed is None:
            if view.ended:
                return
            placed = self._placed[view.session_id] = Placed(view.session_id, view.channel)
        placed.channel = view.channel
        placed.wanted = view
        if view.ended or self._leaving:
            placed.hurry.set()
        if placed.task is None or placed.task.done():
            placed.task = self._tasks.start(self._keep_drawn(placed), name=f"slack panel {view.session_id}")

    async def forget(self, session_id: str) -> None:
        """A panel that has been drawn for the last time, or whose session nobody knows any more."""
        placed = self._placed.pop(session_id, None)
        for follow in placed.afterwards if placed else ():
            follow()
        await self._store.forget_panel(session_id)

    def after_the_last(self, session_id: str, follow: Callable[[], None]) -> None:
        """Call `follow` once the panel has been drawn for the last time, so that it is right when people read on."""
        placed = self._placed.get(session_id)
        if placed is None:
            follow()
        else:
            placed.afterwards.append(follow)

    def found(self, channel: Channel, session_id: str, ts: str) -> None:
        """Slack tells of a panel: the one whose posting was never answered, perhaps."""
        placed = self._placed.get(session_id)
        if placed is None or placed.ts is not None or placed.channel != channel:
            return
        placed.ts, placed.drawn = ts, None
        self._tasks.start(self._remember(placed), name=f"slack panel {session_id} found")
        if placed.wanted is not None:
            self.change(placed.wanted)

    def ts_of(self, session_id: str) -> str | None:
        """The message of a session's panel, for what is written below it."""
        placed = self._placed.get(session_id)
        return placed.ts if placed else None

    async def finish(self) -> None:
        """Draw what is still to be drawn, at once."""
        self._leaving = True
        tasks = [placed.task for placed in self._placed.values() if placed.task is not None]
        for placed in self._placed.values():
            placed.hurry.set()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Leave every panel as it is."""
        await self._tasks.close()

    async def _keep_drawn(self, placed: Placed) -> None:
        """Draw until the panel shows what it should, with a pause between the drawings."""
        while placed.wanted is not None and placed.wanted != placed.shown and (placed.ts or not placed.posted):
            await self._pause(placed)
            done = asyncio.Event()
            self._outgoing.put(placed.channel, partial(self._draw_in_turn, placed, done))
            await done.wait()

    async def _pause(self, placed: Placed) -> None:
        left = placed.drawn_at + PAUSE - self._clock.monotonic()
        if left <= 0 or placed.hurry.is_set():
            return
        timer = self._clock.call_later(left, placed.hurry.set)
        await placed.hurry.wait()
        timer.cancel()
        if not self._leaving and not (placed.wanted and placed.wanted.ended):
            placed.hurry.clear()

    async def _draw_in_turn(self, placed: Placed, done: asyncio.Event) -> None:
        try:
            await self._draw(placed)
        except StoreError as error:
            log.error("where a panel stands could not be kept", error=str(error))
        finally:
            placed.drawn_at = self._clock.monotonic()
            done.set()

    async def _draw(self, placed: Placed) -> None:
        view, channel = placed.wanted, placed.channel
        if view is None or channel is None:
            return
        placed.shown = view
        workspace = await self._workspace_of(channel.workspace)
        panel = panel_of(view)
        message = message_of_panel(panel, view.session_id, self._wording)
        try:
            if workspace is None:
                log.info("the panel of a workspace without the app stays as it is", session=view.session_id)
            elif placed.ts is None:
                await self._post(placed, workspace, channel, message)
                placed.drawn = message
            elif message != placed.drawn:
                await workspace.call("chat.update", channel=channel.id, ts=placed.ts, **message)
                placed.drawn = message
        except SlackRefused as refusal:
            log.info("a panel cannot be drawn", session=view.session_id, error=refusal.error)
            if placed.ts is None:
                # Surely not posted, so the next change may try again: somebody may have invited the app.
                placed.posted = False
                if not placed.complained:
                    self._undrawable(channel, refusal.error)
                placed.complained = True
        except SlackUnreachable as error:
            log.warning("a panel was not drawn", session=view.session_id, error=str(error))
        if panel.is_over:
            await self.forget(view.session_id)

    async def _post(self, placed: Placed, workspace: Workspace, channel: Channel, message: dict[str, object]) -> None:
        """Post the panel. Once only: where the answer is lost, the message may stand in the channel all the same."""
        placed.posted = True
        quiet = {"unfurl_links": False, "unfurl_media": False}
        answer = await workspace.call("chat.postMessage", channel=channel.id, **message, **quiet)
        placed.ts = str(answer["ts"])
        await self._remember(placed)

    async def _remember(self, placed: Placed) -> None:
        assert placed.channel is not None  # noqa: S101 - it was posted somewhere
        reference = f"{placed.channel.workspace}/{placed.channel.id}/{placed.ts}"
        await self._store.place_panel("slack", PlacedPanel(placed.session_id, reference))
