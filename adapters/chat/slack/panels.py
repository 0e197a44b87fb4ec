"""The panels: one message for each session, drawn again when something changed, at most every two seconds.

Where they stand is kept in the database, so that they are found after a restart. What Slack does not take for now is
drawn again later (`adapters.chat.redraw`); a panel that it no longer lets us draw is forgotten; one whose first posting
got lost is recognised when Slack tells us of it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import structlog

from adapters.chat.kept_panels import ViewOf, take_up_kept_panels
from adapters.chat.keyed_queue import KeyedTaskQueue
from adapters.chat.redraw import RETRY_DELAYS, Drawn
from adapters.chat.slack.blocks import CommandRenamer, message_of_panel
from adapters.chat.slack.client import SlackError, SlackUnavailable, WorkspaceClient, drawn_after
from bot.core.backoff import Backoff
from bot.core.errors import StoreError
from bot.core.models import Channel, PanelMessage
from bot.core.ports import Clock
from bot.core.tasks import TaskSet
from bot.core.views import SessionView
from bot.sessions.panel import panel_of
from bot.store.store import Store

log = structlog.get_logger(__name__)

UPDATE_INTERVAL = 2.0
"""Seconds between two drawings of one panel: Slack lets about one message a second into a channel, and the panel must
not take all of it (docs.slack.dev, rate limits)."""

WorkspaceOf = Callable[[str], Awaitable[WorkspaceClient | None]]
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
    kept: bool = False
    complained: bool = False
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None
    afterwards: list[Callable[[], None]] = field(default_factory=list)
    again: Backoff = field(default_factory=lambda: Backoff(RETRY_DELAYS))


class Panels:
    """The panels of every workspace."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        outgoing: KeyedTaskQueue,
        workspace_of: WorkspaceOf,
        wording: CommandRenamer,
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
        self._tasks = TaskSet()
        self._leaving = False
        self._restoring: asyncio.Task[None] | None = None
        self._taken_up = asyncio.Event()

    def restore(self, view_of: ViewOf) -> None:
        """Begin to take up the panels of the run before; until that is done none is posted.

        Only once the app has signed in: before, nobody knows the workspaces. Harmless when it was begun already.
        """
        if self._restoring is None:
            self._restoring = self._tasks.create_task(self._restore(view_of), name="slack panels of the run before")

    async def _restore(self, view_of: ViewOf) -> None:
        await take_up_kept_panels("slack", self._store, self._clock, view_of, self._take_up)
        self._taken_up.set()

    def _take_up(self, view: SessionView, reference: str) -> None:
        team, channel, ts = reference.split("/")
        placed = self._placed.setdefault(view.session_id, Placed(view.session_id))
        placed.channel, placed.ts, placed.posted, placed.kept = Channel("slack", team, channel), ts, True, True
        self.change(placed.wanted or view)

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
            placed.task = self._tasks.create_task(self._keep_drawn(placed), name=f"slack panel {view.session_id}")

    async def _forget(self, placed: Placed) -> None:
        """It has been drawn for the last time."""
        self._placed.pop(placed.session_id, None)
        self._go_on(placed)
        await self._store.forget_panel(placed.session_id)

    @staticmethod
    def _go_on(placed: Placed) -> None:
        """What was to come after the last drawing comes now."""
        afterwards, placed.afterwards = placed.afterwards, []
        for follow in afterwards:
            follow()

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
        if placed.wanted is not None:
            self.change(placed.wanted)

    def ts_of(self, session_id: str) -> str | None:
        """The message of a session's panel, for what is written below it."""
        placed = self._placed.get(session_id)
        return placed.ts if placed else None

    async def finish(self) -> None:
        """Draw what is still to be drawn, at once."""
        self._leaving = True
        if not self._taken_up.is_set():
            return
        tasks = [placed.task for placed in self._placed.values() if placed.task is not None]
        for placed in self._placed.values():
            placed.hurry.set()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Leave every panel as it is."""
        await self._tasks.close()

    async def _keep_drawn(self, placed: Placed) -> None:
        """Draw until the panel shows what it should, with a pause between the drawings."""
        await self._taken_up.wait()
        pause = UPDATE_INTERVAL
        while self._is_behind(placed):
            await self._pause(placed, pause)
            if await self._draw_in_turn(placed) is not Drawn.AGAIN:
                placed.again.reset()
                pause = UPDATE_INTERVAL
            elif self._leaving:
                # The row stays, so the next run goes on.
                return
            else:
                pause = placed.again.next()
                placed.hurry.clear()

    @staticmethod
    def _is_behind(placed: Placed) -> bool:
        return (
            placed.wanted is not None
            and (placed.wanted != placed.shown or (placed.ts is not None and not placed.kept))
            and (placed.ts is not None or not placed.posted)
        )

    async def _pause(self, placed: Placed, seconds: float) -> None:
        left = placed.drawn_at + seconds - self._clock.monotonic()
        if left <= 0 or placed.hurry.is_set():
            return
        timer = self._clock.call_later(left, placed.hurry.set)
        await placed.hurry.wait()
        timer.cancel()
        if not self._leaving and not (placed.wanted and placed.wanted.ended):
            placed.hurry.clear()

    async def _draw_in_turn(self, placed: Placed) -> Drawn:
        """Draw behind what goes out to the channel already."""
        drawn: asyncio.Future[Drawn] = asyncio.get_running_loop().create_future()
        if not self._outgoing.submit(placed.channel, partial(self._draw_now, placed, drawn)):
            return Drawn.AGAIN
        return await drawn

    async def _draw_now(self, placed: Placed, drawn: asyncio.Future[Drawn]) -> None:
        outcome = Drawn.AGAIN
        try:
            outcome = await self._bring_up_to_date(placed)
        except StoreError as error:
            log.error("could not save where a panel is; trying again", error=str(error))
        finally:
            placed.drawn_at = self._clock.monotonic()
            if not drawn.done():
                drawn.set_result(outcome)

    async def _bring_up_to_date(self, placed: Placed) -> Drawn:
        """Draw and remember. Raises `StoreError`."""
        view = placed.wanted
        if view is None or placed.channel is None:
            return Drawn.NEVER
        outcome = Drawn.DONE
        if view != placed.shown:
            outcome = await self._draw(placed, placed.channel, view)
        if outcome is not Drawn.AGAIN:
            placed.shown = view
        elif view.ended:
            # People are told how it ended, even though the panel cannot say so yet.
            self._go_on(placed)
        if placed.ts is not None and not placed.kept:
            await self._remember(placed)
        if outcome is not Drawn.AGAIN and view.ended:
            await self._forget(placed)
        return outcome

    async def _draw(self, placed: Placed, channel: Channel, view: SessionView) -> Drawn:
        workspace = await self._workspace_of(channel.workspace)
        if workspace is None:
            log.info("the panel of a workspace without the app stays as it is", session=view.session_id)
            return Drawn.NEVER
        message = message_of_panel(panel_of(view), view.session_id, self._wording)
        try:
            if placed.ts is None:
                await self._post(placed, workspace, channel, message)
                placed.drawn = message
            elif message != placed.drawn:
                await workspace.call("chat.update", channel=channel.id, ts=placed.ts, **message)
                placed.drawn = message
        except SlackError as refusal:
            return self._refused(placed, channel, view, refusal)
        except SlackUnavailable as error:
            log.warning("a panel was not drawn", session=view.session_id, error=str(error))
            # A panel that may stand in the channel is not posted again: Slack tells us of it (`found`).
            return Drawn.NEVER if placed.ts is None else drawn_after(error)
        return Drawn.DONE

    def _refused(self, placed: Placed, channel: Channel, view: SessionView, refusal: SlackError) -> Drawn:
        log.info("a panel cannot be drawn", session=view.session_id, error=refusal.error)
        drawn = drawn_after(refusal)
        if placed.ts is None:
            # Surely not posted, so the next change may try again: somebody may have invited the app.
            placed.posted = False
            if drawn is Drawn.NEVER and not placed.complained:
                self._undrawable(channel, refusal.error)
                placed.complained = True
        return drawn

    async def _post(
        self, placed: Placed, workspace: WorkspaceClient, channel: Channel, message: dict[str, object]
    ) -> None:
        """Post the panel. Once only: where the answer is lost, the message may stand in the channel all the same."""
        placed.posted = True
        quiet = {"unfurl_links": False, "unfurl_media": False}
        answer = await workspace.call("chat.postMessage", channel=channel.id, **message, **quiet)
        placed.ts = str(answer["ts"])

    async def _remember(self, placed: Placed) -> None:
        assert placed.channel is not None  # noqa: S101 - it was posted somewhere
        reference = f"{placed.channel.workspace}/{placed.channel.id}/{placed.ts}"
        await self._store.place_panel("slack", PanelMessage(placed.session_id, reference))
        placed.kept = True
