"""What `avatar-relay doctor` looks at on Discord: token, intents, commands, permissions in a channel. Changes nothing,
and never opens a gateway connection.
"""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import discord

from adapters.chat.discord import errors as troubles
from adapters.chat.discord import strings
from adapters.chat.discord.activity_setup import application_in, examine_activity
from adapters.chat.discord.permissions import invite_link, missing_in, missing_to_speak
from adapters.chat.discord.sync import SyncFailed, ours, registered
from adapters.chat.discord.voice import library
from adapters.network import Connector
from bot import sentences
from bot.cli.doctor.check import Check, CheckContext, failed, passed, skipped, warned
from bot.core.errors import SettingsError
from bot.settings import AnswerPlacement, RelayMode, Settings, VoiceChoice

TIMEOUT = 15.0
"""Seconds for everything that is asked of Discord; discord.py repeats what Discord puts off."""


async def examine_discord(examination: CheckContext) -> AsyncIterator[Check]:
    """Look at the Discord application, its commands, and a channel where one is named."""
    settings = examination.settings
    token = settings.discord.token
    if token is None:
        yield skipped("Discord", "DISCORD_TOKEN is not set")
        return
    yield await _voice(settings)
    # Process-wide, since discord.py has it nowhere else.
    discord.http.Route.BASE = settings.discord.api_url
    async with discord.Client(intents=discord.Intents(guilds=True), connector=Connector(limit=0)) as client:
        try:
            async with asyncio.timeout(TIMEOUT):
                await client.login(token.get_secret_value())
                application = await client.application_info()
        except discord.LoginFailure:
            yield failed("Discord token", "Discord does not accept it", strings.TOKEN_REFUSED)
            return
        except (discord.HTTPException, aiohttp.ClientError, OSError, KeyError, TypeError) as error:
            yield _unreachable("Discord", error)
            return
        yield passed("Discord token", f"belongs to {application.name}")
        yield _intents(application, settings)
        yield await _commands(client, settings)
        for check in await examine_activity(application, settings):
            yield check
        if examination.channel is not None and examination.channel.isdecimal():
            yield await _channel(client, int(examination.channel), settings)


def _unreachable(subject: str, error: Exception) -> Check:
    trouble = troubles.trouble_of(error)
    what = f"{sentences.network(troubles.SERVICE, trouble)} ({_how(error)})"
    return failed(subject, what, sentences.network_fix(trouble, "DISCORD_API_URL"))


def invite(settings: Settings) -> str:
    """The invite link of the bot whose token is set. Raises `SettingsError` if none is, or it is not a token."""
    if settings.discord.token is None:
        raise SettingsError(strings.TOKEN_MISSING)
    try:
        return invite_link(application_in(settings.discord.token.get_secret_value()))
    except ValueError:
        raise SettingsError(strings.TOKEN_REFUSED) from None


def _how(error: Exception) -> str:
    """What went wrong, with the request where there was an answer to it."""
    if isinstance(error, discord.HTTPException) and isinstance(error.response, aiohttp.ClientResponse):
        return f"{error.response.method} {error.response.url.path}: HTTP {error.status}"
    return troubles.told(error)


async def _voice(settings: Settings) -> Check:
    """Whether the avatar can speak in voice channels. Whether UDP gets through cannot be seen from here: Discord names
    the address only to a bot that joins a channel."""
    subject = "Discord voice"
    if settings.discord.voice is VoiceChoice.OFF:
        return skipped(subject, "DISCORD_VOICE is off")
    why = await asyncio.to_thread(library.why_unusable)
    if why == strings.VOICE_NOT_INSTALLED:
        return skipped(subject, "the extra voice is not installed. Add it with: pip install 'avatar-relay[voice]'")
    if why is not None:
        return failed(subject, "the avatar cannot speak in voice channels", why)
    udp = "outgoing UDP to ports 50000 to 65535 must be allowed, which shows when it joins a channel"
    return passed(subject, f"libopus is there, and encryption (DAVE {library.dave_version()}); {udp}")


def _intents(application: discord.AppInfo, settings: Settings) -> Check:
    if settings.session.relay is not RelayMode.ALL:
        return passed("Discord intents", "none of the privileged ones is needed")
    flags = application.flags
    if flags.gateway_message_content or flags.gateway_message_content_limited:
        return passed("Discord intents", "Message Content is on")
    return failed("Discord intents", "Message Content is off, and SESSION_RELAY is all", strings.INTENT_MISSING)


async def _commands(client: discord.Client, settings: Settings) -> Check:
    assert client.application_id is not None  # noqa: S101 - logging in has told it
    guilds = settings.discord.guild_ids
    fix = "Start the bot once: it registers them."
    subject = "Discord commands"
    try:
        async with asyncio.timeout(TIMEOUT):
            if not guilds:
                known = len(ours(await registered(client, None)))
                return passed(subject, f"{known}, in every server") if known else warned(subject, "not there yet", fix)
            for guild_id in guilds:
                if not ours(await registered(client, guild_id)):
                    return warned(subject, f"not there yet in server {guild_id}", fix)
    except SyncFailed as error:
        again = "The bot tries again by itself; look at the network and at Discord's status page."
        invite = f"Invite the bot to the server again: {invite_link(client.application_id)}"
        return failed(subject, f"cannot be seen ({error})", invite if error.is_no_member else again)
    except TimeoutError:
        return failed(subject, f"cannot be seen (no answer within {TIMEOUT:.0f} s)", "Try again later.")
    return passed(subject, f"there, in {len(guilds)} servers")


async def _channel(client: discord.Client, channel_id: int, settings: Settings) -> Check:
    subject = f"Discord channel {channel_id}"
    assert client.user is not None  # noqa: S101 - logging in has told it
    try:
        async with asyncio.timeout(TIMEOUT):
            channel = await client.fetch_channel(channel_id)
            if not isinstance(channel, (discord.abc.GuildChannel, discord.Thread)):
                return failed(subject, "is not a channel of a server", "Name another one.")
            guild = await client.fetch_guild(channel.guild.id)
            me = await guild.fetch_member(client.user.id)
            # Fetched with their server, so that its roles are known to them.
            places = {place.id: place for place in await guild.fetch_channels()}
    except discord.NotFound:
        return failed(subject, "is not there", "Check the id: right click on the channel, Copy Channel ID.")
    except discord.Forbidden:
        return failed(subject, "cannot be seen by the bot", "Give it View Channel there, or invite it to the server.")
    except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
        return _unreachable(subject, error)
    in_thread = isinstance(channel, discord.Thread)
    granted = places[channel.parent_id if isinstance(channel, discord.Thread) else channel.id].permissions_for(me)
    opens_threads = settings.session.answers is AnswerPlacement.THREAD
    lacking = missing_in(granted, in_thread=in_thread, opens_threads=opens_threads)
    if (
        isinstance(channel, discord.VoiceChannel | discord.StageChannel)
        and settings.discord.voice is not VoiceChoice.OFF
    ):
        is_stage = isinstance(channel, discord.StageChannel)
        lacking += [each for each in missing_to_speak(granted, is_stage=is_stage) if each not in lacking]
    if lacking:
        return failed(subject, f"the bot lacks {', '.join(lacking)}", "Give them to its role, or in the channel.")
    return passed(subject, f"#{channel.name}: nothing is missing")
