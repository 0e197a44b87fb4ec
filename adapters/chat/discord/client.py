"""The discord.py client: which events are asked for, and who gets each. Holds no state of a session, so that any shard,
and any number of shards, can use it.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import discord
import structlog
import yarl
from discord import app_commands

from adapters.chat.discord import strings
from adapters.chat.discord.buttons import SessionButton, is_of_a_session
from adapters.chat.discord.catch_up import CatchUp
from adapters.chat.discord.command_sync import CommandSync
from adapters.chat.discord.command_tree import build
from adapters.chat.discord.interactions import Interactions
from adapters.chat.discord.lifecycle import GuildLifecycle
from adapters.chat.discord.messages import Messages
from adapters.chat.discord.panels import Panels
from adapters.chat.discord.sync import OUR_TYPES
from adapters.chat.discord.voice.outlets import DiscordOutlets
from adapters.network import Connector
from bot.core.unexpected import report_unexpected
from bot.facade import Bot
from bot.settings import RelayMode

log = structlog.get_logger(__name__)

MAX_RATE_LIMIT_WAIT = 60.0
"""Seconds that discord.py itself waits out where Discord limits requests."""

SHARD_CONNECT_TIME = 180.0
"""Seconds that discord.py gives a shard to connect (its default)."""
INTRODUCE_EVERY = 5.5
"""Seconds between two shards of a bucket: Discord takes one IDENTIFY in 5 s, and two ways may differ by a little."""


def shard_of(guild_id: int, count: int) -> int:
    """The shard that hears of a server (Discord's documentation, "Sharding")."""
    return (guild_id >> 22) % count


# Whether the bot can talk in voice channels is told by `voice.library`, in words of ours.
discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False


@dataclass(frozen=True, slots=True)
class EventHandlers:
    """Who is told of what."""

    interactions: Interactions
    messages: Messages
    panels: Panels
    lifecycle: GuildLifecycle
    commands: CommandSync
    voice: DiscordOutlets
    catch_up: CatchUp


class AvatarCommandTree(app_commands.CommandTree["RelayClient"]):
    """The command tree, with a sentence for what it cannot make sense of."""

    async def interaction_check(self, interaction: discord.Interaction["RelayClient"], /) -> bool:
        """Answer commands of a kind that is not made here, which is the entry point of an Activity: discord.py 2.7.1
        knows no such kind and stumbles over it."""
        data: Any = interaction.data
        if data.get("type", 1) in OUR_TYPES:
            return True
        self.client.listeners.interactions.enter(interaction)
        return False

    async def on_error(
        self, interaction: discord.Interaction["RelayClient"], error: app_commands.AppCommandError, /
    ) -> None:
        """Answer a command that Discord knows and we do not, or not in this shape."""
        log.warning("a command was not understood", error=str(error))
        if interaction.type is discord.InteractionType.application_command:
            self.client.listeners.interactions.say(interaction, strings.COMMAND_CHANGED)


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard of so many. introduce: waits until it may be introduced to Discord (IDENTIFY)."""

    number: int
    of: int
    introduce: Callable[[int], Awaitable[None]]


class RelayClient(discord.AutoShardedClient):
    """A client for one connection; after a failure there is a new one."""

    def __init__(self, bot: Bot, listeners: EventHandlers, shard: Shard | None = None) -> None:
        """shard: the one it connects; without, as many as Discord asks for."""
        settings = bot.settings
        has_voice = listeners.voice.unavailable is None
        super().__init__(
            intents=intents_for(settings.session.relay, has_voice=has_voice),
            connector=Connector(limit=0),
            allowed_mentions=discord.AllowedMentions.none(),
            # Nothing is looked up in old messages, or among members but those in voice channels.
            max_messages=None,
            member_cache_flags=_members_kept(has_voice=has_voice),
            chunk_guilds_at_startup=False,
            # Longer waits come as an error: a request that is cut off within one would hold up all others forever.
            max_ratelimit_timeout=MAX_RATE_LIMIT_WAIT,
        )
        self._shard = shard
        if shard is not None:
            self.shard_count, self.shard_ids = shard.of, [shard.number]
            self.shard_connect_timeout = SHARD_CONNECT_TIME + shard.of * INTRODUCE_EVERY
        self.listeners = listeners
        self._guild_ids = settings.discord.guild_ids
        self.tree = AvatarCommandTree(
            self,
            allowed_contexts=app_commands.AppCommandContext(guild=True),
            allowed_installs=app_commands.AppInstallationType(guild=True),
        )
        self.has_been_ready = False
        self.has_connected = False
        self._connected_shards: set[int] = set()
        self._survive_unreadable_events()
        self._let_go_of_the_global_limit()
        build(self.tree, bot, listeners.interactions)
        self.add_dynamic_items(SessionButton)
        if settings.discord.gateway_url:
            self._go_through(settings.discord.gateway_url)

    def _survive_unreadable_events(self) -> None:
        """Let an event that discord.py cannot parse cost that event, not the connection and everything on it.

        Here, because discord.py 2.7.1 calls these parsers from the task that reads the socket, without a guard: what
        one raises ends every shard, and `connect` with it. `on_error` is only told of what handlers raise. A READY
        that cannot be read leaves nothing to go on with, so that one still ends the connection.
        """
        parsers = self._connection.parsers
        for event, parse in tuple(parsers.items()):
            if event != "READY":
                parsers[event] = _guarded(event, parse)

    def _let_go_of_the_global_limit(self) -> None:
        """Let a request that is cut off while it waits out Discord's global limit hold up nobody else.

        Here, because discord.py 2.7.1 has all other requests wait until the one that met the limit has slept, and never
        tells them if that one is cancelled, as each of ours is by its timeout: nothing would go out any more until
        the connection is made anew. Whoever then comes too early meets the limit again, and waits for it.
        """
        http = self.http
        request = http.request

        async def guarded(*args: Any, **options: Any) -> Any:
            try:
                return await request(*args, **options)
            except asyncio.CancelledError:
                http._global_over.set()  # noqa: SLF001 - there is no other way to it
                raise

        http.request = guarded  # type: ignore[method-assign]

    def _go_through(self, gateway_url: str) -> None:
        """Open every connection to the gateway at `DISCORD_GATEWAY_URL`.

        Here and not by `DEFAULT_GATEWAY`: discord.py 2.7.1 takes the address from `/gateway/bot`, from READY when it
        resumes, and from that constant when it starts afresh; all three come by `ws_connect`.
        """
        connect, through = self.http.ws_connect, yarl.URL(gateway_url)

        async def ws_connect(url: str, *, compress: int = 0) -> Any:
            if "encoding" not in yarl.URL(url).query:
                # A voice server, which the gateway has named.
                return await connect(url, compress=compress)
            return await connect(str(through.with_query(yarl.URL(url).query)), compress=compress)

        self.http.ws_connect = ws_connect  # type: ignore[method-assign]

    # --- the connection ----------------------------------------------------------------------------------------------

    @property
    def hears_everything(self) -> bool:
        """Whether every shard of this client is connected."""
        count = self.shard_count if self._shard is None else 1
        return bool(self._connected_shards) and len(self._connected_shards) == count

    def hears(self, guild_id: int) -> bool:
        """Whether Discord tells this client what happens in a server."""
        return self._shard is None or shard_of(guild_id, self._shard.of) == self._shard.number

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Wait until Discord takes another shard. discord.py calls it before each IDENTIFY."""
        if self._shard is None:
            await super().before_identify_hook(shard_id, initial=initial)
        else:
            await self._shard.introduce(self._shard.number)

    async def on_shard_connect(self, shard_id: int) -> None:
        """A shard has a new session and receives events from now on."""
        self.has_connected = True
        self._connected_shards.add(shard_id)

    async def on_shard_resumed(self, shard_id: int) -> None:
        """A shard goes on where it was cut off; Discord has repeated what happened meanwhile."""
        self._connected_shards.add(shard_id)

    async def on_shard_disconnect(self, shard_id: int) -> None:
        """A shard has lost its connection; discord.py takes it up again."""
        self._connected_shards.discard(shard_id)

    async def on_ready(self) -> None:
        """All servers are known: look for what was lost while nobody told us. A later time is after a session that
        Discord did not resume, in which a panel may have been deleted."""
        self.listeners.lifecycle.check_channels(self, self.hears)
        self.listeners.voice.return_to_places()
        if self.has_been_ready:
            self.listeners.panels.redraw()
        self.has_been_ready = True

    async def on_error(self, event_method: str, /, *_args: Any, **_kwargs: Any) -> None:
        """A handler failed: the log has it, and the next event is served."""
        error = sys.exception()
        if error is not None:
            report_unexpected("an event of Discord was not handled", error, handler=event_method)

    # --- buttons and messages ----------------------------------------------------------------------------------------

    async def on_interaction(self, interaction: discord.Interaction[Any]) -> None:
        """Something was used; discord.py hands on what it knows, and is silent about buttons and forms of others."""
        if interaction.type in (discord.InteractionType.component, discord.InteractionType.modal_submit):
            data: Any = interaction.data
            if not is_of_a_session(str(data.get("custom_id"))):
                self.listeners.interactions.say(interaction, strings.NOT_MINE)

    async def on_panel_press(self, interaction: discord.Interaction[Any], verb: str, session_id: str) -> None:
        """A button was pressed."""
        self.listeners.interactions.press(interaction, verb, session_id)

    async def on_message(self, message: discord.Message) -> None:
        """A message was written."""
        if self.user is not None:
            self.listeners.messages.written(message, self.user)

    async def on_raw_message_edit(self, change: discord.RawMessageUpdateEvent) -> None:
        """A message was changed."""
        if self.user is not None:
            self.listeners.messages.edited(change.message, self.user)

    async def on_raw_message_delete(self, gone: discord.RawMessageDeleteEvent) -> None:
        """A message was deleted."""
        self.listeners.messages.deleted(gone.guild_id, gone.channel_id, {gone.message_id})

    async def on_raw_bulk_message_delete(self, gone: discord.RawBulkMessageDeleteEvent) -> None:
        """Many messages were deleted at once."""
        self.listeners.messages.deleted(gone.guild_id, gone.channel_id, gone.message_ids)

    # --- lifecycle ---------------------------------------------------------------------------------------------------

    async def on_guild_available(self, guild: discord.Guild) -> None:
        """A server is there, after READY or an outage: something may have been written meanwhile."""
        self.listeners.catch_up.server_available(guild)

    async def on_guild_join(self, guild: discord.Guild) -> None:
        """The bot was added to a server: one of `DISCORD_GUILD_IDS` may not have taken the commands before."""
        if guild.id in self._guild_ids:
            self.listeners.commands.again()

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        """The bot was removed from a server; an outage is another event."""
        self.listeners.lifecycle.server_gone(guild.id)

    async def on_guild_channel_delete(self, channel: discord.abc.GuildChannel) -> None:
        """A channel was deleted; its threads are told one by one."""
        self.listeners.lifecycle.channel_gone(channel.id, strings.CHANNEL_DELETED)
        self.listeners.voice.changed(channel.guild.id)

    async def on_guild_channel_update(
        self, _before: discord.abc.GuildChannel, channel: discord.abc.GuildChannel
    ) -> None:
        """A channel has another name, or somebody else may go there."""
        self.listeners.voice.changed(channel.guild.id)

    async def on_voice_state_update(
        self, member: discord.Member, _before: discord.VoiceState, _after: discord.VoiceState
    ) -> None:
        """Somebody came into a voice channel, left it, or was muted there."""
        self.listeners.voice.changed(member.guild.id)

    async def on_raw_thread_delete(self, gone: discord.RawThreadDeleteEvent) -> None:
        """A thread was deleted."""
        self.listeners.lifecycle.channel_gone(gone.thread_id, strings.THREAD_DELETED)

    async def on_raw_thread_update(self, change: discord.RawThreadUpdateEvent) -> None:
        """A thread was changed, perhaps archived or locked."""
        data: Mapping[str, Any] = change.data
        if change.thread is not None:
            # By now it is as the event says.
            self.listeners.lifecycle.thread_changed(change.thread)
        elif (data.get("thread_metadata") or {}).get("archived"):
            self.listeners.lifecycle.channel_gone(change.thread_id, strings.THREAD_ARCHIVED)

    async def on_thread_remove(self, thread: discord.Thread) -> None:
        """The bot was taken out of a thread."""
        self.listeners.lifecycle.channel_gone(thread.id, strings.THREAD_LEFT)


def _guarded(event: str, parse: Callable[[Any], None]) -> Callable[[Any], None]:
    def guarded(data: Any) -> None:
        try:
            parse(data)
        except Exception as error:  # noqa: BLE001 - the boundary to a library that trusts what it is sent
            report_unexpected("an event of Discord could not be read and is left out", error, event_=event)

    return guarded


def intents_for(relay: RelayMode, *, has_voice: bool = False) -> discord.Intents:
    """The least that works: servers and messages, and who is in voice channels where the avatar speaks there; the text
    of all messages only where all are relayed.

    Mentions of the bot, replies that mention it, and direct messages carry their text without that privileged intent.
    """
    return discord.Intents(
        guilds=True,
        guild_messages=True,
        dm_messages=True,
        voice_states=has_voice,
        message_content=relay is RelayMode.ALL,
    )


def _members_kept(*, has_voice: bool) -> discord.MemberCacheFlags:
    flags = discord.MemberCacheFlags.none()
    flags.voice = has_voice
    return flags
