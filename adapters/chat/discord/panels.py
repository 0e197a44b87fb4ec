"""The panel of each session: one message, kept right in place, at most one edit every `UPDATE_INTERVAL` seconds.

Each panel has a task that draws the newest view; what changes in between is drawn once. A panel is remembered in the
store, so that the next run of the bot finds it, and is forgotten when it has been drawn for the last time. What Discord
does not take for now is drawn again later (`adapters.chat.redraw`).
"""

import asyncio
import secrets
from functools import partial
from operator import eq

import discord
import structlog

from adapters.chat.discord import strings
from adapters.chat.discord.buttons import view_of
from adapters.chat.discord.closed_threads import may_be_written_in
from adapters.chat.discord.converters import PLATFORM
from adapters.chat.discord.render import embed_of
from adapters.chat.discord.rest import TRANSIENT_ERRORS, DiscordRest, is_passing
from adapters.chat.kept_panels import take_up_kept_panels
from adapters.chat.redraw import RETRY_DELAYS, Drawn
from bot.core.backoff import Backoff
from bot.core.errors import StoreError
from bot.core.models import PanelMessage
from bot.core.tasks import TaskSet
from bot.core.unexpected import report_unexpected
from bot.core.views import SessionView
from bot.facade import Bot
from bot.sessions.panel import INTERRUPT, SKIP, STOP, panel_of

log = structlog.get_logger(__name__)

UPDATE_INTERVAL = 2.0
"""Seconds between two edits of a panel: Discord lets a bot edit about five times in five seconds, for everything in a
channel together."""

_UNKNOWN_MESSAGE = 10008


class _Placed:
    """One panel: what is to be shown, and where it stands."""

    def __init__(self, view: SessionView, message_id: int | None = None) -> None:
        self.view = view
        self.message_id = message_id
        self.changed = asyncio.Event()
        self.is_right = asyncio.Event()
        self.change()
        self.drawn: dict[str, object] | None = None
        self.is_kept = message_id is not None
        self.again = Backoff(RETRY_DELAYS)
        self.nonce = secrets.randbits(62)

    def change(self) -> None:
        """Something is to be drawn."""
        self.changed.set()
        self.is_right.clear()

    def settle(self) -> None:
        """Nothing is to be drawn any more."""
        self.changed.clear()
        self.is_right.set()


