"""Buttons that outlive the process: their custom id says which command they give and for which session, so that any
later run of the bot, on any shard, understands them. Runs nothing: a press becomes the client's event `panel_press`."""

import re
from collections.abc import Sequence
from typing import Any, Self

import discord

from adapters.chat.discord.permissions import INVITE
from adapters.chat.discord.render import fits_button
from bot.core.views import Button

_STYLES = {
    "stop": discord.ButtonStyle.danger,
    "keep": discord.ButtonStyle.primary,
    "launch": discord.ButtonStyle.success,
}

WATCH_HERE = Button("launch", "Watch here")
"""Opens the avatar inside Discord (`adapters.chat.discord.activity`)."""


class SessionButton(
    discord.ui.DynamicItem[discord.ui.Button[Any]], template=r"avatar:(?P<verb>[a-z]+(?: [a-z]+)?):(?P<id>\w+)"
):
    """A button of a panel or a notice."""

    def __init__(self, button: Button, session_id: str, *, disabled: bool = False) -> None:
        self.verb = button.verb
        self.session_id = session_id
        super().__init__(
            discord.ui.Button(
                label=button.label,
                style=_STYLES.get(button.verb, discord.ButtonStyle.secondary),
                custom_id=f"avatar:{button.verb}:{session_id}",
                disabled=disabled,
            )
        )

    @classmethod
    async def from_custom_id(
        cls, _interaction: discord.Interaction[Any], _item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """The button that was pressed."""
        return cls(Button(match["verb"], match["verb"]), match["id"])

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Hand the press on."""
        interaction.client.dispatch("panel_press", interaction, self.verb, self.session_id)


def is_of_a_session(custom_id: str) -> bool:
    """Whether a button with this id is one of ours, from this run or an earlier one."""
    return SessionButton.__discord_ui_compiled_template__.fullmatch(custom_id) is not None


def view_of(
    buttons: Sequence[Button],
    session_id: str,
    link: str | None,
    *,
    disabled: bool = False,
    offers_activity: bool = False,
) -> discord.ui.View | None:
    """The buttons under a message, None if there are none. A link takes the place of the button for `watch`, with
    `offers_activity` beside a button that opens the avatar inside Discord."""
    view = discord.ui.View(timeout=None)
    if offers_activity:
        view.add_item(SessionButton(WATCH_HERE, session_id, disabled=disabled))
    if link and fits_button(link):
        label = "Invite me" if link.startswith(INVITE) else "Watch"
        view.add_item(discord.ui.Button(style=discord.ButtonStyle.link, label=label, url=link))
        buttons = [button for button in buttons if button.verb != "watch"]
    for button in buttons:
        view.add_item(SessionButton(button, session_id, disabled=disabled))
    return view if view.children else None
