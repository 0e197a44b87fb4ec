"""What happens to a chat message on its way in: a chain of small stages, then the queue of its session.

own and other bots -> already seen -> channel rule -> permission -> clean -> room in the queue -> rate per user -> one
transaction with the de-duplication keys (rule 7). A check lets a message pass, ignores it in silence, or refuses it
with a sentence, which only reads who addressed the avatar: of a message among people the receipt says no more than
that it was not taken. Knows no platform: adapters say who wrote, where, and whether the avatar was addressed."""

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from cachetools import FIFOCache

from bot import sentences
from bot.acceptance import MessageAcceptance
from bot.access.permissions import Permissions
from bot.core import ids
from bot.core.errors import Refused, StoreError
from bot.core.models import Actor, Channel, Mode, Role, Utterance, UtteranceState
from bot.core.ports import Clock
from bot.core.views import Reply
from bot.sessions.registry import SessionRegistry
from bot.sessions.session import AvatarSession
from bot.settings import RelayMode
from bot.store.audit import REFUSED
from bot.telemetry import metrics
from bot.text import make_speakable

log = structlog.get_logger(__name__)

MAX_MESSAGE_LENGTH = 4000
"""Characters of one message: what Discord and Slack let a person write at once (2,000 to 4,000); about four minutes of
speech, and so a bound on what one message can cost."""

MAX_READ_LENGTH = 4 * MAX_MESSAGE_LENGTH
"""Characters of a message that a platform's adapter looks at: more than what is refused as too long."""

KEY_CACHE_SIZE = 4096
"""De-duplication keys kept in memory to spare the database; the truth is in `processed_events`."""

MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Message:
    """A chat message as an adapter hands it in.

    keys: what the platform's deliveries of this one message have in common, for de-duplication; a console has none.
    addressed: it mentions the bot, replies to it, or is a command; else only `SESSION_RELAY=all` relays it, and nobody
    is told off for it.
    names: raw tokens in the text (mentions, channels) and what people call them.
    mode: overrides the mode of the session (`say`, `ask`).
    """

    channel: Channel
    actor: Actor
    text: str
    keys: tuple[str, ...] = ()
    message_id: str | None = None
    addressed: bool = True
    names: Mapping[str, str] = field(default_factory=dict)
    mode: Mode | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a message. `utterance` is None if it was ignored; `ahead` counts what is said before it; `wakes`
    says that the avatar has to wake up for it, and `waits_for_viewer` that it says it as soon as somebody opens `link`.

    is_missed: its author, who did not address the avatar, would expect to hear it, so a mark may say that it was not
    taken.
    """

    utterance: Utterance | None = None
    ahead: int = 0
    live_yet: bool = True
    wakes: bool = False
    waits_for_viewer: bool = False
    link: str | None = None
    ignored: str | None = None
    is_missed: bool = False

    def reply(self) -> Reply:
        """What its author reads of a message that was taken, where they read anything."""
        if self.waits_for_viewer:
            return Reply(sentences.QUEUED_FOR_VIEWER, link=self.link)
        return Reply(sentences.queued(self.ahead, live_yet=self.live_yet, wakes=self.wakes))


_NOT_MISSED = ("clean", "permission")
"""Refusals that do not even get a mark on a message among people: without words there is nothing to hear, and who may
not speak is not shown to everybody."""


class Ignored(Exception):
    """A message that is none of our business; never leaves this module."""


class Relay:
    """Takes messages in."""

    def __init__(
        self,
        sessions: SessionRegistry,
        permissions: Permissions,
        clock: Clock,
        *,
        rule: RelayMode,
        user_rate: int,
        user_characters: int = 0,
    ) -> None:
        """`user_rate`, `user_characters`: messages and characters per minute and person, 0 for no limit."""
        self._sessions = sessions
        self._permissions = permissions
        self._clock = clock
        self._rule = rule
        self._acceptance = MessageAcceptance(sessions.services.store)
        self._most = user_rate, user_characters
        self._rate = RateLimiter(clock, user_rate, sentences.too_fast)
        self._characters = RateLimiter(clock, user_characters, sentences.too_much)
        self._seen: FIFOCache[str, None] = FIFOCache(KEY_CACHE_SIZE)

    async def receive(self, message: Message) -> Receipt:
        """Take a message in. Raises `Refused` with the sentence for an author who addressed the avatar, and
        `StoreError`."""
        try:
            running, mode, text = self._check(message)
            with self._sessions.services.precedence.urgent():
                if self._counts_together:
                    await self._check_rate_together(message, text)
                    self._check_queue(running)
                return await self._enqueue(message, running, mode, text)
        except Ignored as reason:
            return Receipt(ignored=str(reason))
        except Refused as refusal:
            # Slack brings one message as two events: what the first was refused for may be over when the second comes,
            # and the message would be said behind later ones, although its author has read that it is not.
            self._remember(message.keys)
            await self._note_refused(message)
            metrics.refusals.labels(stage=refusal.stage).inc()
            # Where it came as a command, the table of commands writes it down.
            if refusal.stage == "permission" and message.mode is None:
                await self._sessions.audit(message.actor, REFUSED, None, f"a message in {message.channel}: {refusal}")
            if message.addressed or message.mode is not None:
                raise
            return Receipt(ignored=str(refusal), is_missed=refusal.stage not in _NOT_MISSED)

    async def unheard(self, keys: Sequence[str]) -> set[str]:
        """Those of the de-duplication keys whose messages were neither taken nor refused, by this process or another.
        Raises `StoreError`."""
        new = [key for key in keys if key not in self._seen]
        return set(new) - await self._sessions.services.store.utterances.seen_of(new) if new else set()

    async def _note_refused(self, message: Message) -> None:
        """Who has read that a message is not said does not hear it after all, from a process that reads it again."""
        if not message.keys or self._sessions.in_channel(message.channel) is None:
            return
        try:
            await self._sessions.services.store.utterances.accept(message.keys, None)
        except StoreError as error:
            log.warning("that a message was refused could not be written", error=str(error))

    def _check(self, message: Message) -> tuple[AvatarSession, Mode, str]:
        """The session that says a message, how, and what. Raises `Ignored`, `Refused`."""
        self._check_bots(message)
        self._check_seen(message)
        running = self._check_channel(message)
        actor = self._check_permission(message)
        mode = self._check_mode(message, running)
        text = self._check_clean(message)
        self._check_queue(running)
        if not self._counts_together:
            self._check_rate(actor, text)
        return running, mode, text

    async def edit(self, channel: Channel, message_id: str, text: str, names: Mapping[str, str]) -> None:
        """A message was edited: what still waits is said as it reads now.

        It is dropped where nothing speakable is left, where it would not have been taken as it is now (too long, too
        many characters within the minute), and where its author has been blocked meanwhile.
        """
        speakable = make_speakable(text, names) if len(text) <= MAX_MESSAGE_LENGTH else ""
        running = await self._settled(channel)
        if running is None:
            return
        before = next((waits for waits in running.speaker.queued() if waits.message_id == message_id), None)
        if before is None:
            return
        if speakable and await self._may_edit(before, channel, speakable):
            running.mailbox.post(running.speaker.edit, message_id, speakable)
        else:
            running.mailbox.post(running.speaker.queue.delete, message_id)

    async def _may_edit(self, before: Utterance, channel: Channel, text: str) -> bool:
        author = Actor(channel.platform, before.author.partition(":")[2], before.author_name)
        author = self._permissions.recognise(author, channel)
        if author.role is Role.BLOCKED:
            return False
        try:
            more = max(0, len(text) - len(before.text))
            if self._counts_together:
                await self._count_together(author, 0, more, (0, self._most[1]))
            else:
                self._characters.count(author.key, more)
        except Refused as refusal:
            metrics.refusals.labels(stage=refusal.stage).inc()
            return False
        return True

    async def delete(self, channel: Channel, message_id: str) -> None:
        """A message was deleted: it leaves the queue where it still waits."""
        if (running := await self._settled(channel)) is not None:
            running.mailbox.post(running.speaker.queue.delete, message_id)

    async def _settled(self, channel: Channel) -> AvatarSession | None:
        """The session of a channel, once every message that is being taken has its place: the change of a message may
        come on the heels of the message."""
        running = self._sessions.in_channel(channel)
        if running is not None:
            await running.pending.wait_persisted()
        return running

    # --- the stages, in order ----------------------------------------------------------------------------------------

    def _check_bots(self, message: Message) -> None:
        if message.actor.is_bot:
            raise Ignored("written by a bot")

    def _check_seen(self, message: Message) -> None:
        if any(key in self._seen for key in message.keys):
            raise Ignored("delivered before")

    def _check_channel(self, message: Message) -> AvatarSession:
        relayed = message.addressed if self._rule is RelayMode.MENTIONS else self._rule is RelayMode.ALL
        if not relayed and message.mode is None:
            raise Ignored("not addressed to the avatar")
        running = self._sessions.in_channel(message.channel)
        if running is None:
            if message.addressed:
                raise Refused(sentences.NO_SESSION, stage="channel")
            raise Ignored("no session in the channel")
        if running.stop.is_set:
            raise Refused(sentences.CLOSING, stage="channel")
        return running

    def _check_permission(self, message: Message) -> Actor:
        self._permissions.require_channel(message.channel)
        return self._permissions.require(message.actor, Role.SPEAKER, message.channel)

    def _check_mode(self, message: Message, running: AvatarSession) -> Mode:
        mode = message.mode or running.session.mode
        if mode is Mode.CHAT:
            self._sessions.services.require_answers()
        return mode

    def _check_rate(self, actor: Actor, text: str) -> None:
        if actor.role is not Role.ADMIN:
            self._rate.count(actor.key)
            self._characters.count(actor.key, len(text))

    @property
    def _counts_together(self) -> bool:
        """Whether there is a limit of what a person sends, and other processes that take it in as well."""
        return any(self._most) and not self._sessions.services.cluster.directory.is_alone

    async def _check_rate_together(self, message: Message, text: str) -> None:
        """As `_check_rate`, with what the person has sent to other processes. Everybody's message waits for a write, so
        that none overtakes another one."""
        is_admin = self._permissions.recognise(message.actor, message.channel).role is Role.ADMIN
        await self._count_together(message.actor, 1, len(text), (0, 0) if is_admin else self._most)

    async def _count_together(self, author: Actor, messages: int, characters: int, most: tuple[int, int]) -> None:
        minute = int(self._clock.now().timestamp() // MINUTE)
        rates = self._sessions.services.store.rates
        exceeded = await rates.count(author.key, minute, (messages, characters), most)
        if exceeded is not None:
            told = sentences.too_fast(most[0]) if exceeded == "messages" else sentences.too_much(most[1])
            raise Refused(told, stage="rate")

    def _check_clean(self, message: Message) -> str:
        if len(message.text) > MAX_MESSAGE_LENGTH:
            raise Refused(sentences.too_long(len(message.text), MAX_MESSAGE_LENGTH), stage="length")
        text = make_speakable(message.text, message.names)
        if not text:
            raise Refused(sentences.EMPTY_TEXT, stage="clean")
        return text

    def _check_queue(self, running: AvatarSession) -> None:
        limit = self._sessions.services.policy.queue_limit
        if running.waiting >= limit:
            raise Refused(sentences.queue_full(limit), stage="queue")

    # --- the queue ---------------------------------------------------------------------------------------------------

    async def _enqueue(self, message: Message, running: AvatarSession, mode: Mode, text: str) -> Receipt:
        # Where nothing is before it, its request follows at once: no other write is needed that says so.
        begins_at_once = running.may_begin_at_once(mode)
        utterance = Utterance(
            id=ids.new_utterance_id(self._clock),
            session_id=running.session.id,
            mode=mode,
            text=text,
            author=message.actor.key,
            author_name=message.actor.name,
            state=UtteranceState.SENDING if begins_at_once else UtteranceState.QUEUED,
            accepted_at=self._clock.now(),
            message_id=message.message_id,
        )
        with running.pending.reserve():
            taken = await self._acceptance.accept(message.keys, utterance, running.recorder)
            self._remember(message.keys)
            if taken is None:
                return Receipt(ignored="delivered before")
            utterance = taken
            if running.stop.is_set:
                await self._sessions.services.store.utterances.advance(utterance.id, UtteranceState.DROPPED)
                raise Refused(sentences.CLOSING, stage="queue")
            if message.mode is not None:
                running.announcer.promise(utterance.id)
            ahead = running.speaker.waiting + (running.speaker.current is not None)
            running.speaker.enqueue(utterance)
        if running.audience.is_missing:
            return Receipt(utterance, ahead, waits_for_viewer=True, link=running.view().watch_url)
        return Receipt(utterance, ahead, running.is_live, wakes=running.is_asleep)

    def _remember(self, keys: tuple[str, ...]) -> None:
        for key in keys:
            self._seen[key] = None


class RateLimiter:
    """How much each person sent within the last minute."""

    def __init__(self, clock: Clock, limit: int, refusal: Callable[[int], str]) -> None:
        """`limit`: per minute and person, 0 for none. `refusal` makes the sentence that names it."""
        self._clock = clock
        self._limit = limit
        self._refusal = refusal
        self._sent: OrderedDict[str, deque[tuple[float, int]]] = OrderedDict()

    def count(self, person: str, amount: int = 1) -> None:
        """Count what a person sends. Raises `Refused` if it is too much; then it does not count."""
        if not self._limit:
            return
        now = self._clock.monotonic()
        sent = self._sent.setdefault(person, deque())
        self._sent.move_to_end(person)
        self._forget(now)
        while sent and sent[0][0] <= now - MINUTE:
            sent.popleft()
        if sum(earlier for _, earlier in sent) + amount > self._limit:
            raise Refused(self._refusal(self._limit), stage="rate")
        sent.append((now, amount))

    def _forget(self, now: float) -> None:
        """Drop the people who have been silent longest, so that memory follows who talks now."""
        while self._sent:
            person, sent = next(iter(self._sent.items()))
            if (sent and sent[-1][0] > now - MINUTE) or len(self._sent) == 1:
                return
            del self._sent[person]
