"""The panel of each session, on every platform: one message, kept right, drawn at most every `UPDATE_INTERVAL` seconds.

Each panel has a task that draws the newest view; what changes in between is drawn once. Where a panel stands is
remembered in the store, so that the next run of the bot finds it, and forgotten once it has been drawn for the last
time. What a platform does not take for now is drawn again later (`adapters.chat.redraw`). Knows no platform: a subclass
posts and edits, and says what a refusal means.
"""

import asyncio
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

import structlog
from cachetools import FIFOCache

from adapters.chat.redraw import RETRY_DELAYS, Drawn, NotDrawn
from bot.core.backoff import Backoff
from bot.core.errors import StoreError
from bot.core.models import PanelMessage
from bot.core.tasks import TaskSet, cancel_and_wait
from bot.core.unexpected import report_unexpected
from bot.core.views import SessionView
from bot.facade import Bot

log = structlog.get_logger(__name__)

UPDATE_INTERVAL = 2.0
"""Seconds between two drawings of a panel, its last one excepted. Discord lets a bot edit about five times in five
seconds, for everything in a channel together; Slack lets about one message a second into a channel, and the panel must
not take all of it (docs.slack.dev, rate limits)."""

MAX_PUT_OFF = 4
"""Intervals for which a drawing is put off while too many messages are being taken in (`Precedence.is_crowded`)."""

MAX_LEFT = 10_000
"""Sessions that went to other processes of which that is remembered."""


class PanelState:
    """One panel: what it should show, what it shows, and where it stands.

    reference: where, in the platform's words; None while that is not known. is_kept: the store knows it. was_sought:
    the store was asked for it, as another process may have had the session before.
    may_stand: a posting was not answered, so it is not repeated. nonce: the same for each attempt at one posting.
    keeping: the task that draws it. looks: as it was drawn last. hurry: the next drawing waits no longer. afterwards:
    called after the last one.
    """

    def __init__(self, view: SessionView, reference: str | None = None) -> None:
        self.view = view
        self.reference = reference
        self.is_kept = reference is not None
        self.was_sought = reference is not None
        self.may_stand = False
        self.nonce = secrets.randbits(62)
        self.looks: dict[str, object] | None = None
        self.backoff = Backoff(RETRY_DELAYS)
        self.changed, self.is_right, self.hurry = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.afterwards: list[Callable[[], None]] = []
        self.keeping: asyncio.Task[None] | None = None
        self.change()

    def change(self) -> None:
        """Something is to be drawn."""
        self.changed.set()
        self.is_right.clear()

    def go_on(self) -> None:
        """What was to come after the last drawing comes now."""
        afterwards, self.afterwards = self.afterwards, []
        for follow in afterwards:
            follow()


