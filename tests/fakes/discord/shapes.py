"""The JSON shapes of Discord's objects [S], with what discord.py reads of them [L]. Nothing here decides or changes."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from tests.fakes.discord.components import completed
from tests.fakes.discord.permissions import permissions_in
from tests.fakes.discord.state import EPOCH, PRIVATE_THREAD, Channel, DiscordState, Guild, Message, Role, User

if TYPE_CHECKING:
    from tests.fakes.discord.interactions import Interaction

JOINED = "2026-01-01T00:00:00.000000+00:00"


def stamp(snowflake: int) -> str:
    """The time that an id carries, as ISO 8601."""
    milliseconds = (snowflake >> 22) + EPOCH
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC).isoformat(timespec="microseconds")


def user(one: User) -> dict[str, Any]:
    """A user object."""
    return {
        "id": str(one.id),
        "username": one.name,
        "discriminator": "0" if not one.bot else "0001",
        "global_name": None if one.bot else one.name.capitalize(),
        "avatar": None,
        "banner": None,
        "accent_color": None,
        "avatar_decoration_data": None,
        "primary_guild": None,
        "public_flags": 0,
        "flags": 0,
        "bot": one.bot,
    }


def member(guild: Guild, one: User, *, within: bool = True, channel: Channel | None = None) -> dict[str, Any]:
    """A member object: with its user unless `within` is false, with its permissions in `channel` if one is given."""
    shape: dict[str, Any] = {
        "roles": [str(role) for role in sorted(guild.members.get(one.id, ()))],
        "nick": None,
        "avatar": None,
        "banner": None,
        "joined_at": JOINED,
        "premium_since": None,
        "communication_disabled_until": None,
        "deaf": False,
        "mute": False,
        "pending": False,
        "flags": 0,
    }
    if within:
        shape["user"] = user(one)
    if channel is not None:
        shape["permissions"] = str(permissions_in(channel, one))
    return shape


def role(one: Role, position: int) -> dict[str, Any]:
    """A role object."""
    return {
        "id": str(one.id),
        "name": one.name,
        "description": None,
        "permissions": str(one.permissions),
        "position": position,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "managed": False,
        "mentionable": False,
        "icon": None,
        "unicode_emoji": None,
        "flags": 0,
    }


def channel(one: Channel, *, bot: User | None = None) -> dict[str, Any]:
    """A channel, thread or direct-message object; a thread says that the bot is its member when `bot` is given."""
    if one.guild is None:
        recipients = [user(one.recipient)] if one.recipient else []
        return {"id": str(one.id), "type": 1, "flags": 0, "last_message_id": None, "recipients": recipients}
    shape: dict[str, Any] = {
        "id": str(one.id),
        "type": one.type,
        "name": one.name,
        "guild_id": str(one.guild.id),
        "parent_id": str(one.parent.id) if one.parent else None,
        "last_message_id": None,
        "rate_limit_per_user": 0,
        "flags": 0,
    }
    return shape | (_thread(one, bot) if one.is_thread else _place(one))


def _place(one: Channel) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "position": 0,
        "nsfw": one.nsfw,
        "permission_overwrites": [
            {
                "id": str(number),
                "type": 0 if one.guild and number in one.guild.roles else 1,
                "allow": str(allowed),
                "deny": str(denied),
            }
            for number, (allowed, denied) in one.overwrites.items()
        ],
    }
    if one.type in (2, 13):
        shape |= {"bitrate": 64000, "user_limit": one.user_limit, "rtc_region": None, "video_quality_mode": 1}
    elif one.type == 15:
        shape |= {"available_tags": [], "default_forum_layout": 0, "default_sort_order": None, "topic": None}
        shape |= {"default_reaction_emoji": None}
    elif one.type != 4:
        shape |= {"topic": None, "default_auto_archive_duration": 1440}
    return shape


def _thread(one: Channel, bot: User | None) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "archived": one.archived,
        "archive_timestamp": stamp(one.id),
        "auto_archive_duration": 1440,
        "locked": one.locked,
        "create_timestamp": stamp(one.id),
    }
    if one.type == PRIVATE_THREAD:
        metadata["invitable"] = True
    shape: dict[str, Any] = {
        "owner_id": str(one.owner.id if one.owner else one.id),
        "thread_metadata": metadata,
        "message_count": 1,
        "total_message_sent": 1,
        "member_count": 2,
    }
    if bot is not None:
        shape["member"] = {"id": str(one.id), "user_id": str(bot.id), "join_timestamp": stamp(one.id), "flags": 0}
    return shape


def guild(one: Guild, world: DiscordState) -> dict[str, Any]:
    """The guild as GUILD_CREATE carries it: of the members only the bot, as without the members intent [D]."""
    places = world.channels_of(one)
    return {
        "id": str(one.id),
        "name": one.name,
        "icon": None,
        "owner_id": str(one.owner.id),
        "roles": [role(each, position) for position, each in enumerate(one.roles.values())],
        "emojis": [],
        "stickers": [],
        "features": [],
        "preferred_locale": "en-US",
        "verification_level": 0,
        "default_message_notifications": 0,
        "explicit_content_filter": 0,
        "mfa_level": 0,
        "nsfw_level": 0,
        "premium_tier": 0,
        "system_channel_id": None,
        "system_channel_flags": 0,
        "joined_at": JOINED,
        "large": False,
        "unavailable": False,
        "member_count": len(one.members),
        "members": [member(one, world.bot)],
        "channels": [channel(each) for each in places if not each.is_thread],
        "threads": [
            channel(each, bot=world.bot)
            for each in places
            if each.is_thread and not (each.archived or each.without_bot)
        ],
        "voice_states": [],
        "presences": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }


def message(one: Message, *, bot: User | None = None, nested: bool = False) -> dict[str, Any]:
    """A message object as REST returns it; `bot` is who looks (for `me` in reactions)."""
    shape: dict[str, Any] = {
        "id": str(one.id),
        "channel_id": str(one.channel.id),
        "type": one.type,
        "author": user(one.author),
        "content": one.content,
        "embeds": [{"type": "rich"} | embed for embed in one.embeds],
        "components": completed(one.components),
        "attachments": one.attachments,
        "mentions": [user(each) for each in one.mentions],
        "mention_roles": [],
        "mention_everyone": one.pings_everyone,
        "timestamp": stamp(one.id),
        "edited_timestamp": stamp(one.id) if one.edited else None,
        "flags": one.flags,
        "pinned": False,
        "tts": False,
    } | one.more
    if one.nonce is not None:
        shape["nonce"] = one.nonce
    if one.webhook_id is not None:
        shape |= {"webhook_id": str(one.webhook_id), "application_id": str(one.webhook_id)}
    if one.interaction is not None:
        shape["interaction_metadata"] = one.interaction
    if one.reactions:
        shape["reactions"] = [_reaction(emoji, users, bot) for emoji, users in one.reactions.items()]
    if one.reference is not None:
        shape["message_reference"] = one.reference
        if one.type == 19 and not nested:
            replied = one.reply_to
            shape["referenced_message"] = None if replied is None or replied.deleted else message(replied, nested=True)
    return shape


def snapshot(one: Message) -> dict[str, Any]:
    """What a forwarded message carries of the one that was forwarded [S]: its words, and not whose they are."""
    whole = message(one)
    kept = ("type", "content", "mentions", "mention_roles", "attachments", "embeds", "timestamp", "edited_timestamp",
            "flags", "components", "sticker_items")  # fmt: skip
    return {"message": {name: whole[name] for name in kept if name in whole}}


def _reaction(emoji: str, users: list[int], bot: User | None) -> dict[str, Any]:
    return {
        "emoji": {"id": None, "name": emoji},
        "count": len(users),
        "count_details": {"burst": 0, "normal": len(users)},
        "burst_colors": [],
        "me": bot is not None and bot.id in users,
        "me_burst": False,
    }


def stripped(shape: dict[str, Any], one: Message, bot: User, intents: int) -> dict[str, Any]:
    """The message as the gateway delivers it to a bot with these intents.

    [D] message-content intent: without it content, embeds, attachments, components and poll are empty, except in
    messages the bot sends, in its direct messages, and in messages that mention it.
    """
    own = one.author.id == bot.id
    replied = shape.get("referenced_message")
    if replied and one.reply_to is not None:
        shape["referenced_message"] = stripped(replied, one.reply_to, bot, intents)
    if intents & 1 << 15 or own or one.channel.guild is None or bot in one.mentions:
        return shape
    shown = {name: value for name, value in shape.items() if name not in ("poll", "message_snapshots")}
    return shown | {"content": "", "embeds": [], "attachments": [], "components": []}


def interaction_metadata(one: Interaction, owners: dict[str, str]) -> dict[str, Any]:
    """What a message says about the interaction that it answers, and what that of a modal says about the one before."""
    shape: dict[str, Any] = {
        "id": str(one.id),
        "type": one.kind,
        "user": user(one.user),
        "authorizing_integration_owners": owners,
    }
    if one.kind == 2:
        shape |= {"name": one.data["name"], "command_type": one.data["type"]}
    if one.kind == 3 and one.message is not None:
        shape["interacted_message_id"] = str(one.message.id)
    if one.shown_by is not None:
        shape["triggering_interaction_metadata"] = interaction_metadata(one.shown_by, owners)
    return shape


def application(world: DiscordState, *, public: bool = True) -> dict[str, Any]:
    """The application object of /oauth2/applications/@me and /applications/@me."""
    return {
        "id": str(world.bot.id),
        "name": world.bot.name,
        "icon": None,
        "description": "",
        "type": None,
        "bot": user(world.bot),
        "bot_public": public,
        "bot_require_code_grant": False,
        "verify_key": world.public_key,
        "flags": world.application_flags,
        "flags_new": str(world.application_flags),
        "redirect_uris": [],
        "interactions_endpoint_url": None,
        "role_connections_verification_url": None,
        "owner": user(world.keeper),
        "approximate_guild_count": len(world.guilds),
        "approximate_user_install_count": 0,
        "approximate_user_authorization_count": 0,
        "explicit_content_filter": 0,
        "team": None,
        "eligible_oauth2_scopes": [],
        "integration_types_config": {"0": {}},
    }
