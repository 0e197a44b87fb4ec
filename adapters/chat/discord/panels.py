"""How panels are posted, edited and looked at in Discord; when that happens is `adapters.chat.panel_updater`'s."""

from functools import partial
from operator import eq

import discord

from adapters.chat.discord import strings
from adapters.chat.discord.activity import Activity
from adapters.chat.discord.buttons import view_of
from adapters.chat.discord.closed_threads import may_be_written_in
from adapters.chat.discord.converters import PLATFORM
from adapters.chat.discord.render import embed_of
from adapters.chat.discord.rest import TRANSIENT_ERRORS, DiscordRest, is_passing
from adapters.chat.panel_updater import PanelUpdater
from adapters.chat.redraw import Drawn, NotDrawn
from bot.core.views import SessionView
from bot.facade import Bot
from bot.sessions.panel import INTERRUPT, SKIP, STOP, panel_of

_UNKNOWN_MESSAGE = 10008
_ERRORS = (discord.HTTPException, *TRANSIENT_ERRORS)


class Panels(PanelUpdater):
    """The panels in every server. A reference is the id of the message."""

    def __init__(self, bot: Bot, connection: DiscordRest, activity: Activity) -> None:
        super().__init__(PLATFORM, bot)
        self._connection = connection
        self._activity = activity

    def _looks_of(self, view: SessionView) -> dict[str, object]:
        buttons = self._view_of(view)
        return {"embed": _embed_of(view).to_dict(), "components": buttons.to_components() if buttons else []}

    def _is_reference(self, reference: str) -> bool:
        return reference.isdecimal()

    async def _post(self, view: SessionView, nonce: int, /) -> str:
        async def post(client: discord.Client) -> int:
            buttons = self._view_of(view) or discord.utils.MISSING
            return (await _place_of(view, client).send(embed=_embed_of(view), view=buttons, nonce=nonce)).id

        try:
            return str(await self._connection.request("panel", post))
        except _ERRORS as error:
            if isinstance(error, discord.Forbidden | discord.NotFound):
                # Nobody could see it or stop it, and it costs money.
                await self._sessions.end_in_channels(partial(eq, view.channel), strings.NOT_SHOWN)
            raise _not_drawn(error) from error

    async def _edit(self, view: SessionView, reference: str) -> None:
        async def edit(client: discord.Client) -> None:
            message = _place_of(view, client).get_partial_message(int(reference))
            await message.edit(embed=_embed_of(view), view=self._view_of(view))

        try:
            await self._connection.request("panel", edit)
        except _ERRORS as error:
            if not isinstance(error, discord.NotFound) or error.code != _UNKNOWN_MESSAGE:
                raise _not_drawn(error) from error
            if await self._is_open(view):
                raise NotDrawn(Drawn.DELETED, str(error)) from error

    def _view_of(self, view: SessionView) -> discord.ui.View | None:
        """The buttons; of a session that is over they are still there, and cannot be pressed."""
        offers_voice = self._sessions.services.outlets.offers_button(view.channel)
        panel, offers = panel_of(view, offers_voice=offers_voice), self._activity.is_offered
        if panel.buttons:
            return view_of(panel.buttons, view.session_id, panel.link, offers_activity=offers)
        # A press that was under way is answered only where the message still has the button.
        return view_of((INTERRUPT, SKIP, STOP), view.session_id, None, disabled=True, offers_activity=offers)

    async def _is_open(self, view: SessionView) -> bool:
        try:
            return await self._connection.request(
                "channel", partial(may_be_written_in, channel=view.channel), knows=int(view.channel.workspace)
            )
        except _ERRORS as error:
            raise _not_drawn(error) from error


def _not_drawn(error: Exception) -> NotDrawn:
    if isinstance(error, discord.NotFound):
        return NotDrawn(Drawn.GONE, str(error))
    return NotDrawn(Drawn.AGAIN if is_passing(error) else Drawn.NEVER, str(error) or repr(error))


def _place_of(view: SessionView, client: discord.Client) -> discord.PartialMessageable:
    return client.get_partial_messageable(int(view.channel.id), guild_id=int(view.channel.workspace))


def _embed_of(view: SessionView) -> discord.Embed:
    return embed_of(panel_of(view))