class PanelUpdater(ABC):
    """Every panel of one platform in this process."""

    def __init__(self, platform: str, bot: Bot) -> None:
        self._platform = platform
        self._clock = bot.clock
        self._sessions = bot.sessions
        self._store = bot.sessions.services.store
        self._precedence = bot.sessions.services.precedence
        self._panels: dict[str, PanelState] = {}
        self._left: FIFOCache[str, None] = FIFOCache(MAX_LEFT)
        self._tasks = TaskSet()
        self._is_leaving = False
        self._restoring: asyncio.Task[None] | None = None
        self._taken_up = asyncio.Event()

    # --- what a platform does ----------------------------------------------------------------------------------------

    @abstractmethod
    def _looks_of(self, view: SessionView) -> dict[str, object]:
        """What the message would show: it is edited only where that is different."""

    @abstractmethod
    def _is_reference(self, reference: str) -> bool:
        """Whether it says where a panel stands; what the store has may be of another version."""

    @abstractmethod
    async def _post(self, view: SessionView, nonce: int, /) -> str:
        """Post the panel and return where it stands. Raises `NotDrawn`, `StoreError`."""

    @abstractmethod
    async def _edit(self, view: SessionView, reference: str) -> None:
        """Draw the panel where it stands. Raises `NotDrawn`, `StoreError`."""

    # --- every panel -------------------------------------------------------------------------------------------------

    def show(self, view: SessionView) -> None:
        """Draw a session's panel as it is now, soon; posts it where there is none yet."""
        panel = self._panels.get(view.session_id)
        if panel is not None:
            panel.view = view
            panel.change()
            if view.is_last:
                panel.hurry.set()
        elif view.session_id in self._left:
            # Told before it was left, and heard of afterwards.
            return
        elif not (view.is_last and self._taken_up.is_set()):
            self._begin(PanelState(view))

    def restore(self) -> None:
        """Begin, once, to take up the panels that earlier runs left; until that is done none is posted."""
        if self._restoring is None:
            self._restoring = self._tasks.create_task(self._restore(), name=f"{self._platform} panels of earlier runs")

    def take_up_left(self, claimed: Iterable[str] = ()) -> None:
        """Take up the panels that another process has left: of sessions that are this one's now, by their ids, and of
        those that ended before it had drawn them for the last time. Nobody else draws them any more."""
        for session_id in claimed:
            self._left.pop(session_id, None)
        if self._restoring is not None:
            self._tasks.create_task(self._restore(), name=f"{self._platform} panels of another process")

    def redraw(self) -> None:
        """Draw every panel once more, whatever was drawn before."""
        for panel in self._panels.values():
            panel.looks = None
            panel.change()

    async def let_go(self, session_id: str) -> None:
        """Draw the panel of a session no more: another process does."""
        self._left[session_id] = None
        panel = self._panels.get(session_id)
        if panel is not None:
            await cancel_and_wait(panel.keeping)

    def after_the_last(self, session_id: str, follow: Callable[[], None]) -> None:
        """Call `follow` once the panel has been drawn for the last time, so that it is right when people read on; or
        once that has failed for now."""
        panel = self._panels.get(session_id)
        if panel is None:
            follow()
        else:
            panel.afterwards.append(follow)

    def hurry(self) -> None:
        """The bot is leaving: draw what has changed without a pause."""
        self._is_leaving = True
        for panel in self._panels.values():
            panel.hurry.set()

    async def drained(self) -> None:
        """Wait until every panel shows what it should. Returns at once while none may be drawn yet."""
        if self._taken_up.is_set():
            for panel in list(self._panels.values()):
                await panel.is_right.wait()

    async def close(self) -> None:
        """Leave every panel as it is."""
        await self._tasks.close()

    # --- panels of earlier runs --------------------------------------------------------------------------------------

    async def _restore(self) -> None:
        """Try until it is done, since no panel is posted before."""
        backoff = Backoff(RETRY_DELAYS)
        while True:
            try:
                for kept in await self._store.panels.placed_on(self._platform):
                    await self._take_up(kept)
            except StoreError as error:
                log.error("panels of earlier runs not found yet", platform=self._platform, error=str(error))
            except Exception as error:  # noqa: BLE001 - no panel would be drawn any more
                report_unexpected("panels of earlier runs not found yet", error, platform=self._platform)
            else:
                self._taken_up.set()
                return
            await self._clock.sleep(backoff.next())

    async def _take_up(self, kept: PanelMessage) -> None:
        """Keep the panel right if its session is known, else forget it. May be done twice. Raises `StoreError`."""
        view = await self._sessions.view(kept.session_id)
        if view is None or not self._is_reference(kept.reference):
            # Where nobody can tell where it stands, a session that goes on is given a new one.
            log.info("forgetting a panel", session=kept.session_id, reference=kept.reference)
            await self._store.panels.forget(kept.session_id)
        elif (panel := self._panels.get(kept.session_id)) is not None:
            panel.reference, panel.is_kept = kept.reference, True
        else:
            self._begin(PanelState(view, kept.reference))

    # --- one panel ---------------------------------------------------------------------------------------------------

    def _begin(self, panel: PanelState) -> None:
        session_id = panel.view.session_id
        self._panels[session_id] = panel
        if self._is_leaving:
            panel.hurry.set()
        panel.keeping = self._tasks.create_task(self._keep(panel), name=f"{self._platform} panel {session_id}")

    async def _keep(self, panel: PanelState) -> None:
        try:
            await self._taken_up.wait()
            while await self._bring_up_to_date(panel):
                pass
        finally:
            self._panels.pop(panel.view.session_id, None)
            panel.is_right.set()
            panel.go_on()

    async def _bring_up_to_date(self, panel: PanelState) -> bool:
        """Wait for a change and draw it. False if nothing is to be drawn any more: the session or its place is over,
        or the bot leaves and the next run goes on."""
        await panel.changed.wait()
        await self._put_off(panel)
        panel.changed.clear()
        view = panel.view
        drawn, is_over = await self._draw(panel, view), view.is_last
        if is_over:
            # People are told how it ended, even though the panel cannot say so yet.
            panel.go_on()
        if drawn is Drawn.AGAIN:
            panel.changed.set()
            if not self._is_leaving:
                await self._rest(panel, panel.backoff.next())
            return not self._is_leaving
        panel.backoff.reset()
        if drawn is Drawn.GONE or (is_over and drawn is not Drawn.IN_DOUBT):
            await self._forget(view.session_id)
            return False
        if not panel.changed.is_set():
            panel.is_right.set()
        await self._rest(panel, UPDATE_INTERVAL)
        return True

    async def _put_off(self, panel: PanelState) -> None:
        """Draw later where messages would be held up by it; but post it, and say how it ended, at once."""
        for _ in range(MAX_PUT_OFF):
            must_be_drawn = panel.reference is None or panel.view.is_last or self._is_leaving
            if must_be_drawn or not self._precedence.is_crowded:
                return
            await self._rest(panel, UPDATE_INTERVAL)

    async def _rest(self, panel: PanelState, seconds: float) -> None:
        """Wait before the next drawing; not when the session is over or the bot leaves."""
        timer = self._clock.call_later(seconds, panel.hurry.set)
        try:
            await panel.hurry.wait()
        finally:
            timer.cancel()
        if not self._is_leaving:
            panel.hurry.clear()

    async def _draw(self, panel: PanelState, view: SessionView) -> Drawn:
        """Bring the message up to date, and remember where it is."""
        try:
            looks = self._looks_of(view)
            if looks != panel.looks:
                await self._put(panel, view)
                panel.looks = looks
            if panel.reference is not None and not panel.is_kept:
                await self._store.panels.place(self._platform, PanelMessage(view.session_id, panel.reference))
                panel.is_kept = True
        except NotDrawn as refusal:
            outcome = refusal.drawn.name.lower()
            log.warning("a panel was not drawn", session=view.session_id, error=str(refusal), outcome=outcome)
            return refusal.drawn
        except StoreError as error:
            log.error("a panel could not be remembered; trying again", session=view.session_id, error=str(error))
            return Drawn.AGAIN
        except Exception as error:  # noqa: BLE001 - a panel that nobody keeps any more would be posted a second time
            report_unexpected("a panel was not drawn: unexpected error", error, session=view.session_id)
            return Drawn.AGAIN
        return Drawn.DONE

    async def _put(self, panel: PanelState, view: SessionView) -> None:
        """Edit the message, or post it where there is none. Raises `NotDrawn`, `StoreError`."""
        if panel.reference is None and not panel.was_sought:
            await self._seek(panel)
        if panel.reference is not None:
            try:
                await self._edit(view, panel.reference)
            except NotDrawn as refusal:
                if refusal.drawn is not Drawn.DELETED:
                    raise
                # A session that goes on needs another one.
                panel.reference, panel.is_kept, panel.nonce = None, False, secrets.randbits(62)
        if panel.reference is None and panel.may_stand:
            raise NotDrawn(Drawn.IN_DOUBT, "it may stand where nobody knows")
        if panel.reference is None and not view.is_last:
            try:
                panel.reference = await self._post(view, panel.nonce)
            except NotDrawn as refusal:
                panel.may_stand = refusal.drawn is Drawn.IN_DOUBT
                if panel.may_stand and panel.reference is not None:
                    # The platform told of it before the answer was lost.
                    raise NotDrawn(Drawn.AGAIN, str(refusal)) from refusal
                raise

    async def _seek(self, panel: PanelState) -> None:
        kept = await self._store.panels.of_session(panel.view.session_id)
        panel.was_sought = True
        if panel.reference is None and kept is not None and self._is_reference(kept.reference):
            panel.reference, panel.is_kept = kept.reference, True

    async def _forget(self, session_id: str) -> None:
        try:
            await self._store.panels.forget(session_id)
        except StoreError as error:
            # The next run draws it once more and forgets it then.
            log.error("a panel could not be forgotten", session=session_id, error=str(error))
