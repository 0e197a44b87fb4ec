"""Who may do what in a channel, computed as Discord's documentation says. It knows bits, not people's wishes.

[D] https://docs.discord.com/developers/topics/permissions: the bits, the order base -> @everyone overwrite -> role
overwrites -> member overwrite, that the owner and administrators have everything, and that a denied VIEW_CHANNEL denies
everything else in the channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fakes.discord.state import Channel, User

BITS = {
    "create_instant_invite": 1 << 0,
    "kick_members": 1 << 1,
    "ban_members": 1 << 2,
    "administrator": 1 << 3,
    "manage_channels": 1 << 4,
    "manage_guild": 1 << 5,
    "add_reactions": 1 << 6,
    "view_audit_log": 1 << 7,
    "view_channel": 1 << 10,
    "send_messages": 1 << 11,
    "send_tts_messages": 1 << 12,
    "manage_messages": 1 << 13,
    "embed_links": 1 << 14,
    "attach_files": 1 << 15,
    "read_message_history": 1 << 16,
    "mention_everyone": 1 << 17,
    "use_external_emojis": 1 << 18,
    "connect": 1 << 20,
    "speak": 1 << 21,
    "mute_members": 1 << 22,
    "move_members": 1 << 24,
    "manage_roles": 1 << 28,
    "manage_webhooks": 1 << 29,
    "use_application_commands": 1 << 31,
    "request_to_speak": 1 << 32,
    "manage_threads": 1 << 34,
    "create_public_threads": 1 << 35,
    "create_private_threads": 1 << 36,
    "send_messages_in_threads": 1 << 38,
    "use_embedded_activities": 1 << 39,
    "moderate_members": 1 << 40,
    "use_external_apps": 1 << 50,
}
ALL = sum(BITS.values())
EVERYONE = sum(
    BITS[name]
    for name in (
        "add_reactions",
        "view_channel",
        "send_messages",
        "embed_links",
        "attach_files",
        "read_message_history",
        "use_external_emojis",
        "connect",
        "speak",
        "request_to_speak",
        "use_application_commands",
        "create_public_threads",
        "send_messages_in_threads",
        "use_embedded_activities",
    )
)
"""What the @everyone role of a new guild here allows: close to Discord's default, without MENTION_EVERYONE."""

DIRECT = EVERYONE & ~BITS["connect"]
"""What both sides may do in direct messages."""


def permissions_in(channel: Channel, user: User) -> int:
    """The permission bits of the user in the channel; a thread inherits those of its parent [D]."""
    guild = channel.guild
    if guild is None:
        return DIRECT
    if user.id not in guild.members:
        return 0
    roles = guild.members[user.id]
    bits = guild.everyone.permissions
    for role in guild.roles.values():
        bits |= role.permissions if role.id in roles else 0
    if user.id == guild.owner.id or bits & BITS["administrator"]:
        return ALL
    place = channel.parent if channel.is_thread and channel.parent else channel
    bits = _overwritten(bits, [place.overwrites.get(guild.id)])
    bits = _overwritten(bits, [place.overwrites.get(role) for role in roles])
    bits = _overwritten(bits, [place.overwrites.get(user.id)])
    return bits if bits & BITS["view_channel"] else 0


def may(channel: Channel, user: User, permission: str) -> bool:
    """Whether the user has the permission, by discord.py's name, in the channel."""
    return bool(permissions_in(channel, user) & BITS[permission])


def _overwritten(bits: int, overwrites: list[tuple[int, int] | None]) -> int:
    found = [one for one in overwrites if one is not None]
    for _, denied in found:
        bits &= ~denied
    for allowed, _ in found:
        bits |= allowed
    return bits
