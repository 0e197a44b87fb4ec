"""The one table of what people can ask for, on every platform: who may, what it does, what is answered.

A platform hands in a `Command` with its channel and actor and renders the `Reply`. Everything here answers at once:
what takes time goes on in the session's own task and is told to the channel when it is done (rule 6)."""

import asyncio
import math
from dataclasses import replace

import structlog

from bot import sentences
from bot.access.permissions import Permissions
from bot.access.quotas import Quotas
from bot.commands.admin import AdminCommands
from bot.commands.parser import AVATAR, CommandContext, CommandSpec, Handler, Usage
from bot.commands.start_options import choices, not_offered, offered, one_of, read_wishes
from bot.commands.voice import VoiceCommands
from bot.core.errors import Refused, StoreError
from bot.core.models import Actor, Channel, EndReason, Mode, Role, Session
from bot.core.ports import Capabilities
from bot.core.views import Reply, Visibility
from bot.relay import Message, Relay
from bot.sessions.registry import SessionRegistry
from bot.sessions.session import AvatarSession
from bot.store.audit import REFUSED
from bot.streams.streams import StreamCloser

log = structlog.get_logger(__name__)

AUDITED_REFUSALS = ("permission", "limit")
"""Refusals that say something about people or money; the others are slips of the tongue."""

QUEUE_SHOWN = 10
"""Waiting messages that `queue` lists; more would flood a channel."""

MIN_IDLE = 5.0
"""Seconds: the least that a setting of a duration may be."""

DEFAULT = "default"
"""What goes back to what the operator has set."""

IDLE_SUMMARY = f"how long it stays in this channel without a message; {DEFAULT}: as the operator has set it"


