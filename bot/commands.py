"""The one table of what people can ask for, on every platform: who may, what it does, what is answered.

A platform hands in a `Command` with its channel and actor and renders the `Reply`. Everything here answers at once:
what takes time goes on in the session's own task and is told to the channel when it is done (rule 6)."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import TypeVar

from bot import sentences
from bot.errors import Refused
from bot.grammar import ADMIN, AVATAR, Command, Usage
from bot.model import Actor, Channel, EndReason, Mode, Reply, Role, Session, Visibility
from bot.permissions import Permissions
from bot.relay import Message, Relay
from bot.running import RunningSession
from bot.sessions import Sessions, Wishes
from bot.settings import Quality
from bot.streams import StreamCloser

_Choice = TypeVar("_Choice", Mode, Quality)

QUEUE_SHOWN = 10
"""Waiting messages that `queue` lists; more would flood a channel."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A command, where it was given, and by whom. `message_id` and `keys` as in `bot.relay.Message`."""

    command: Command
    channel: Channel
    actor: Actor
    keys: tuple[str, ...] = ()
    message_id: str | None = None
    names: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the table."""

    usage: Usage
    role: Role
    run: Callable[[Asked], Awaitable[Reply]]


class Commands:
    """The table, and how to run it."""

    def __init__(self, sessions: Sessions, relay: Relay, permissions: Permissions, closer: StreamCloser) -> None:
        self._sessions = sessions
        self._relay = relay
        self._permissions = permissions
        self._closer = closer
        entries = [
            Entry(
                Usage(
                    AVATAR,
                    "start",
                    "bring the avatar into this channel",
                    "",
                    options=("avatar", "voice", "mode", "quality"),
                ),
                Role.HOST,
                self._start,
            ),
            Entry(Usage(AVATAR, "say", "have it say your words", "TEXT", required=True), Role.SPEAKER, self._say),
            Entry(Usage(AVATAR, "ask", "have it answer you", "TEXT", required=True), Role.SPEAKER, self._ask),
            Entry(Usage(AVATAR, "interrupt", "silence it now, keep the queue waiting"), Role.SPEAKER, self._interrupt),
            Entry(Usage(AVATAR, "skip", "cut what it says and go on with the next"), Role.SPEAKER, self._skip),
            Entry(Usage(AVATAR, "clear", "drop everything that waits"), Role.SPEAKER, self._clear),
            Entry(Usage(AVATAR, "queue", "show what waits"), Role.VIEWER, self._queue),
            Entry(Usage(AVATAR, "mode", "repeat what you write, or answer it", "repeat|chat"), Role.HOST, self._mode),
            Entry(Usage(AVATAR, "status", "show how it is doing"), Role.VIEWER, self._status),
            Entry(Usage(AVATAR, "watch", "get the watch link"), Role.VIEWER, self._watch),
            Entry(Usage(AVATAR, "stop", "send the avatar away"), Role.HOST, self._stop),
            Entry(Usage(AVATAR, "help", "show this list"), Role.VIEWER, self._help),
            Entry(Usage(ADMIN, "sessions", "list the open sessions"), Role.ADMIN, self._admin_sessions),
            Entry(Usage(ADMIN, "cleanup", "close what has been silent for a minute"), Role.ADMIN, self._admin_cleanup),
            Entry(Usage(ADMIN, "stop", "close one session", "ID", required=True), Role.ADMIN, self._admin_stop),
        ]
        self._table = {(entry.usage.group, entry.usage.verb): entry for entry in entries}

    @property
    def usages(self) -> dict[tuple[str, str], Usage]:
        """How every command is written, by group and verb."""
        return {key: entry.usage for key, entry in self._table.items()}

    async def run(self, asked: Asked) -> Reply:
        """Do what was asked. Never raises `Refused`: a refusal is a private reply."""
        entry = self._table[(asked.command.group, asked.command.verb)]
        try:
            self._permissions.require(asked.actor, entry.role)
            return await entry.run(asked)
        except Refused as refusal:
            if refusal.stage == "permission":
                await self._sessions.audit(asked.actor, "refused", None, f"/{entry.usage.group} {entry.usage.verb}")
            return Reply(str(refusal), Visibility.PRIVATE)

    # --- start and stop ----------------------------------------------------------------------------------------------

    async def _start(self, asked: Asked) -> Reply:
        options = asked.command.options
        mode = _one_of(Mode, "mode", options["mode"]) if "mode" in options else None
        quality = _one_of(Quality, "quality", options["quality"]) if "quality" in options else None
        if mode is Mode.CHAT and not self._sessions.house.can_answer:
            raise Refused(sentences.CHAT_NOT_CONFIGURED, stage="mode")
        wishes = Wishes(options.get("avatar"), options.get("voice"), quality, mode)
        session, is_new = await self._sessions.start(asked.channel, asked.actor, wishes)
        link = self._link(session)
        if not is_new:
            if session.state.is_open and (running := self._sessions.in_channel(asked.channel)) and running.is_ending:
                raise Refused(sentences.CLOSING, stage="channel")
            return Reply(sentences.already_running(session.started_by_name), Visibility.PRIVATE, link=link)
        house = self._sessions.house
        text = sentences.starting(house.provider.capabilities.price_per_minute, house.policy.idle_timeout)
        return Reply(text, link=link)

    async def _stop(self, asked: Asked) -> Reply:
        running = self._running(asked)
        if running.is_ending:
            raise Refused(sentences.CLOSING, stage="channel")
        await self._sessions.stop(running, EndReason.STOPPED, asked.actor)
        return Reply(sentences.STOPPING)

    # --- speech ------------------------------------------------------------------------------------------------------

    async def _say(self, asked: Asked) -> Reply:
        return await self._relayed(asked, Mode.REPEAT)

    async def _ask(self, asked: Asked) -> Reply:
        return await self._relayed(asked, Mode.CHAT)

    async def _relayed(self, asked: Asked, mode: Mode) -> Reply:
        receipt = await self._relay.receive(
            Message(
                channel=asked.channel,
                actor=asked.actor,
                text=asked.command.text,
                keys=asked.keys,
                message_id=asked.message_id,
                names=asked.names or {},
                mode=mode,
            )
        )
        return Reply(sentences.queued(receipt.ahead, live_yet=receipt.live_yet), Visibility.PRIVATE)

    async def _interrupt(self, asked: Asked) -> Reply:
        running = self._running(asked)
        if not running.is_saying_something:
            raise Refused(sentences.NOTHING_SAID, stage="channel")
        running.post(running.speech.interrupt)
        return Reply(sentences.interrupted(running.waiting))

    async def _skip(self, asked: Asked) -> Reply:
        running = self._running(asked)
        waiting = running.waiting
        if not running.is_saying_something and not running.speech.held:
            raise Refused(sentences.NOTHING_SAID, stage="channel")
        running.post(running.speech.skip)
        return Reply(sentences.going_on(waiting) if running.speech.held else sentences.skipped(waiting))

    async def _clear(self, asked: Asked) -> Reply:
        running = self._running(asked)
        sent_ahead = running.speech.ahead is not None
        dropped = running.waiting - sent_ahead
        running.post(running.speech.clear)
        return Reply(sentences.cleared(dropped, sent_ahead=sent_ahead))

    async def _queue(self, asked: Asked) -> Reply:
        running = self._running(asked)
        waiting = running.queued()
        shown = [f"{_short(utterance.text)} ({utterance.author_name})" for utterance in waiting[:QUEUE_SHOWN]]
        if len(waiting) > QUEUE_SHOWN:
            shown.append(sentences.and_more(len(waiting) - QUEUE_SHOWN))
        current = running.speech.current
        return Reply(
            sentences.queue_list(shown, _short(current.utterance.text) if current else None), Visibility.PRIVATE
        )

    async def _mode(self, asked: Asked) -> Reply:
        running = self._sessions.in_channel(asked.channel)
        if not asked.command.text:
            if running is None:
                raise Refused(sentences.NO_SESSION, stage="channel")
            return Reply(sentences.mode_is(running.session.mode), Visibility.PRIVATE)
        mode = _one_of(Mode, "mode", asked.command.text.lower())
        if mode is Mode.CHAT and not self._sessions.house.can_answer:
            raise Refused(sentences.CHAT_NOT_CONFIGURED, stage="mode")
        await self._sessions.house.store.set_channel_mode(asked.channel, mode)
        if running is None:
            return Reply(sentences.mode_is(mode, for_next=True))
        await running.set_mode(mode)
        return Reply(sentences.mode_is(mode))

    # --- looking -----------------------------------------------------------------------------------------------------

    async def _status(self, asked: Asked) -> Reply:
        running = self._running(asked)
        view = running.view()
        fields = [
            ("State", sentences.PHASES[view.phase]),
            ("Mode", sentences.MODES[view.mode]),
            ("Started by", view.started_by_name),
            ("Waiting", sentences.count(view.queue_length, "message")),
            ("Leaves in", sentences.duration(running.seconds_left)),
        ]
        if running.cost is not None:
            fields.append(("Cost so far", f"about {sentences.dollars(running.cost)}"))
        return Reply("The avatar in this channel:", Visibility.PRIVATE, tuple(fields), view.watch_url)

    async def _watch(self, asked: Asked) -> Reply:
        link = self._running(asked).view().watch_url
        if link is None:
            raise Refused(sentences.NO_LINK, stage="channel")
        return Reply(sentences.WATCH, Visibility.PRIVATE, link=link)

    async def _help(self, asked: Asked) -> Reply:
        admin = self._permissions.recognise(asked.actor).role is Role.ADMIN
        usages = [entry.usage for entry in self._table.values() if admin or entry.role is not Role.ADMIN]
        return Reply(sentences.HELP, Visibility.PRIVATE, tuple((usage.line, usage.summary) for usage in usages))

    # --- admins ------------------------------------------------------------------------------------------------------

    async def _admin_sessions(self, _asked: Asked) -> Reply:
        fields = tuple((running.session.id, self._line(running)) for running in self._sessions)
        closing = self._closer.unconfirmed
        text = sentences.session_list(len(fields), closing)
        return Reply(text, Visibility.PRIVATE, fields)

    async def _admin_stop(self, asked: Asked) -> Reply:
        running = self._sessions.with_id(asked.command.text)
        if running is None:
            raise Refused(sentences.no_such_session(asked.command.text), stage="admin")
        await self._sessions.stop(running, EndReason.ADMIN, asked.actor)
        return Reply(sentences.STOPPING, Visibility.PRIVATE)

    async def _admin_cleanup(self, asked: Asked) -> Reply:
        report = await self._sessions.clean_up()
        await self._sessions.audit(asked.actor, "cleanup", None, str(report))
        return Reply(sentences.cleaned_up(report.ended, report.unowned), Visibility.PRIVATE)

    def _line(self, running: RunningSession) -> str:
        view, session = running.view(), running.session
        since = session.created_at.astimezone(UTC).strftime("%H:%M UTC")
        waiting = sentences.count(view.queue_length, "message")
        return (
            f"{session.channel}, {sentences.PHASES[view.phase]}, by {session.started_by_name} since {since}, {waiting}"
        )

    # --- what several need -------------------------------------------------------------------------------------------

    def _running(self, asked: Asked) -> RunningSession:
        running = self._sessions.in_channel(asked.channel)
        if running is None:
            raise Refused(sentences.NO_SESSION, stage="channel")
        return running

    def _link(self, session: Session) -> str | None:
        running = self._sessions.with_id(session.id)
        return running.view().watch_url if running else self._sessions.house.links.url(session.link_nonce)


def _one_of(kind: type[_Choice], name: str, value: str) -> _Choice:
    try:
        return kind(value.strip().lower())
    except ValueError:
        raise Refused(sentences.one_of(name, value[:40], [choice.value for choice in kind]), stage="grammar") from None


def _short(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
