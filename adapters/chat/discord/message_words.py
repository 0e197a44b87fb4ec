"""The words of a message: what people read in it, wherever Discord keeps it. Pure; does not decide who may say them.

| place | read | why |
| --- | --- | --- |
| content | yes | |
| forwarded message (`message_snapshots`) | yes, behind the content | its own content is always empty |
| poll | question and answers | its content is empty |
| text displays (components v2) | yes | such a message has no content |
| first message of a thread | that of the message it began from | it shows that one |
| embeds | title, description, fields; only where there are no other words | of a person's message they are previews |
| stickers, voice messages, attachments with their names and descriptions | no | pictures and sound, no words |
| the message that is replied to, names of authors, buttons, menus | no | not said by who wrote this |

What is forwarded counts as said by who forwards it.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import discord

from bot.relay import MAX_READ_LENGTH

_MAX_COMPONENTS = 100
"""Discord allows 40 in a message."""


def words_of(message: discord.Message) -> str:
    """What people read in the message; empty where it has no words."""
    own = _lines([message.content, *_displays(message.components), *_poll(message)])
    forwarded = [_seen(snapshot) for snapshot in message.message_snapshots]
    began = message.reference.resolved if _begins_thread(message) and message.reference else None
    if isinstance(began, discord.Message):
        forwarded.append(_seen(began))
    return (_lines([own, *forwarded]) or _lines(_embedded(message.embeds)))[:MAX_READ_LENGTH]


def _seen(message: discord.MessageSnapshot | discord.Message) -> str:
    return _lines([message.content, *_displays(message.components)]) or _lines(_embedded(message.embeds))


def _begins_thread(message: discord.Message) -> bool:
    return message.type is discord.MessageType.thread_starter_message


def _displays(components: Sequence[Any]) -> Iterable[str]:
    """The text displays, from top to bottom."""
    waiting, looked_at = list(components), 0
    while waiting and looked_at < _MAX_COMPONENTS:
        component = waiting.pop(0)
        looked_at += 1
        if isinstance(component, discord.TextDisplay):
            yield component.content
        waiting[:0] = getattr(component, "children", ())


def _poll(message: discord.Message) -> Iterable[str]:
    if message.poll is None:
        return ()
    return (message.poll.question or "", *(answer.text or "" for answer in message.poll.answers))


def _embedded(embeds: Sequence[discord.Embed]) -> Iterable[str]:
    """The words of what an app has written as embeds; previews of links and pictures are of other types."""
    return chain.from_iterable(
        (embed.title or "", embed.description or "", *chain(*((f.name or "", f.value or "") for f in embed.fields)))
        for embed in embeds
        if embed.type == "rich"
    )


def _lines(parts: Iterable[str]) -> str:
    return "\n".join(part for part in parts if part.strip())
