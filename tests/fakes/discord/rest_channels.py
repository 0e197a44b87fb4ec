"""REST: channels, their messages, reactions and threads, with the permissions each needs. It answers for the bot only.

[D] https://docs.discord.com/developers/resources/channel and .../message name the permissions; that a message whose
nonce came before is returned instead of posted again is `enforce_nonce` of Create Message.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.fakes.discord import posts, shapes
from tests.fakes.discord.errors import Refused, invalid
from tests.fakes.discord.permissions import may
from tests.fakes.discord.rest import Acts, Answer, Request
from tests.fakes.discord.state import EPHEMERAL, PRIVATE_THREAD, PUBLIC_THREAD, Channel, Message

if TYPE_CHECKING:
    from tests.fakes.discord.server import FakeDiscord

_CHANNEL = "/channels/{channel_id}"
_MESSAGES = f"{_CHANNEL}/messages"
_MESSAGE = f"{_MESSAGES}/{{message_id}}"
_WITHOUT_TEXT = (4, 15)


def _channel(twin: FakeDiscord, request: Request, *permissions: str) -> Channel:
    """The channel of the path. Raises Refused where there is none, it is hidden from the bot, or a permission lacks."""
    channel = twin.world.channels.get(request.id("channel_id"))
    if channel is None or channel.deleted:
        raise Refused(10003)
    guild = channel.guild
    if (guild is not None and not guild.has_bot) or channel.without_bot or not may(channel, twin.bot, "view_channel"):
        raise Refused(50001)
    for permission in permissions:
        if not may(channel, twin.bot, permission):
            raise Refused(50013)
    return channel


def _message(twin: FakeDiscord, request: Request, channel: Channel) -> Message:
    message = twin.world.messages.get(request.id("message_id"))
    if message is None or message.deleted or message.ephemeral or message.channel is not channel:
        raise Refused(10008)
    return message


# -- the channel ----------------------------------------------------------------------------------------------------


def _get_channel(twin: FakeDiscord, request: Request) -> Answer:
    return 200, shapes.channel(_channel(twin, request), bot=twin.bot)


def _type(twin: FakeDiscord, request: Request) -> Answer:
    _channel(twin, request, "send_messages")
    return 204, None


def _join_thread(twin: FakeDiscord, request: Request) -> Answer:
    if not _channel(twin, request).is_thread:
        raise Refused(50024)
    return 204, None


def _make_thread(twin: FakeDiscord, request: Request) -> Answer:
    parent = _channel(twin, request, "create_public_threads")
    private = request.body.get("type") == PRIVATE_THREAD
    thread = twin.add_thread(parent, request.body["name"], private=private)
    thread.owner = twin.bot
    return 201, shapes.channel(thread, bot=twin.bot)


def _thread_from_message(twin: FakeDiscord, request: Request) -> Answer:
    parent = _channel(twin, request, "create_public_threads")
    start = _message(twin, request, parent)
    thread = twin.world.new_channel(
        request.body["name"], PUBLIC_THREAD, guild=parent.guild, parent=parent, owner=twin.bot
    )
    del twin.world.channels[thread.id]
    thread.id = start.id
    twin.world.channels[thread.id] = thread
    shape = shapes.channel(thread, bot=twin.bot)
    twin.gateway.dispatch("THREAD_CREATE", shape | {"newly_created": True}, guild=parent.guild, intent=1)
    return 201, shape


# -- messages -------------------------------------------------------------------------------------------------------


def _list(twin: FakeDiscord, request: Request) -> Answer:
    channel = _channel(twin, request)
    if not may(channel, twin.bot, "read_message_history"):
        return 200, []
    before, after, around = (int(request.query.get(name, 0)) for name in ("before", "after", "around"))
    found = [message for message in twin.messages(channel) if not before or message.id < before]
    found = sorted((message for message in found if message.id > after), key=lambda one: one.id)
    limit = int(request.query.get("limit", 50))
    if around:
        found = sorted(sorted(found, key=lambda one: abs(one.id - around))[:limit], key=lambda one: one.id)
    found = found[:limit] if after else found[-limit:]
    return 200, [_shown(twin, message) for message in reversed(found)]


def _shown(twin: FakeDiscord, message: Message) -> dict[str, object]:
    # Without the Message Content intent REST leaves the content out too [D].
    shape = shapes.message(message, bot=twin.bot)
    return shapes.stripped(shape, message, twin.bot, twin.gateway.allowed_intents)


def _get(twin: FakeDiscord, request: Request) -> Answer:
    channel = _channel(twin, request, "read_message_history")
    return 200, _shown(twin, _message(twin, request, channel))


def _create(twin: FakeDiscord, request: Request) -> Answer:
    channel, body = _channel(twin, request), request.body
    if channel.type in _WITHOUT_TEXT:
        raise Refused(50008)
    _check_sending(twin, channel, request)
    posts.check(body)
    nonce = body.get("nonce")
    if nonce is not None and body.get("enforce_nonce"):
        for message in twin.world.messages.values():
            if message.nonce == nonce and message.author is twin.bot and message.channel is channel:
                return 200, shapes.message(message, bot=twin.bot)
    found = posts.fields(body, request.files)
    found["flags"] = found.get("flags", 0) & ~EPHEMERAL
    message = twin.world.new_message(channel, twin.bot, nonce=nonce, **found)
    if body.get("message_reference"):
        _refer(twin, message, body["message_reference"])
    posts.notify(message, body, twin.world)
    if channel.archived:
        channel.archived = False
        twin.gateway.dispatch("THREAD_UPDATE", shapes.channel(channel, bot=twin.bot), guild=channel.guild, intent=1)
    twin.gateway.dispatch_message("MESSAGE_CREATE", message)
    return 200, shapes.message(message, bot=twin.bot)


def _check_sending(twin: FakeDiscord, channel: Channel, request: Request) -> None:
    wanted = ["send_messages_in_threads" if channel.is_thread else "send_messages"]
    wanted += ["embed_links"] if request.body.get("embeds") else []
    wanted += ["attach_files"] if request.files else []
    if not all(may(channel, twin.bot, permission) for permission in wanted):
        raise Refused(50013)
    if channel.locked and not may(channel, twin.bot, "manage_threads"):
        raise Refused(50083)
    if request.body.get("message_reference") and not may(channel, twin.bot, "read_message_history"):
        raise Refused(160002)


def _refer(twin: FakeDiscord, message: Message, reference: dict[str, object]) -> None:
    replied = twin.world.messages.get(int(str(reference["message_id"])))
    if replied is None or replied.deleted or replied.channel is not message.channel:
        if reference.get("fail_if_not_exists", True):
            del twin.world.messages[message.id]
            raise invalid("message_reference", "Unknown message")
        return
    message.reply_to, message.type = replied, 19
    message.reference = {"type": 0, "message_id": str(replied.id), "channel_id": str(message.channel.id)}


def _edit(twin: FakeDiscord, request: Request) -> Answer:
    channel = _channel(twin, request)
    message = _message(twin, request, channel)
    if message.author is not twin.bot:
        raise Refused(50005)
    if channel.archived:
        raise Refused(50083)
    posts.check(request.body, before=message)
    message.change(**posts.fields(request.body, request.files, before=message))
    message.edited = True
    posts.notify(message, request.body, twin.world)
    twin.gateway.dispatch_message("MESSAGE_UPDATE", message)
    return 200, shapes.message(message, bot=twin.bot)


def _delete(twin: FakeDiscord, request: Request) -> Answer:
    channel = _channel(twin, request)
    message = _message(twin, request, channel)
    if message.author is not twin.bot and not may(channel, twin.bot, "manage_messages"):
        raise Refused(50013)
    twin.remove_messages([message])
    return 204, None


def _delete_many(twin: FakeDiscord, request: Request) -> Answer:
    channel = _channel(twin, request, "manage_messages")
    wanted = {int(number) for number in request.body["messages"]}
    twin.remove_messages([message for message in twin.messages(channel) if message.id in wanted], bulk=True)
    return 204, None


# -- reactions ------------------------------------------------------------------------------------------------------


def _react(twin: FakeDiscord, request: Request) -> Answer:
    channel = _channel(twin, request, "read_message_history")
    message, emoji = _message(twin, request, channel), request.parameters["emoji_name"]
    if channel.archived:
        raise Refused(50083)
    if re.search(r"[A-Za-z]", emoji):
        raise Refused(10014)
    if emoji not in message.reactions and not may(channel, twin.bot, "add_reactions"):
        raise Refused(50013)
    twin.put_reaction(message, twin.bot, emoji)
    return 204, None


def _unreact(twin: FakeDiscord, request: Request) -> Answer:
    channel = _channel(twin, request)
    whose = request.parameters.get("user_id", str(twin.bot.id))
    if whose != str(twin.bot.id) and not may(channel, twin.bot, "manage_messages"):
        raise Refused(50013)
    user = twin.world.users.get(int(whose))
    if user is None:
        raise Refused(10013)
    twin.take_reaction(_message(twin, request, channel), user, request.parameters["emoji_name"])
    return 204, None


ACTS: Acts = {
    ("GET", _CHANNEL): _get_channel,
    ("POST", f"{_CHANNEL}/typing"): _type,
    ("POST", f"{_CHANNEL}/threads"): _make_thread,
    ("PUT", f"{_CHANNEL}/thread-members/@me"): _join_thread,
    ("GET", _MESSAGES): _list,
    ("POST", _MESSAGES): _create,
    ("POST", f"{_MESSAGES}/bulk-delete"): _delete_many,
    ("GET", _MESSAGE): _get,
    ("PATCH", _MESSAGE): _edit,
    ("DELETE", _MESSAGE): _delete,
    ("POST", f"{_MESSAGE}/threads"): _thread_from_message,
    ("PUT", f"{_MESSAGE}/reactions/{{emoji_name}}/@me"): _react,
    ("DELETE", f"{_MESSAGE}/reactions/{{emoji_name}}/@me"): _unreact,
    ("DELETE", f"{_MESSAGE}/reactions/{{emoji_name}}/{{user_id}}"): _unreact,
}
"""What is done for each method and path of the OpenAPI file."""