class Panels:
    """Every panel of this process."""

    def __init__(self, bot: Bot, connection: DiscordRest) -> None:
        self._bot = bot
        self._connection = connection
        self._panels: dict[str, _Placed] = {}
        self._tasks = TaskSet()
        self._leaving = asyncio.Event()
        self._taken_up = asyncio.Event()

    def show(self, view: SessionView) -> None:
        """Draw a session's panel as it is now, soon; posts it where there is none yet."""
        placed = self._panels.get(view.session_id)
        if placed is None:
            self._begin(_Placed(view))
        else:
            placed.view = view
            placed.change()

    def restore(self) -> None:
        """Begin to take up the panels that earlier runs left; until that is done none is posted."""
        self._tasks.create_task(self._restore(), name="panels of the run before")

    async def _restore(self) -> None:
        store = self._bot.sessions.services.store
        await take_up_kept_panels(PLATFORM, store, self._bot.clock, self._bot.sessions.view, self._take_up)
        self._taken_up.set()

    def _take_up(self, view: SessionView, reference: str) -> None:
        message_id = int(reference)
        if (placed := self._panels.get(view.session_id)) is not None:
            placed.message_id, placed.is_kept = message_id, True
        else:
            self._begin(_Placed(view, message_id))

    def redraw(self) -> None:
        """Draw every panel once more, whatever was drawn before."""
        for placed in self._panels.values():
            placed.drawn = None
            placed.change()

    async def close(self) -> None:
        """Stop keeping the panels."""
        await self._tasks.close()

    def hurry(self) -> None:
        """The bot is leaving: draw what has changed without a pause."""
        self._leaving.set()

    async def drained(self) -> None:
        """Wait until every panel shows what it should."""
        for placed in list(self._panels.values()):
            await placed.is_right.wait()

    # --- one panel ---------------------------------------------------------------------------------------------------

    def _begin(self, placed: _Placed) -> None:
        self._panels[placed.view.session_id] = placed
        self._tasks.create_task(self._keep(placed), name=f"panel of {placed.view.session_id}")

    async def _keep(self, placed: _Placed) -> None:
        try:
            await self._taken_up.wait()
            while await self._bring_up_to_date(placed):
                pass
        finally:
            placed.settle()
            self._panels.pop(placed.view.session_id, None)

    async def _bring_up_to_date(self, placed: _Placed) -> bool:
        """Wait for a change and draw it. False if nothing is to be drawn any more: the session or its place is over,
        or the bot leaves and the next run goes on."""
        await placed.changed.wait()
        view = placed.view
        drawn, is_gone = await self._draw(placed, view)
        if drawn is Drawn.AGAIN:
            if self._leaving.is_set():
                return False
            await self._rest(placed.again.next())
            return True
        placed.again.reset()
        if placed.view is view:
            placed.settle()
        if is_gone or panel_of(view).is_over:
            await self._forget(view.session_id)
            return False
        await self._rest(UPDATE_INTERVAL)
        return True

    async def _rest(self, seconds: float) -> None:
        """Wait before the next edit, or attempt; not when the bot leaves."""
        pause = asyncio.ensure_future(self._bot.clock.sleep(seconds))
        leaving = asyncio.ensure_future(self._leaving.wait())
        try:
            await asyncio.wait({pause, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (pause, leaving):
                task.cancel()
            await asyncio.gather(pause, leaving, return_exceptions=True)

    async def _draw(self, placed: _Placed, view: SessionView) -> tuple[Drawn, bool]:
        """Bring the message up to date. Returns what became of it, and whether its place is gone."""
        looks = _looks_of(view)
        try:
            if looks != placed.drawn:
                await self._put(placed, view)
                placed.drawn = looks
            await self._remember(placed)
        except (discord.HTTPException, *TRANSIENT_ERRORS) as error:
            passes = is_passing(error)
            what = "a panel is not up to date; trying again" if passes else "a panel could not be drawn"
            log.warning(what, session=view.session_id, error=str(error) or repr(error))
            if placed.message_id is None and isinstance(error, discord.Forbidden | discord.NotFound):
                # Nobody could see it or stop it, and it costs money.
                await self._bot.sessions.end_in_channels(partial(eq, view.channel), strings.NOT_SHOWN)
            return (Drawn.AGAIN if passes else Drawn.NEVER), isinstance(error, discord.NotFound)
        except StoreError as error:
            log.error("a panel could not be remembered; trying again", session=view.session_id, error=str(error))
            return Drawn.AGAIN, False
        except Exception as error:  # noqa: BLE001 - a panel that nobody keeps any more would be posted a second time
            report_unexpected("a panel was not drawn: unexpected error", error, session=view.session_id)
            return Drawn.AGAIN, False
        return Drawn.DONE, False

    async def _remember(self, placed: _Placed) -> None:
        if placed.message_id is not None and not placed.is_kept:
            panel = PanelMessage(placed.view.session_id, str(placed.message_id))
            await self._bot.sessions.services.store.place_panel(PLATFORM, panel)
            placed.is_kept = True

    async def _forget(self, session_id: str) -> None:
        try:
            await self._bot.sessions.services.store.forget_panel(session_id)
        except StoreError as error:
            # The next run draws it once more and forgets it then.
            log.error("a panel could not be forgotten", session=session_id, error=str(error))

    async def _put(self, placed: _Placed, view: SessionView) -> None:
        channel_id, guild_id = int(view.channel.id), int(view.channel.workspace)

        async def edit(client: discord.Client) -> None:
            message = client.get_partial_messageable(channel_id, guild_id=guild_id).get_partial_message(
                placed.message_id or 0
            )
            await message.edit(embed=_embed_of(view), view=_view_of(view))

        async def post(client: discord.Client) -> int:
            target = client.get_partial_messageable(channel_id, guild_id=guild_id)
            buttons = _view_of(view) or discord.utils.MISSING
            message = await target.send(embed=_embed_of(view), view=buttons, nonce=placed.nonce)
            return message.id

        if placed.message_id is not None:
            try:
                await self._connection.request("panel", edit)
            except discord.NotFound as error:
                if error.code != _UNKNOWN_MESSAGE:
                    raise
                if not await self._connection.request("channel", partial(may_be_written_in, channel=view.channel)):
                    return
                # Somebody deleted it. A session that goes on needs one.
                placed.message_id, placed.nonce, placed.is_kept = None, secrets.randbits(62), False
        if placed.message_id is None and not panel_of(view).is_over:
            placed.message_id = await self._connection.request("panel", post)


def _embed_of(view: SessionView) -> discord.Embed:
    return embed_of(panel_of(view))


def _view_of(view: SessionView) -> discord.ui.View | None:
    """The buttons; of a session that is over they are still there, and cannot be pressed."""
    panel = panel_of(view)
    if panel.buttons:
        return view_of(panel.buttons, view.session_id, panel.link)
    return view_of((INTERRUPT, SKIP, STOP), view.session_id, None, disabled=True)


def _looks_of(view: SessionView) -> dict[str, object]:
    buttons = _view_of(view)
    return {"embed": _embed_of(view).to_dict(), "components": buttons.to_components() if buttons else []}
