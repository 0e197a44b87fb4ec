"""The panel of each session: one message, kept right in place, at most one edit every `PAUSE` seconds.

Each panel has a task that draws the newest view; what changes in between is drawn once. A panel is remembered in the
store, so that the next run of the bot finds it, and is forgotten when it has been drawn for the last time.
"""

import asyncio
import secrets
from functools import partial
from operator import eq

import discord
import structlog

from adapters.chat.discord import words
from adapters.chat.discord.actors import PLATFORM
from adapters.chat.discord.buttons import view_of
from adapters.chat.discord.closed_threads import may_be_written_in
from adapters.chat.discord.connection import PASSING, Connection
from adapters.chat.discord.render import embed_of
from bot.desk import Desk
from bot.errors import StoreError
from bot.model import PlacedPanel
from bot.panel import INTERRUPT, SKIP, STOP, panel_of
from bot.presentation import SessionView
from bot.tasks import TaskOwner

log = structlog.get_logger(__name__)

PAUSE = 2.0
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

    def __init__(self, desk: Desk, connection: Connection) -> None:
        self._desk = desk
        self._connection = connection
        self._panels: dict[str, _Placed] = {}
        self._tasks = TaskOwner()
        self._leaving = asyncio.Event()

    def show(self, view: SessionView) -> None:
        """Draw a session's panel as it is now, soon; posts it where there is none yet."""
        placed = self._panels.get(view.session_id)
        if placed is None:
            self._begin(_Placed(view))
        else:
            placed.view = view
            placed.change()

    async def restore(self) -> None:
        """Take up the panels that earlier runs left. Raises `StoreError`."""
        for kept in await self._desk.sessions.house.store.panels(PLATFORM):
            view = await self._desk.sessions.view(kept.session_id)
            if view is None:
                await self._desk.sessions.house.store.forget_panel(kept.session_id)
            elif kept.session_id not in self._panels:
                self._begin(_Placed(view, int(kept.reference)))

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
        self._tasks.start(self._keep(placed), name=f"panel of {placed.view.session_id}")

    async def _keep(self, placed: _Placed) -> None:
        session_id = placed.view.session_id
        try:
            await placed.changed.wait()
            while await self._draw(placed, placed.view):
                await self._rest()
                await placed.changed.wait()
        except StoreError as error:
            log.error("a panel could not be remembered", session=session_id, error=str(error))
        finally:
            placed.settle()
            self._panels.pop(session_id, None)

    async def _rest(self) -> None:
        """Wait for the pause between two edits, which ends early when the bot leaves."""
        pause = asyncio.ensure_future(self._desk.clock.sleep(PAUSE))
        leaving = asyncio.ensure_future(self._leaving.wait())
        try:
            await asyncio.wait({pause, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (pause, leaving):
                task.cancel()
            await asyncio.gather(pause, leaving, return_exceptions=True)

    async def _draw(self, placed: _Placed, view: SessionView) -> bool:
        """Bring the message up to date. False where it never changes again: session or place are gone."""
        looks = _looks_of(view)
        is_gone = False
        try:
            if looks != placed.drawn:
                await self._put(placed, view)
                placed.drawn = looks
        except PASSING as error:
            log.warning("a panel is not up to date; trying again", session=view.session_id, error=repr(error))
            return True
        except discord.HTTPException as error:
            log.warning("a panel could not be drawn", session=view.session_id, error=str(error))
            is_gone = isinstance(error, discord.NotFound)
            if placed.message_id is None and isinstance(error, discord.Forbidden | discord.NotFound):
                # Nobody could see it or stop it, and it costs money.
                await self._desk.sessions.leave_channels(partial(eq, view.channel), words.NOT_SHOWN)
        if placed.view is view:
            placed.settle()
        if not is_gone and not panel_of(view).is_over:
            return True
        await self._desk.sessions.house.store.forget_panel(view.session_id)
        return False

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
                placed.message_id, placed.nonce = None, secrets.randbits(62)
        if placed.message_id is None and not panel_of(view).is_over:
            placed.message_id = await self._connection.request("panel", post)
            await self._desk.sessions.house.store.place_panel(
                PLATFORM, PlacedPanel(view.session_id, str(placed.message_id))
            )


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
