"""The voice channels of every server as outlets of the core (`bot.core.outlets.Outlets`): which session is in which,
one in a server at a time, and again after a restart.
"""

import asyncio

import discord
import structlog

from adapters.chat.discord import strings
from adapters.chat.discord.converters import PLATFORM
from adapters.chat.discord.rest import DiscordRest
from adapters.chat.discord.voice import library
from adapters.chat.discord.voice.connection import VoiceConnection, VoiceTrouble
from adapters.chat.discord.voice.places import as_place, find, with_id
from bot.core.errors import StoreError
from bot.core.models import Actor, Channel
from bot.core.outlets import Place
from bot.core.tasks import TaskSet, cancel_and_wait
from bot.core.unexpected import report_unexpected
from bot.core.views import Phase, SessionView
from bot.facade import Bot
from bot.settings import VoiceChoice

log = structlog.get_logger(__name__)


class DiscordOutlets:
    """See the module. `prepare` comes first, `close` last."""

    def __init__(self, bot: Bot, rest: DiscordRest) -> None:
        self._bot = bot
        self._rest = rest
        self._choice = bot.settings.discord.voice
        self._store = bot.sessions.services.store.outlets
        self._why: str | None = strings.VOICE_OFF if self._choice is VoiceChoice.OFF else strings.VOICE_NOT_INSTALLED
        self._by_session: dict[str, VoiceConnection] = {}
        self._serving: dict[str, asyncio.Task[None]] = {}
        self._tasks = TaskSet()
        self._is_closing = False

    async def prepare(self) -> None:
        """Look what this machine can, and offer it to the core."""
        if self._choice is not VoiceChoice.OFF:
            self._why = await asyncio.to_thread(library.why_unusable)
            if self._why is not None:
                log.info("the avatar cannot speak in voice channels", why=self._why)
        self._is_closing = False
        self._bot.sessions.services.outlets.offer(PLATFORM, self)

    # --- of `bot.core.outlets.Outlets` -------------------------------------------------------------------------------

    @property
    def unavailable(self) -> str | None:
        """See `Outlets`."""
        return self._why

    @property
    def joins_by_itself(self) -> bool:
        """See `Outlets`."""
        return self._why is None and self._choice is VoiceChoice.AUTO

    def find(self, channel: Channel, actor: Actor, wanted: str) -> Place | None:
        """See `Outlets`."""
        guild = self._guild(channel)
        found = find(guild, int(channel.id), actor, wanted) if guild is not None else None
        if guild is None or found is None:
            return None
        there = [each for each in self._by_session.values() if each.guild_id == guild.id]
        return as_place(found, actor, there[0].name if there else None)

    def has_place(self, channel: Channel) -> bool:
        """See `Outlets`: a voice channel has a chat of its own."""
        guild = self._guild(channel)
        return guild is not None and with_id(guild, int(channel.id)) is not None

    def join(self, session_id: str, place_id: str) -> None:
        """See `Outlets`."""
        running = self._bot.sessions.with_id(session_id)
        guild = self._guild(running.session.channel) if running is not None else None
        channel = with_id(guild, int(place_id)) if guild is not None else None
        if running is None or channel is None or session_id in self._by_session or self._is_closing:
            return
        limit = self._bot.settings.discord.voice_alone
        connection = VoiceConnection(running, channel, self._rest, self._bot.clock, limit)
        self._by_session[session_id] = connection
        serving = self._tasks.create_task(self._run(connection), name=f"voice of {session_id}")
        self._serving[session_id] = serving

    def leave(self, session_id: str) -> bool:
        """See `Outlets`."""
        connection = self._by_session.get(session_id)
        if connection is not None:
            connection.leave()
        return connection is not None

    async def let_go(self, session_id: str) -> None:
        """Leave the place of a session to another process, which is to go there."""
        if session_id in self._by_session:
            await cancel_and_wait(self._serving[session_id])

    # --- what happens on Discord -------------------------------------------------------------------------------------

    def show(self, view: SessionView) -> None:
        """A session has changed: one that is over is heard nowhere."""
        if view.phase is Phase.ENDED:
            self.leave(view.session_id)

    def changed(self, guild_id: int) -> None:
        """Somebody came, went or was muted in a voice channel of a server, or a channel has changed."""
        for connection in self._by_session.values():
            if connection.guild_id == guild_id:
                connection.look()

    def return_to_places(self) -> None:
        """All servers are known: go where an earlier run of the bot was."""
        if self._why is None:
            self._tasks.create_task(self._return(), name="return to voice channels")

    async def close(self) -> None:
        """Leave every voice channel; the next run of the bot goes there again where its session goes on."""
        self._is_closing = True
        await self._tasks.close()

    # --- inside ------------------------------------------------------------------------------------------------------

    def _guild(self, channel: Channel) -> discord.Guild | None:
        return self._rest.guild(int(channel.workspace))

    async def _run(self, connection: VoiceConnection) -> None:
        running = connection.running
        try:
            await self._store.enter(running.session.id, PLATFORM, str(connection.channel_id))
            await connection.run()
        except VoiceTrouble as trouble:
            running.announcer.tell_trouble(str(trouble))
        except StoreError as error:
            log.error("a voice channel was not entered: the database failed", error=str(error))
        except Exception as error:  # noqa: BLE001 - the session goes on without its voice, whatever mistake this is
            report_unexpected("a voice connection failed: unexpected error", error, session=running.session.id)
            running.announcer.tell_trouble(strings.voice_lost(connection.name))
        finally:
            self._by_session.pop(running.session.id, None)
            self._serving.pop(running.session.id, None)
            running.set_heard_in(None)
        await self._forget(running.session.id)

    async def _forget(self, session_id: str) -> None:
        try:
            await self._store.leave(session_id)
        except StoreError as error:
            log.error("that a voice channel was left could not be written", error=str(error))

    async def _return(self) -> None:
        try:
            for session_id, place in (await self._store.entered(PLATFORM)).items():
                running = self._bot.sessions.with_id(session_id)
                if running is None:
                    # At another process it is heard there.
                    view = await self._bot.sessions.view(session_id)
                    if view is None or view.phase is Phase.ENDED:
                        await self._forget(session_id)
                elif running.stop.is_set:
                    await self._forget(session_id)
                elif place.isdecimal():
                    self.join(session_id, place)
        except StoreError as error:
            log.error("where sessions were heard could not be read", error=str(error))