class CommandRouter:
    """The table, and how to run it."""

    def __init__(
        self, sessions: SessionRegistry, relay: Relay, permissions: Permissions, closer: StreamCloser, quotas: Quotas
    ) -> None:
        self._sessions = sessions
        self._relay = relay
        self._permissions = permissions
        self._quotas = quotas
        self._starting = asyncio.Lock()
        self._voice = VoiceCommands(sessions, permissions)
        entries = [
            CommandSpec(_start_usage(sessions.services.provider.capabilities), Role.HOST, self._start),
            CommandSpec(
                Usage(AVATAR, "say", "have it say your words", "TEXT", required=True), Role.SPEAKER, self._say, True
            ),
            CommandSpec(
                Usage(AVATAR, "ask", "have it answer you", "TEXT", required=True), Role.SPEAKER, self._ask, True
            ),
            _repeatable("interrupt", "stop talking and pause the queue", Role.SPEAKER, self._interrupt),
            CommandSpec(Usage(AVATAR, "skip", "cut what it says and go on with the next"), Role.SPEAKER, self._skip),
            CommandSpec(Usage(AVATAR, "clear", "clear the queue"), Role.SPEAKER, self._clear),
            _repeatable("queue", "show the queue", Role.VIEWER, self._queue),
            _repeatable("mode", "repeat what you write, or answer it", Role.HOST, self._mode, "repeat|chat"),
            _repeatable("idle", IDLE_SUMMARY, Role.HOST, self._idle, "SECONDS"),
            _repeatable("wake", "wake it before you write, so that it answers at once", Role.SPEAKER, self._wake),
            _repeatable("keep", "keep it here although nobody writes", Role.SPEAKER, self._keep),
            _repeatable("status", "show how it is doing", Role.VIEWER, self._status),
            _repeatable("watch", "watch it, or get its link", Role.VIEWER, self._watch),
            *self._voice.entries,
            _repeatable("stop", "send the avatar away", Role.HOST, self._stop),
            _repeatable("help", "show this list", Role.VIEWER, self._help),
            *AdminCommands(sessions, permissions, closer, quotas).entries,
        ]
        self._in_hand: set[str] = set()
        self._table = {(entry.usage.group, entry.usage.verb): entry for entry in entries}

    @property
    def usages(self) -> dict[tuple[str, str], Usage]:
        """How every command is written, by group and verb."""
        return {key: entry.usage for key, entry in self._table.items()}

    def require(self, actor: Actor, channel: Channel, command: tuple[str, str]) -> Actor:
        """The actor with the role that counts in a channel. Raises `Refused`, as `run` would answer, where that is not
        enough for a command (group and verb); for what is done by other means than a command."""
        return self._permissions.require(actor, self._table[command].role, channel)

    async def run(self, ctx: CommandContext) -> Reply | None:
        """Do what was asked. Never raises `Refused`: a refusal is a private reply. None if the same command was
        delivered and answered before. Raises `StoreError`."""
        entry = self._table[(ctx.command.group, ctx.command.verb)]
        if entry.is_message or not ctx.keys:
            return await self._answer(entry, ctx)
        if not self._in_hand.isdisjoint(ctx.keys):
            return None
        self._in_hand.update(ctx.keys)
        try:
            return await self._answer_once(entry, ctx)
        finally:
            self._in_hand.difference_update(ctx.keys)

    async def _answer_once(self, entry: CommandSpec, ctx: CommandContext) -> Reply | None:
        """What a crash cuts off is delivered again by Slack. So the keys of what may be repeated are written down when
        it is done; anything else (a start costs money, a skip cuts the next message) is rather lost than done twice."""
        store = self._sessions.services.store
        if not entry.idempotent:
            return await self._answer(entry, ctx) if await store.utterances.accept(ctx.keys, None) else None
        if await store.utterances.was_seen(ctx.keys):
            return None
        reply = await self._answer(entry, ctx)
        try:
            await store.utterances.accept(ctx.keys, None)
        except StoreError as error:
            log.error("a command was done, but not remembered: it may be done again", error=str(error))
        return reply

    async def _answer(self, entry: CommandSpec, ctx: CommandContext) -> Reply | None:
        try:
            actor = self._permissions.require(ctx.actor, entry.role, ctx.channel)
            return await entry.run(replace(ctx, actor=actor))
        except Refused as refusal:
            if refusal.stage in AUDITED_REFUSALS:
                what = f"/{entry.usage.group} {entry.usage.verb} in {ctx.channel}: {refusal}"
                await self._sessions.audit(ctx.actor, REFUSED, None, what)
            return Reply(str(refusal), Visibility.PRIVATE)

    # --- start and stop ----------------------------------------------------------------------------------------------

    async def _start(self, ctx: CommandContext) -> Reply:
        services = self._sessions.services
        wishes = read_wishes(ctx.command.options, services.provider.capabilities)
        # Also where the channel or the operator has chosen it: an avatar that cannot answer would cost for nothing.
        if (
            wishes.mode or (await services.store.channels.settings(ctx.channel)).mode or services.policy.mode
        ) is Mode.CHAT:
            services.require_answers()
        self._permissions.require_channel(ctx.channel)
        place = self._voice.check_start(ctx)
        # One after the other, so that no two starts both take the last place that a limit leaves.
        async with self._starting:
            if self._sessions.in_channel(ctx.channel) is None:
                await self._quotas.check_day(ctx.channel)
            at_once = self._quotas.limits.workspace_sessions
            session, is_new = await self._sessions.start(ctx.channel, ctx.actor, wishes, at_once=at_once)
        link = self._link(session)
        if not is_new:
            if session.state.is_open and (running := self._sessions.in_channel(ctx.channel)) and running.stop.is_set:
                raise Refused(sentences.CLOSING, stage="channel")
            return Reply(sentences.already_running(session.started_by_name), Visibility.PRIVATE, link=link)
        if place is not None:
            self._voice.join(session, place)
        running = self._sessions.with_id(session.id)
        policy = running.policy if running else services.policy
        price = services.provider.capabilities.price_per_minute
        text = sentences.starting(
            price, policy.idle_timeout, policy.max_duration, needs_viewer=services.policy.needs_viewer
        )
        return Reply(text, link=link)

    async def _stop(self, ctx: CommandContext) -> Reply:
        running = self._running(ctx)
        if running.stop.is_set:
            raise Refused(sentences.CLOSING, stage="channel")
        await self._sessions.stop(running, EndReason.STOPPED, ctx.actor)
        return Reply(sentences.STOPPING)

    # --- speech ------------------------------------------------------------------------------------------------------

    async def _say(self, ctx: CommandContext) -> Reply | None:
        return await self._relayed(ctx, Mode.REPEAT)

    async def _ask(self, ctx: CommandContext) -> Reply | None:
        return await self._relayed(ctx, Mode.CHAT)

    async def _relayed(self, ctx: CommandContext, mode: Mode) -> Reply | None:
        receipt = await self._relay.receive(
            Message(
                channel=ctx.channel,
                actor=ctx.actor,
                text=ctx.command.text,
                keys=ctx.keys,
                message_id=ctx.message_id,
                names=ctx.names or {},
                mode=mode,
            )
        )
        if receipt.ignored is not None:
            return None
        return replace(receipt.reply(), visibility=Visibility.PRIVATE)

    async def _interrupt(self, ctx: CommandContext) -> Reply:
        running = await self._caught_up(ctx)
        if not running.speaker.is_saying_something:
            raise Refused(sentences.NOTHING_SAID, stage="channel")
        running.mailbox.post(running.speaker.interrupt)
        return Reply(sentences.interrupted(running.waiting))

    async def _skip(self, ctx: CommandContext) -> Reply:
        running = await self._caught_up(ctx)
        waiting = running.waiting
        if not running.speaker.is_saying_something and not running.speaker.status.is_paused:
            raise Refused(sentences.NOTHING_SAID, stage="channel")
        running.mailbox.post(running.speaker.skip)
        return Reply(sentences.going_on(waiting) if running.speaker.status.is_paused else sentences.skipped(waiting))

    async def _clear(self, ctx: CommandContext) -> Reply:
        running = await self._caught_up(ctx)
        sent_ahead = running.speaker.ahead is not None
        dropped = running.waiting - sent_ahead
        running.mailbox.post(running.speaker.clear)
        return Reply(sentences.cleared(dropped, sent_ahead=sent_ahead))

    async def _queue(self, ctx: CommandContext) -> Reply:
        running = await self._caught_up(ctx)
        waiting = running.speaker.queued()
        shown = [f"{_short(utterance.text)} ({utterance.author_name})" for utterance in waiting[:QUEUE_SHOWN]]
        if len(waiting) > QUEUE_SHOWN:
            shown.append(sentences.and_more(len(waiting) - QUEUE_SHOWN))
        current = running.speaker.current
        return Reply(
            sentences.queue_list(shown, _short(current.utterance.text) if current else None), Visibility.PRIVATE
        )

    async def _mode(self, ctx: CommandContext) -> Reply:
        running = self._sessions.in_channel(ctx.channel)
        if not ctx.command.text:
            if running is None:
                raise Refused(sentences.NO_SESSION, stage="channel")
            return Reply(sentences.mode_is(running.session.mode), Visibility.PRIVATE)
        mode = one_of(tuple(Mode), "mode", ctx.command.text)
        if mode is Mode.CHAT:
            self._sessions.services.require_answers()
        await self._sessions.services.store.channels.set_mode(ctx.channel, mode)
        if running is None:
            return Reply(sentences.mode_is(mode, for_next=True))
        await running.set_mode(mode)
        return Reply(sentences.mode_is(mode))

    async def _keep(self, ctx: CommandContext) -> Reply:
        running = self._running(ctx)
        if running.stop.is_set:
            raise Refused(sentences.CLOSING, stage="channel")
        running.extend()
        return Reply(sentences.KEPT, Visibility.PRIVATE)

    async def _wake(self, ctx: CommandContext) -> Reply:
        running = self._running(ctx)
        if running.stop.is_set:
            raise Refused(sentences.CLOSING, stage="channel")
        view = running.view()
        if not running.is_asleep:
            return Reply(sentences.is_awake(view), Visibility.PRIVATE)
        if view.needs_viewer:
            return Reply(sentences.WAKES_FOR_VIEWER, Visibility.PRIVATE, link=view.watch_url)
        running.wake()
        return Reply(sentences.waking(view.wakes_in), Visibility.PRIVATE, link=view.watch_url)

    async def _idle(self, ctx: CommandContext) -> Reply:
        services, running = self._sessions.services, self._sessions.in_channel(ctx.channel)
        wanted = ctx.command.text.strip().lower()
        if not wanted:
            chosen = (await services.store.channels.settings(ctx.channel)).idle_timeout
            policy = running.policy if running else services.policy.with_idle_timeout(chosen)
            text = sentences.idle_is(policy.idle_timeout, is_changed=False, is_own=chosen is not None)
            return Reply(text, Visibility.PRIVATE)
        is_own = wanted != DEFAULT
        seconds = _idle_seconds(wanted, services.policy.idle_ceiling) if is_own else services.policy.idle_timeout
        chosen = seconds if is_own else None
        await services.store.channels.set_idle_timeout(ctx.channel, chosen)
        if running is not None:
            running.set_idle_timeout(chosen)
        return Reply(sentences.idle_is(seconds, is_changed=True, is_own=is_own))

    # --- looking -----------------------------------------------------------------------------------------------------

    async def _status(self, ctx: CommandContext) -> Reply:
        running = await self._caught_up(ctx)
        view = running.view()
        fields = [
            ("State", sentences.state(view)),
            ("Mode", sentences.MODES[view.mode]),
            *_chosen(running.session),
            ("Started by", view.started_by_name),
            ("Waiting", sentences.count(view.queue_length, "message")),
            ("Leaves in", sentences.duration(running.seconds_left)),
        ]
        if view.heard_in:
            fields.append(("Heard in", view.heard_in))
        fields.append(("So far", sentences.used(running.stream.account.used, running.cost)))
        return Reply("The avatar in this channel:", Visibility.PRIVATE, tuple(fields), view.watch_url)

    async def _watch(self, ctx: CommandContext) -> Reply:
        link = self._running(ctx).view().watch_url
        if link is None:
            raise Refused(sentences.NO_LINK, stage="channel")
        return Reply(sentences.WATCH, Visibility.PRIVATE, link=link)

    async def _help(self, ctx: CommandContext) -> Reply:
        admin = ctx.actor.role is Role.ADMIN
        usages = [entry.usage for entry in self._table.values() if admin or entry.role is not Role.ADMIN]
        return Reply(sentences.HELP, Visibility.PRIVATE, tuple((usage.line, usage.summary) for usage in usages))

    # --- what several need -------------------------------------------------------------------------------------------

    def _running(self, ctx: CommandContext) -> AvatarSession:
        running = self._sessions.in_channel(ctx.channel)
        if ctx.session_id is not None and (running is None or running.session.id != ctx.session_id):
            raise Refused(sentences.PANEL_OVER, stage="channel")
        if running is None:
            raise Refused(sentences.NO_SESSION, stage="channel")
        return running

    async def _caught_up(self, ctx: CommandContext) -> AvatarSession:
        """The session of the channel, once what was written there before the command has its place in the queue."""
        running = self._running(ctx)
        await running.pending.wait_persisted()
        return running

    def _link(self, session: Session) -> str | None:
        running = self._sessions.with_id(session.id)
        return running.view().watch_url if running else self._sessions.services.links.url(session.link_nonce)


def _repeatable(verb: str, summary: str, role: Role, run: Handler, argument: str = "") -> CommandSpec:
    return CommandSpec(Usage(AVATAR, verb, summary, argument), role, run, idempotent=True)


def _idle_seconds(text: str, ceiling: float) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not MIN_IDLE <= seconds <= ceiling:
        raise Refused(sentences.idle_out_of_bounds(MIN_IDLE, ceiling, DEFAULT), stage="grammar")
    return seconds


def _start_usage(capabilities: Capabilities) -> Usage:
    return Usage(
        AVATAR,
        "start",
        "bring the avatar into this channel",
        options=offered(capabilities),
        choices=choices(capabilities),
        not_offered=not_offered(capabilities),
    )


def _chosen(session: Session) -> list[tuple[str, str]]:
    """How it was asked to speak, where somebody asked."""
    speed = [] if session.speed is None else [("Speed", f"{session.speed:g}")]
    return speed if session.language is None else [*speed, ("Language", session.language)]


def _short(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
