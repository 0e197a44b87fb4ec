"""`chat.*` and `reactions.*` of the local Slack. Errors as on the methods' pages in docs.slack.dev; that a thread
without a first message is `thread_not_found` is taken over from `conversations.replies`."""

from tests.fakes.slack.block_kit import with_block_ids
from tests.fakes.slack.calling import Call, Caller, Refusal
from tests.fakes.slack.entities import mistakes_in_metadata
from tests.fakes.slack.records import Channel, Ephemeral, Message, Payload
from tests.fakes.slack.validation import MOST_TEXT


def _place_to_post(caller: Caller, args: Payload, *, public: bool = True) -> Channel:
    """The channel, if the bot may post there. A user id stands for the direct conversation."""
    person = caller.twin.users.get(str(args["channel"]))
    channel = caller.twin.direct(person) if person and person.team is caller.team else caller.channel(args["channel"])
    if channel.archived:
        raise Refusal("is_archived")
    if not caller.is_in(channel) and not (public and "chat:write.public" in caller.team.scopes):
        raise Refusal("not_in_channel")
    if not caller.is_in(channel):
        caller.need("chat:write.public")
    if channel.restricted:
        raise Refusal("restricted_action")
    return channel


def _check_words(args: Payload) -> None:
    if not any(args.get(name) for name in ("text", "blocks", "attachments", "markdown_text")):
        raise Refusal("no_text")
    if len(str(args.get("text", ""))) > MOST_TEXT:
        raise Refusal("msg_too_long")


def _warn_of_metadata(caller: Caller, args: Payload) -> Payload:
    """Slack drops metadata that it does not take, answers `ok` all the same, and warns. An empty object takes it away
    (`chat.update`)."""
    metadata = args.get("metadata")
    if not metadata:
        return {}
    mistakes = mistakes_in_metadata(metadata)
    for mistake in mistakes:
        caller.twin.violation(f"chat.*: {mistake}")
    if metadata.get("entities") and not caller.twin.takes_entities:
        mistakes.append("metadata.entities: Work Objects are off")
    if not mistakes:
        return {}
    del args["metadata"]
    said = {"messages": [f"[WARN] {mistake}" for mistake in mistakes], "warnings": ["invalid_metadata_schema"]}
    return {"warning": "invalid_metadata_schema", "response_metadata": said}


async def post_message(caller: Caller, args: Payload) -> Payload:
    twin = caller.twin
    channel = _place_to_post(caller, args)
    _check_words(args)
    thread = args.get("thread_ts")
    if thread is not None and thread not in channel.messages:
        raise Refusal("thread_not_found")
    warning = _warn_of_metadata(caller, args)
    message = Message(twin.new_ts(), channel, caller.team.bot.id, str(args.get("text", "")), thread_ts=thread)
    message.blocks, message.metadata = with_block_ids(args.get("blocks")), args.get("metadata")
    message.bot_id, message.args = caller.team.bot_id, args | {"app_id": twin.app_id}
    twin.say(message)
    return {"channel": channel.id, "ts": message.ts, "message": message.shown()} | warning


async def post_ephemeral(caller: Caller, args: Payload) -> Payload:
    channel = _place_to_post(caller, args, public=False)
    _check_words(args)
    if args["user"] not in channel.members:
        raise Refusal("user_not_in_channel")
    seen = Ephemeral(caller.twin.new_ts(), channel, args["user"], str(args.get("text", "")))
    seen.blocks, seen.thread_ts = with_block_ids(args.get("blocks")), args.get("thread_ts")
    channel.ephemerals.append(seen)
    return {"message_ts": seen.ts}


async def update(caller: Caller, args: Payload) -> Payload:
    channel = caller.channel(args["channel"])
    message = caller.message(channel, args["ts"])
    if message.user != caller.team.bot.id:
        raise Refusal("cant_update_message")
    if channel.archived:
        raise Refusal("is_archived")
    _check_words(args)
    warning = _warn_of_metadata(caller, args)
    before = message.shown()
    message.text = str(args.get("text", message.text))
    if "blocks" in args or "text" in args:
        message.blocks = with_block_ids(args.get("blocks"))
    message.metadata = args.get("metadata", message.metadata)
    message.args = args | {"app_id": caller.twin.app_id}
    message.edits += 1
    message.edited_ts = caller.twin.new_ts()
    caller.twin.changed(message, before)
    answer = {"channel": channel.id, "ts": message.ts, "text": message.text, "message": message.shown()}
    return answer | warning


async def delete(caller: Caller, args: Payload) -> Payload:
    channel = caller.channel(args["channel"])
    message = caller.message(channel, args["ts"])
    if message.user != caller.team.bot.id:
        raise Refusal("cant_delete_message")
    caller.twin.removed(message)
    return {"channel": channel.id, "ts": message.ts}


async def get_permalink(caller: Caller, args: Payload) -> Payload:
    channel = caller.channel(args["channel"])
    message = caller.message(channel, args["message_ts"])
    place = f"https://{caller.team.domain}.slack.example.com/archives/{channel.id}"
    return {"channel": channel.id, "permalink": f"{place}/p{message.ts.replace('.', '')}"}


def _reaction(caller: Caller, args: Payload) -> tuple[Message, str]:
    channel = caller.channel(args["channel"])
    if not caller.is_in(channel):
        raise Refusal("not_in_channel")
    if channel.archived:
        raise Refusal("is_archived")
    name = str(args["name"])
    if not name or name != name.strip(":") or not name.isascii():
        raise Refusal("invalid_name")
    return caller.message(channel, args["timestamp"]), name


async def add_reaction(caller: Caller, args: Payload) -> Payload:
    message, name = _reaction(caller, args)
    if caller.team.bot.id in message.reactions.get(name, []):
        raise Refusal("already_reacted")
    caller.twin.reacted(message, caller.team.bot.id, name, added=True)
    return {}


async def remove_reaction(caller: Caller, args: Payload) -> Payload:
    message, name = _reaction(caller, args)
    if caller.team.bot.id not in message.reactions.get(name, []):
        raise Refusal("no_reaction")
    caller.twin.reacted(message, caller.team.bot.id, name, added=False)
    return {}


CALLS: dict[str, Call] = {
    "chat.postMessage": post_message,
    "chat.postEphemeral": post_ephemeral,
    "chat.update": update,
    "chat.delete": delete,
    "chat.getPermalink": get_permalink,
    "reactions.add": add_reaction,
    "reactions.remove": remove_reaction,
}
