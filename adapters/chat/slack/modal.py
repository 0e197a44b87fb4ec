"""The start window: avatar, voice, mode, quality, speed and language, and the channel where it was opened without one.

Offered by the global shortcut and by `/avatar start choose`; a plain `/avatar start` starts at once. Its choices
come from what the catalogue remembers, because a window must be opened within 3 s (docs.slack.dev, trigger ids)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from adapters.chat.slack.blocks import Block, plain, section
from adapters.chat.slack.client import SlackError, SlackUnavailable
from adapters.chat.slack.outbox import Outbox, ReplyTarget
from adapters.chat.slack.strings import MODAL_TOO_LATE
from adapters.chat.slack.workspaces import Workspaces
from bot.commands.parser import AVATAR, Command, Usage
from bot.core import languages
from bot.core.errors import Refused
from bot.core.models import Mode
from bot.core.ports import CatalogueEntry
from bot.core.views import Reply, Visibility
from bot.facade import Bot

log = structlog.get_logger(__name__)

CALLBACK = "start_modal"
MAX_OPTIONS = 100
"""Options of a select (docs.slack.dev, static select)."""
MAX_VALUE_LENGTH = 150
"""Characters of an option's value (the same)."""

_CHOICES = {
    Mode.REPEAT: "Repeat: it says what you write",
    Mode.CHAT: "Chat: it answers what you write",
}


@dataclass(frozen=True, slots=True)
class ModalAnswer:
    """What was filled in; `errors` are sentences by the field they belong to."""

    channel: str
    command: Command
    errors: Mapping[str, str] = field(default_factory=dict)


class Modals:
    """Opens the window."""

    def __init__(self, bot: Bot, workspaces: Workspaces, outbox: Outbox) -> None:
        self._bot = bot
        self._workspaces = workspaces
        self._outbox = outbox

    @property
    def no_answers(self) -> str | None:
        """Why chat mode cannot be chosen; None if the avatar has something to answer with."""
        try:
            self._bot.sessions.services.require_answers()
        except Refused as refusal:
            return str(refusal)
        return None

    async def open(self, asker: ReplyTarget, trigger_id: str) -> None:
        """Show the window to whoever asked for it."""
        workspace = await self._workspaces.of(asker.channel.workspace)
        if workspace is None:
            return
        catalogue = self._bot.sessions.services.catalogue
        usage = self._bot.commands.usages[AVATAR, "start"]
        view = start_view(asker.channel.id, usage, catalogue.cached_avatars, catalogue.known_voices)
        try:
            await workspace.call("views.open", trigger_id=trigger_id, view=view)
        except (SlackError, SlackUnavailable) as error:
            log.info("the start window was not opened", error=str(error))
            if asker.channel.id:
                self._outbox.reply_ephemeral(asker, Reply(MODAL_TOO_LATE, Visibility.PRIVATE))


def start_view(
    channel: str, usage: Usage, avatars: Sequence[CatalogueEntry], voices: Sequence[CatalogueEntry]
) -> dict[str, Any]:
    """The window for `channel`, or for one to choose where it is empty. `usage` is how the command is typed."""
    blocks: list[Block] = []
    if channel:
        blocks.append(section(f"In <#{channel}>"))
    else:
        element: Block = {
            "type": "conversations_select",
            "action_id": "channel",
            "default_to_current_conversation": True,
            "filter": {"include": ["public", "private"], "exclude_bot_users": True},
        }
        blocks.append({"type": "input", "block_id": "channel", "label": plain("Channel"), "element": element})
    if avatars:
        blocks.append(_select("avatar", "Avatar", [(entry.id, entry.name) for entry in avatars]))
    if voices:
        blocks.append(_select("voice", "Voice", [(entry.id, entry.name) for entry in voices]))
    blocks.append(_select("mode", "Mode", [(mode.value, text) for mode, text in _CHOICES.items()]))
    blocks.append(_select("quality", "Quality", [(value, _spoken(value)) for value in usage.choices["quality"]]))
    if "speed" in usage.options:
        blocks.append(_select("speed", "Speed of speech", [(value, value) for value in usage.choices["speed"]]))
    if "language" in usage.options:
        blocks.append(_select("language", "Language", list(languages.OFFERED.items())))
    return {
        "type": "modal",
        "callback_id": CALLBACK,
        "private_metadata": channel,
        "title": plain("Start an avatar", 24),
        "submit": plain("Start", 24),
        "close": plain("Cancel", 24),
        "blocks": blocks,
    }


def read_submission(view: Mapping[str, Any], *, no_answers: str | None) -> ModalAnswer:
    """What was filled in, as a command. `no_answers`: why chat mode cannot be chosen, where that is so."""
    values = {
        action_id: state
        for actions in view["state"]["values"].values()
        for action_id, state in actions.items()
        if isinstance(state, Mapping)
    }
    options = {
        name: str(state["selected_option"]["value"])
        for name, state in values.items()
        if name != "channel" and state.get("selected_option")
    }
    channel = str(view.get("private_metadata") or values.get("channel", {}).get("selected_conversation") or "")
    errors = {}
    if options.get("mode") == Mode.CHAT and no_answers:
        errors["mode"] = no_answers.replace("`", "")
    return ModalAnswer(channel, Command(AVATAR, "start", "", options), errors)


def _spoken(value: str) -> str:
    return value.replace("_", " ").title()


def _select(name: str, label: str, choices: Sequence[tuple[str, str]]) -> Block:
    options = [
        {"text": plain(text or value), "value": value} for value, text in choices if 0 < len(value) <= MAX_VALUE_LENGTH
    ]
    element = {
        "type": "static_select",
        "action_id": name,
        "placeholder": plain("Normal"),
        "options": options[:MAX_OPTIONS],
    }
    return {"type": "input", "block_id": name, "label": plain(label), "optional": True, "element": element}
