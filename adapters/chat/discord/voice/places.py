"""Voice channels as places where a session can be heard: which one somebody means, who is there, what is in the way.

Looks only at what discord.py knows of the server; asks Discord nothing.
"""

import re

import discord

from adapters.chat.discord.permissions import missing_to_speak
from bot.core.models import Actor
from bot.core.outlets import Place

VoiceChannel = discord.VoiceChannel | discord.StageChannel

_LINK = re.compile(r"<#(\d{1,20})>|https://[a-z.]{0,10}discord\.com/channels/\d{1,20}/(\d{1,20})/?")
_MAX_NAME = 100
"""Characters of a channel's name (Discord's documentation)."""


def voice_channels(guild: discord.Guild) -> list[VoiceChannel]:
    """Every voice and Stage channel of a server."""
    return [*guild.voice_channels, *guild.stage_channels]


def with_id(guild: discord.Guild, channel_id: int) -> VoiceChannel | None:
    """The voice or Stage channel of an id."""
    found = guild.get_channel(channel_id)
    return found if isinstance(found, VoiceChannel) else None


def find(guild: discord.Guild, chat_id: int, actor: Actor, wanted: str) -> VoiceChannel | None:
    """The channel that somebody means (`bot.core.outlets.Outlets.find`)."""
    if not wanted:
        there = [channel for channel in voice_channels(guild) if int(actor.id) in channel.voice_states]
        return there[0] if there else with_id(guild, chat_id)
    if (link := _LINK.fullmatch(wanted)) is not None or wanted.isdecimal():
        return with_id(guild, int((link and (link[1] or link[2])) or wanted[:20]))
    name = wanted[:_MAX_NAME].lstrip("#").strip().casefold()
    named = [channel for channel in voice_channels(guild) if channel.name.casefold() == name]
    return named[0] if named else None


def as_place(channel: VoiceChannel, actor: Actor, taken_by: str | None) -> Place:
    """What the core decides by."""
    me = channel.guild.me
    granted = channel.permissions_for(me)
    is_stage = isinstance(channel, discord.StageChannel)
    others = [person for person in channel.voice_states if person != me.id]
    return Place(
        str(channel.id),
        channel.name,
        may_enter=may_enter(channel, actor),
        missing=tuple(missing_to_speak(granted, is_stage=is_stage)),
        is_full=0 < channel.user_limit <= len(others) and not granted.move_members,
        taken_by=taken_by,
    )


def people_in(channel: VoiceChannel) -> int:
    """How many people are there, programs left out as far as they are known for such."""
    programs = {member.id for member in channel.members if member.bot}
    return len(channel.voice_states.keys() - programs - {channel.guild.me.id})


def may_enter(channel: VoiceChannel, actor: Actor) -> bool:
    """Whether a person may go into a channel. Computed as Discord's documentation says (permissions, overwrites), since
    discord.py can only for members that it keeps, and it keeps none who are silent."""
    guild, person = channel.guild, int(actor.id)
    if person == guild.owner_id or person in channel.voice_states:
        return True
    roles = [role for name in actor.groups if name.isdecimal() and (role := guild.get_role(int(name))) is not None]
    granted = discord.Permissions(guild.default_role.permissions.value)
    for role in roles:
        granted.value |= role.permissions.value
    if granted.administrator:
        return True
    overwrites = {target.id: each.pair() for target, each in channel.overwrites.items()}
    of_roles = [overwrites[role.id] for role in roles if role.id != guild.id and role.id in overwrites]
    for group in ([overwrites.get(guild.id)], of_roles, [overwrites.get(person)]):
        pairs = [pair for pair in group if pair is not None]
        for _, denied in pairs:
            granted.value &= ~denied.value
        for allowed, _ in pairs:
            granted.value |= allowed.value
    return granted.view_channel and granted.connect
