"""The avatar's voice in one voice channel: connects, waits until people can hear it, speaks, and leaves.

It connects again a few times where the connection breaks, and then says so; whatever goes wrong, the session goes on.
Decides nothing about who may bring it there.
"""

import asyncio
from contextlib import ExitStack

import aiohttp
import discord
import structlog
from discord import opus

from adapters.chat.discord import strings
from adapters.chat.discord.rest import DiscordRest
from adapters.chat.discord.voice.buffer import VoiceBuffer
from adapters.chat.discord.voice.client import AvatarVoice
from adapters.chat.discord.voice.places import VoiceChannel, people_in, with_id
from adapters.chat.discord.voice.source import VoiceSource
from bot import sentences
from bot.core.backoff import Backoff
from bot.core.ports import Clock
from bot.core.sound import Sound
from bot.core.time_limit import time_limit
from bot.sessions.session import AvatarSession

log = structlog.get_logger(__name__)

CONNECT_LIMIT = 12.0
"""Seconds for Discord's answer and the way to its voice server. A connection takes less than one; without UDP it
hangs."""

OUT_LIMIT = 3.0
"""Seconds for Discord to confirm that the bot is out of a channel."""

HANG_UP_LIMIT = 1.0
"""Seconds for a goodbye."""

PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds before it is connected again; after the last one it is given up."""

STEADY = 60.0
"""Seconds after which a connection that breaks counts as one that worked, and has all its attempts again."""

LOOK_EVERY = 0.2
"""Seconds between two looks at what discord.py tells nobody."""

SETTLE = 0.3
"""Seconds until it is looked why it is out of the channel: Discord tells of a kick, a deleted channel and a broken
connection in any order."""

OUT_OF_REACH_LIMIT = 6.0
"""Seconds for discord.py to go over to another voice server by itself, as when the region is changed. (It cannot resume
one that has crashed, 4015: 2.7.1 waits for what does not come.)"""

GROUP_LIMIT = 15.0
"""Seconds with people in the channel and without encryption, after which it is not waited for any more."""

_TOO_OLD = (4016, 4017)
"""Close codes: the encryption is not known to Discord, or missing."""
_GONE = (4014, 4022)
_RATE_LIMITED = 4021
_NORMAL = 1000


class VoiceTrouble(Exception):
    """It is not heard there. The message is a sentence for the channel; may_pass: another attempt is worth it."""

    def __init__(self, sentence: str, *, may_pass: bool = False) -> None:
        super().__init__(sentence)
        self.may_pass = may_pass


class VoiceConnection:
    """One session in one voice channel. name: of the channel. is_connected: it is there."""

    def __init__(
        self, running: AvatarSession, channel: VoiceChannel, rest: DiscordRest, clock: Clock, alone_limit: float
    ) -> None:
        """`alone_limit`: seconds with nobody there, after which it leaves."""
        self.running = running
        self.guild_id = channel.guild.id
        self.channel_id = channel.id
        self.name = channel.name
        self.is_connected = False
        self.buffer = VoiceBuffer()
        self._rest = rest
        self._clock = clock
        self._alone_limit = alone_limit
        self._changed = asyncio.Event()
        self._leaving = asyncio.Event()
        self._voice: AvatarVoice | None = None
        self._can_be_heard = False
        self._told: set[str] = set()

    # --- of `bot.core.sound.Listener` --------------------------------------------------------------------------------

    def hear(self, sound: Sound) -> None:
        """The next piece."""
        self.buffer.put(sound.pcm, sound.lead)

    def hush(self) -> None:
        """Speech was cut."""
        self.buffer.cut()

    # --- its life ----------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Something has changed in the server."""
        self._changed.set()

    def leave(self) -> None:
        """Have it leave, without a word."""
        self._leaving.set()
        self.hush()
        self._changed.set()

    async def run(self) -> None:
        """Be there until it leaves. Raises `VoiceTrouble` where the channel is to read why it did."""
        backoff, failures = Backoff(PAUSES), 0
        try:
            while not self._leaving.is_set():
                begun = self._clock.monotonic()
                try:
                    trouble = await self._speak()
                except VoiceTrouble as error:
                    if not error.may_pass:
                        raise
                    trouble = error
                if self._leaving.is_set():
                    return
                if self._clock.monotonic() - begun > STEADY:
                    backoff.reset()
                    failures = 0
                failures += 1
                if failures > len(PAUSES):
                    raise trouble
                pause = backoff.next()
                log.info("a voice connection broke", session=self.running.session.id, why=str(trouble), again_in=pause)
                await self._wait(pause)
        finally:
            await self._hang_up()

    async def _speak(self) -> VoiceTrouble:
        """Connect once, and be there. Returns why it is to connect again. Raises `VoiceTrouble`."""
        channel = self._channel()
        voice = self._voice = await self._connect(channel)
        try:
            source = VoiceSource(self.buffer, self._may_speak, channel.bitrate // 1000)
        except (opus.OpusNotLoaded, opus.OpusError):
            raise VoiceTrouble(strings.OPUS_MISSING) from None
        self.is_connected = True
        self.running.set_heard_in(self.name)
        try:
            voice.play(source, after=self._player_ended)
            return await self._stay(voice)
        except discord.ClientException:
            # Gone again before it began.
            return VoiceTrouble(strings.voice_lost(self.name), may_pass=True)
        finally:
            self._can_be_heard = False

    def _channel(self) -> VoiceChannel:
        guild = self._rest.guild(self.guild_id)
        if guild is None or guild.unavailable:
            raise VoiceTrouble(strings.voice_lost(self.name), may_pass=True)
        channel = with_id(guild, self.channel_id)
        if channel is None:
            raise VoiceTrouble(strings.voice_channel_deleted(self.name))
        return channel

    async def _connect(self, channel: VoiceChannel) -> AvatarVoice:
        await self._hang_up()
        await self._be_out(channel.guild)
        made: list[AvatarVoice] = []

        def make(client: discord.Client, connectable: discord.abc.Connectable) -> AvatarVoice:
            made.append(AvatarVoice(client, connectable))
            return made[0]

        try:
            # Deaf, so that everybody sees that it does not listen.
            connecting = channel.connect(timeout=CONNECT_LIMIT, reconnect=False, cls=make, self_deaf=True)
            return await connecting
        except TimeoutError:
            blocked = bool(made) and made[0].was_answered
            told = strings.voice_udp_blocked if blocked else strings.voice_no_answer
            raise VoiceTrouble(told(self.name)) from None
        except discord.ConnectionClosed as error:
            raise self._trouble_of(error.code) from None
        except (discord.ClientException, aiohttp.ClientError, OSError) as error:
            log.info("a voice channel was not entered", session=self.running.session.id, why=type(error).__name__)
            raise VoiceTrouble(strings.voice_lost(self.name), may_pass=True) from None

    async def _be_out(self, guild: discord.Guild) -> None:
        """Until Discord has said that the bot is in no voice channel there: discord.py would take that news, of a
        connection before or of an earlier run of the bot, for the end of the new one."""
        if not _is_in(guild):
            return
        await guild.change_voice_state(channel=None)
        began = self._clock.monotonic()
        while _is_in(guild) and self._clock.monotonic() - began < OUT_LIMIT:
            self._changed.clear()
            await self._wait(LOOK_EVERY)

    def _trouble_of(self, code: int | None) -> VoiceTrouble:
        if code in _TOO_OLD:
            return VoiceTrouble(strings.VOICE_TOO_OLD)
        if code in _GONE:
            return VoiceTrouble(strings.voice_kicked(self.name))
        if code == _RATE_LIMITED:
            return VoiceTrouble(strings.voice_too_many(self.name))
        return VoiceTrouble(strings.voice_lost(self.name), may_pass=True)

    # --- being there -------------------------------------------------------------------------------------------------

    async def _stay(self, voice: AvatarVoice) -> VoiceTrouble:
        """Until the connection breaks (returned), or it is to leave (raised, or `leave`)."""
        gone_since = unready_since = alone_since = None
        with ExitStack() as stack:
            heard: ExitStack | None = None
            while not self._leaving.is_set():
                self._changed.clear()
                now = self._clock.monotonic()
                if (trouble := await self._ended(voice)) is not None:
                    return trouble
                gone_since = None if voice.is_open else gone_since or now
                if gone_since is not None and now - gone_since > OUT_OF_REACH_LIMIT:
                    return VoiceTrouble(strings.voice_lost(self.name), may_pass=True)
                channel: VoiceChannel = voice.channel
                self._follow(channel)
                people = people_in(channel)
                alone_since = None if people else alone_since or now
                if alone_since is not None and now - alone_since > self._alone_limit:
                    raise VoiceTrouble(sentences.left_alone(self.name, sentences.duration(self._alone_limit)))
                may_speak = await self._has_floor(channel)
                is_waiting = people > 0 and may_speak and voice.is_open and not voice.is_ready
                unready_since = (unready_since or now) if is_waiting else None
                if unready_since is not None and now - unready_since > GROUP_LIMIT:
                    return VoiceTrouble(strings.voice_not_encrypted(self.name), may_pass=True)
                if heard is None and people and may_speak and voice.is_ready:
                    heard = stack.enter_context(ExitStack())
                    heard.enter_context(self.running.audience.join())
                    heard.enter_context(self.running.stream.sound.listen(self))
                    self._can_be_heard = True
                elif heard is not None and not (people and may_speak):
                    # A short change of the encryption group is no reason to stop: the buffer waits for it.
                    self._can_be_heard = False
                    heard.close()
                    heard = None
                    self.hush()
                await self._wait(LOOK_EVERY)
        return VoiceTrouble(strings.voice_lost(self.name))

    async def _ended(self, voice: AvatarVoice) -> VoiceTrouble | None:
        """Why the connection is over, if it is. Raises `VoiceTrouble` where it is not to come again."""
        if not self._is_out(voice):
            return None
        await self._wait(SETTLE)
        if self._leaving.is_set() or not self._is_out(voice):
            return None
        if voice.has_broken:
            trouble = self._trouble_of(voice.close_code)
            if not trouble.may_pass:
                raise trouble
            return trouble
        guild = self._rest.guild(self.guild_id)
        if guild is None or guild is not voice.guild:
            return VoiceTrouble(strings.voice_lost(self.name), may_pass=True)
        if with_id(guild, self.channel_id) is None:
            raise VoiceTrouble(strings.voice_channel_deleted(self.name))
        if voice.close_code == _RATE_LIMITED:
            raise VoiceTrouble(strings.voice_too_many(self.name))
        if voice.close_code in (None, _NORMAL, *_GONE):
            raise VoiceTrouble(strings.voice_kicked(self.name))
        return VoiceTrouble(strings.voice_lost(self.name), may_pass=True)

    def _is_out(self, voice: AvatarVoice) -> bool:
        return voice.has_broken or voice.guild.voice_client is not voice or voice.guild.me.voice is None

    def _follow(self, channel: VoiceChannel) -> None:
        """It was moved, or the channel has another name."""
        if channel.id != self.channel_id:
            self.channel_id = channel.id
            self.name = channel.name
            self._tell(strings.voice_moved(self.name))
        self.name = channel.name
        self.running.set_heard_in(self.name)

    async def _has_floor(self, channel: VoiceChannel) -> bool:
        """Whether it may be heard there; asks for it on a stage, and says what a moderator has to do."""
        state = channel.guild.me.voice
        if state is None or not (state.suppress or state.mute):
            self._told -= {
                strings.stage_asked(self.name),
                strings.stage_closed(self.name),
                strings.voice_muted(self.name),
            }
            return True
        if not isinstance(channel, discord.StageChannel) or state.mute:
            self._tell_once(strings.voice_muted(self.name))
            return False
        if not self._told & {strings.stage_asked(self.name), strings.stage_closed(self.name)}:
            await self._ask_for_floor(channel)
        return False

    async def _ask_for_floor(self, channel: discord.StageChannel) -> None:
        me = channel.guild.me
        try:
            if channel.permissions_for(me).mute_members:
                self._told.add(strings.stage_asked(self.name))
                await me.edit(suppress=False)
                return
            await me.request_to_speak()
        except (discord.HTTPException, discord.ClientException, aiohttp.ClientError, OSError) as error:
            log.info("the bot could not ask to speak on a stage", why=str(error) or repr(error))
            self._tell_once(strings.stage_closed(self.name))
            return
        self._tell_once(strings.stage_asked(self.name))

    def _may_speak(self) -> bool:
        """Asked from the player's thread."""
        voice = self._voice
        return self._can_be_heard and voice is not None and voice.is_ready

    def _player_ended(self, error: Exception | None) -> None:
        """Called from the player's thread, which ends with the connection."""
        if error is not None:
            log.error("the player of a voice channel failed", session=self.running.session.id, error=repr(error))

    # --- small things ------------------------------------------------------------------------------------------------

    def _tell_once(self, sentence: str) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            self._tell(sentence)

    def _tell(self, sentence: str) -> None:
        self.running.announcer.tell_trouble(sentence)

    async def _wait(self, seconds: float) -> None:
        """So long, or until something changes."""
        try:
            async with time_limit(self._clock, seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _hang_up(self) -> None:
        """Leave the channel, whatever of a connection there is; that it was left is not waited for longer than a
        little."""
        self.is_connected = self._can_be_heard = False
        guild, self._voice = self._rest.guild(self.guild_id), None
        voice = guild.voice_client if guild is not None else None
        if voice is None:
            return
        try:
            async with asyncio.timeout(HANG_UP_LIMIT):
                await (voice.hang_up() if isinstance(voice, AvatarVoice) else voice.disconnect(force=True))
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            log.info("a voice channel was left without a goodbye", why=type(error).__name__)
            voice.cleanup()


def _is_in(guild: discord.Guild) -> bool:
    """Whether Discord has the bot in a voice channel, as far as it has told."""
    return guild.me.voice is not None
