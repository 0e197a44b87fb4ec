"""How replies and panels look in Slack: Block Kit and the plain text that stands in for it in notifications.

Pure rendering. Everything that people wrote is escaped here, once, and shown verbatim, so that quoting somebody pings
nobody (docs.slack.dev, text object: without `verbatim` Slack looks for names by itself)."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from adapters.chat.slack.markdown_to_mrkdwn import mrkdwn_of, parts_of
from adapters.chat.slack.mrkdwn import escape, shorten
from bot.core.views import Button, Reply
from bot.sessions.panel import STOP, Panel

Block = dict[str, Any]

MAX_TEXT_LENGTH = 3000
MAX_FIELD_LENGTH = 2000
MAX_FIELDS = 10
MAX_MESSAGE_LENGTH = 39_000
MAX_BLOCKS = 50
MAX_URL_LENGTH = 3000
MAX_ALT_LENGTH = 2000
"""Limits of Block Kit (docs.slack.dev, reference, blocks), and of `chat.postMessage`, which truncates at 40,000."""

PRESSED = "avatar:"
"""What the ids of our buttons begin with; the verb of the command follows."""

_COMMAND = re.compile(r"(?<![\w/])/avatar(?=(?:-admin)?\b)")


class CommandRenamer:
    """Sentences as this workspace types the commands that they name."""

    def __init__(self, command: str) -> None:
        """`command` is `SLACK_COMMAND`, without the slash."""
        self._command = command

    def __call__(self, sentence: str) -> str:
        return sentence if self._command == "avatar" else _COMMAND.sub(f"/{self._command}", sentence)


def message_of(reply: Reply, wording: CommandRenamer, *, session_id: str = "") -> dict[str, Any]:
    """A reply as the `text` and `blocks` of a message. `session_id`: whose buttons they are."""
    text = wording(reply.text)
    blocks = [section(escape(part)) for part in _parts(text)]
    if reply.fields:
        blocks += _facts([(wording(name), value) for name, value in reply.fields])
    if reply.link:
        blocks.append(_actions(session_id, (), reply.link))
    if reply.buttons:
        blocks.append(_actions(session_id, reply.buttons, None))
    return {
        "text": shorten(escape(_plain(text, reply.fields, wording)), MAX_MESSAGE_LENGTH),
        "blocks": blocks[:MAX_BLOCKS],
    }


def message_of_answer(markdown: str) -> dict[str, Any]:
    """What a chat model wrote as the `text` and `blocks` of a message."""
    parts = parts_of(markdown, MAX_TEXT_LENGTH)
    text = mrkdwn_of(markdown)
    return {
        "text": text if len(text) <= MAX_MESSAGE_LENGTH else shorten(escape(markdown), MAX_MESSAGE_LENGTH),
        "blocks": [section(part) for part in parts[:MAX_BLOCKS]],
    }


def message_of_panel(panel: Panel, session_id: str, wording: CommandRenamer) -> dict[str, Any]:
    """A panel as the `text` and `blocks` of a message."""
    # One block for title, facts and picture: behind the title alone the picture would tear a hole.
    head = section(f"*{escape(panel.title)}*") | _columns(panel.fields[:MAX_FIELDS])
    if panel.picture and panel.picture.startswith("https://") and len(panel.picture) <= MAX_URL_LENGTH:
        alt = panel.title.partition(":")[0][:MAX_ALT_LENGTH]
        head["accessory"] = {"type": "image", "image_url": panel.picture, "alt_text": alt}
    blocks = [head | {"block_id": panel_block(session_id)}]
    if panel.ends_at is not None:
        blocks.append(_context(f"Ends automatically by {_moment(panel.ends_at)}."))
    if panel.ended:
        blocks.append(section(escape(shorten(wording(panel.ended), MAX_FIELD_LENGTH))))
    if panel.buttons:
        buttons = tuple(button for button in panel.buttons if button.verb != "watch" or panel.link is None)
        blocks.append(_actions(session_id, buttons, panel.link))
    return {"text": escape(f"{panel.title}. {wording(panel.ended)}" if panel.ended else panel.title), "blocks": blocks}


def panel_block(session_id: str) -> str:
    """The id of the block by which a panel is known again as a session's."""
    return f"panel:{session_id}"


def section(mrkdwn: str) -> Block:
    """A block of text that is already escaped."""
    return {"type": "section", "text": verbatim(mrkdwn)}


def verbatim(mrkdwn: str) -> Block:
    """A text object in which Slack looks for nothing by itself."""
    return {"type": "mrkdwn", "text": shorten(mrkdwn, MAX_TEXT_LENGTH), "verbatim": True}


def plain(text: str, limit: int = 75) -> Block:
    """A text object without any markup; `limit` characters."""
    return {"type": "plain_text", "text": text if len(text) <= limit else f"{text[: limit - 1]}…", "emoji": False}


def _facts(fields: Sequence[tuple[str, str]]) -> list[Block]:
    """Facts as columns, ten to a block."""
    portions = [fields[i : i + MAX_FIELDS] for i in range(0, len(fields), MAX_FIELDS)]
    return [{"type": "section"} | _columns(portion) for portion in portions]


def _columns(fields: Sequence[tuple[str, str]]) -> Block:
    return {
        "fields": [verbatim(shorten(f"*{escape(name)}*\n{escape(value)}", MAX_FIELD_LENGTH)) for name, value in fields]
    }


def _actions(session_id: str, buttons: Sequence[Button], link: str | None) -> Block:
    elements: list[Block] = []
    if link is not None:
        elements.append({"type": "button", "action_id": f"{PRESSED}link", "text": plain("Watch"), "url": link})
        elements[0]["style"] = "primary"
    for button in buttons:
        element: Block = {"type": "button", "action_id": f"{PRESSED}{button.verb}", "text": plain(button.label)}
        if session_id:
            element["value"] = session_id
        if button.verb == STOP.verb:
            element["style"] = "danger"
        elements.append(element)
    return {"type": "actions", "elements": elements}


def _context(mrkdwn: str) -> Block:
    return {"type": "context", "elements": [verbatim(mrkdwn)]}


def _moment(moment: datetime) -> str:
    """A time that each reader sees in their own zone (docs.slack.dev, formatting dates)."""
    return f"<!date^{int(moment.timestamp())}^{{time}}|{moment:%H:%M} UTC>"


def _plain(text: str, fields: Sequence[tuple[str, str]], wording: CommandRenamer) -> str:
    return "\n".join([text, *(f"{wording(name)}: {value}" for name, value in fields)])


def _parts(text: str) -> list[str]:
    """The text in pieces that fit into a block even when every character of them is escaped."""
    size = MAX_TEXT_LENGTH // 5
    if len(escape(text)) <= MAX_TEXT_LENGTH:
        return [text]
    return [text[start : start + size] for start in range(0, len(text), size)]
