"""The words of a message in Slack's markup: what people read in it, wherever Slack keeps it. Pure; does not decide who
may say them.

| place | read | why |
| --- | --- | --- |
| `text` | yes | of a person's message it has all of its blocks |
| forwarded message (attachment with `is_share`) | yes, behind the text | shared to be read; `text` may be empty |
| `blocks` | only where `text` is empty | what an app wrote |
| other attachments | only where there are no other words | an app's legacy words; else previews of links |
| files: names, titles, transcripts, contents | no | not written in the message, and they come later or never |
| names of authors, buttons, menus | no | not said by who wrote this |

What is forwarded counts as said by who forwards it, and is never a command. All of it is what others sent: types are
checked, sizes bounded.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from adapters.chat.slack.mrkdwn import escape
from bot.relay import MAX_READ_LENGTH

_MAX_PARTS = 50
"""Blocks or attachments; Slack allows 50 and 20."""
_DEEPEST = 6
"""Lists and quotes within a rich text are three deep."""

Payload = Mapping[str, Any]


def words_of(message: Payload) -> str:
    """What people read in the message; empty where it has no words."""
    return joined(own_words(message), shared_words(message)) or _bounded(_legacy(message))


def own_words(message: Payload) -> str:
    """What its author wrote."""
    return _text(message, "text")[:MAX_READ_LENGTH] or _bounded(_blocks(message.get("blocks")))


def shared_words(message: Payload) -> str:
    """What was forwarded with it."""
    return _bounded(_shared(message))


def joined(own: str, shared: str) -> str:
    """Both, where there are both."""
    return "\n".join(part for part in (own, shared) if part.strip())


def _shared(message: Payload) -> Iterator[str]:
    for attachment in _mappings(message.get("attachments")):
        if attachment.get("is_share") is True:
            yield _text(attachment, "text") or _bounded(_message_blocks(attachment))


def _message_blocks(attachment: Payload) -> Iterator[str]:
    for of_message in _mappings(attachment.get("message_blocks")):
        inner = of_message.get("message")
        if isinstance(inner, Mapping):
            yield from _blocks(inner.get("blocks"))


def _legacy(message: Payload) -> Iterator[str]:
    for attachment in _mappings(message.get("attachments")):
        if attachment.get("from_url") or attachment.get("original_url"):
            # A preview.
            continue
        words = [_text(attachment, name) for name in ("pretext", "title", "text")]
        for field in _mappings(attachment.get("fields")):
            words += [_text(field, "title"), _text(field, "value")]
        yield _bounded(words) or _bounded(_blocks(attachment.get("blocks"))) or _text(attachment, "fallback")


def _blocks(blocks: object) -> Iterator[str]:
    for block in _mappings(blocks):
        match block.get("type"):
            case "section" | "header":
                yield from map(_text_object, [block.get("text"), *_mappings(block.get("fields"))])
            case "context":
                yield from map(_text_object, _mappings(block.get("elements")))
            case "markdown":
                yield escape(_text(block, "text"))
            case "rich_text":
                yield from (_rich(element, 0) for element in _mappings(block.get("elements")))


def _text_object(found: object) -> str:
    if not isinstance(found, Mapping):
        return ""
    text = _text(found, "text")
    return text if found.get("type") == "mrkdwn" else escape(text) if found.get("type") == "plain_text" else ""


def _rich(element: Payload, depth: int) -> str:
    """An element of a rich text, as Slack writes it in `text`."""
    match element.get("type"):
        case "text":
            return escape(_text(element, "text"))
        case "link":
            return escape(_text(element, "text") or _text(element, "url"))
        case "emoji":
            return f":{_text(element, 'name')}:"
        case "user":
            return f"<@{_text(element, 'user_id')}>"
        case "usergroup":
            return f"<!subteam^{_text(element, 'usergroup_id')}>"
        case "channel":
            return f"<#{_text(element, 'channel_id')}>"
        case "broadcast":
            return f"<!{_text(element, 'range')}>"
        case "date":
            return escape(_text(element, "fallback"))
    if depth >= _DEEPEST:
        return ""
    between = "\n" if element.get("type") == "rich_text_list" else ""
    return between.join(_rich(inner, depth + 1) for inner in _mappings(element.get("elements")))


def _mappings(found: object) -> list[Payload]:
    if not isinstance(found, list):
        return []
    return [one for one in found[:_MAX_PARTS] if isinstance(one, Mapping)]


def _text(found: Payload, name: str) -> str:
    text = found.get(name)
    return text[:MAX_READ_LENGTH] if isinstance(text, str) and text.strip() else ""


def _bounded(parts: Iterable[str]) -> str:
    found: list[str] = []
    room = MAX_READ_LENGTH
    for part in parts:
        if part.strip() and room > 0:
            found.append(part[:room])
            room -= len(part)
    return "\n".join(found)
