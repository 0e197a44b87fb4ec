"""What the bot needs on Discord, and which of it is missing in a channel. Knows nothing of what people may do."""

import discord

_TITLES = {
    "view_channel": "View Channel",
    "send_messages": "Send Messages",
    "send_messages_in_threads": "Send Messages in Threads",
    "create_public_threads": "Create Public Threads",
    "embed_links": "Embed Links",
    "read_message_history": "Read Message History",
    "add_reactions": "Add Reactions",
    "connect": "Connect",
    "speak": "Speak",
    "request_to_speak": "Request to Speak",
}
"""Names as Discord's own settings show them, by those of discord.py."""

INVITE = "https://discord.com/oauth2/authorize?"
"""What every invite link begins with."""
SCOPES = ("bot", "applications.commands")


def invite_permissions() -> discord.Permissions:
    """What the invite link asks for: every permission the bot has a use for, and none beyond."""
    return discord.Permissions(**dict.fromkeys(_TITLES, True))


def invite_link(application_id: int) -> str:
    """The address with which somebody adds the bot to a server they manage."""
    return discord.utils.oauth_url(application_id, permissions=invite_permissions(), scopes=SCOPES)


def missing_in(granted: discord.Permissions, *, in_thread: bool, opens_threads: bool) -> list[str]:
    """The permissions, as Discord calls them, without which a session would not work in a channel.

    Reactions are not among them: where they are not allowed there are none.

    Args:
        granted: what the bot may do in the channel.
        in_thread: whether the channel is a thread or a forum post, where writing is a permission of its own.
        opens_threads: whether answers go into threads (`SESSION_ANSWERS=thread`).
    """
    needed = ["view_channel", "send_messages_in_threads" if in_thread else "send_messages"]
    needed += ["embed_links", "read_message_history"]
    if opens_threads and not in_thread:
        needed += ["create_public_threads", "send_messages_in_threads"]
    return [_TITLES[name] for name in needed if not getattr(granted, name)]


def missing_to_speak(granted: discord.Permissions, *, is_stage: bool) -> list[str]:
    """The permissions, as Discord calls them, without which the avatar would not be heard in a voice channel.

    On a stage it asks to speak, or takes the floor where it may mute others (Discord's documentation, Modify Current
    User Voice State).
    """
    needed = ["view_channel", "connect", *(() if is_stage else ("speak",))]
    missing = [_TITLES[name] for name in needed if not getattr(granted, name)]
    if is_stage and not (granted.request_to_speak or granted.mute_members):
        missing.append(_TITLES["request_to_speak"])
    return missing
