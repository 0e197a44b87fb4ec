"""What happens to a chat message on its way in: a chain of small stages, then the queue of its session.

own and other bots -> already seen -> channel rule -> permission -> rate per user -> clean -> room in the queue -> one
transaction with the de-duplication keys (rule 7). A stage lets a message pass, ignores it in silence, or refuses it
with a sentence. Knows no platform: adapters say who wrote, where, and whether the avatar was addressed."""

from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from bot import ids, metrics, sentences
from bot.errors import Refused
from bot.model import Actor, Channel, Mode, Role, Utterance, UtteranceState
from bot.permissions import Permissions
from bot.ports import Clock
from bot.running import RunningSession
from bot.sessions import Sessions
from bot.settings import Relay as RelayRule
from bot.speech import make_speakable

LONGEST_MESSAGE = 4000
"""Characters of one message: what Discord and Slack let a person write at once (2,000 to 4,000); about four minutes of
speech, and so a bound on what one message can cost."""

REMEMBERED_KEYS = 4096
"""De-duplication keys kept in memory to spare the database; the truth is in `processed_events`."""

MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Message:
    """A chat message as an adapter hands it in.

    keys: what the platform's deliveries of this one message have in common, for de-duplication; a console has none.
    addressed: it mentions the bot, replies to it, or is a command; else only `SESSION_RELAY=all` relays it.
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
    """What became of a message. `utterance` is None where it was ignored; `ahead` counts what is said before it."""

    utterance: Utterance | None = None
    ahead: int = 0
    live_yet: bool = True
    ignored: str | None = None


class Ignored(Exception):
    """A message that is none of our business; never leaves this module."""


class Relay:
    """Takes messages in."""

    def __init__(
        self, sessions: Sessions, permissions: Permissions, clock: Clock, *, rule: RelayRule, user_rate: int
    ) -> None:
        """`user_rate`: messages per minute and person, 0 for no limit."""
        self._sessions = sessions
        self._permissions = permissions
        self._clock = clock
        self._rule = rule
        self._rate = UserRate(clock, user_rate)
        self._seen: OrderedDict[str, None] = OrderedDict()

    async def receive(self, message: Message) -> Receipt:
        """Take a message in. Raises `Refused` with the sentence for its author, and `StoreError`."""
        try:
            self._pass_bots(message)
            self._pass_seen(message)
            running = self._pass_channel(message)
            self._pass_permission(message)
            mode = self._pass_mode(message, running)
            self._pass_rate(message)
            text = self._pass_clean(message)
            self._pass_queue(running)
        except Ignored as reason:
            return Receipt(ignored=str(reason))
        except Refused as refusal:
            metrics.refusals.labels(stage=refusal.stage).inc()
            raise
        return await self._enqueue(message, running, mode, text)

    # --- the stages, in order ----------------------------------------------------------------------------------------

    def _pass_bots(self, message: Message) -> None:
        if message.actor.is_bot:
            raise Ignored("written by a bot")

    def _pass_seen(self, message: Message) -> None:
        if any(key in self._seen for key in message.keys):
            raise Ignored("delivered before")

    def _pass_channel(self, message: Message) -> RunningSession:
        relayed = message.addressed if self._rule is RelayRule.MENTIONS else self._rule is RelayRule.ALL
        if not relayed and message.mode is None:
            raise Ignored("not addressed to the avatar")
        running = self._sessions.in_channel(message.channel)
        if running is None:
            if message.addressed:
                raise Refused(sentences.NO_SESSION, stage="channel")
            raise Ignored("no session in the channel")
        if running.is_ending:
            raise Refused(sentences.CLOSING, stage="channel")
        return running

    def _pass_permission(self, message: Message) -> None:
        self._permissions.require(message.actor, Role.SPEAKER)

    def _pass_mode(self, message: Message, running: RunningSession) -> Mode:
        mode = message.mode or running.session.mode
        if mode is Mode.CHAT and not self._sessions.house.can_answer:
            raise Refused(sentences.CHAT_NOT_CONFIGURED, stage="mode")
        return mode

    def _pass_rate(self, message: Message) -> None:
        if self._permissions.recognise(message.actor).role is not Role.ADMIN:
            self._rate.count(message.actor.key)

    def _pass_clean(self, message: Message) -> str:
        if len(message.text) > LONGEST_MESSAGE:
            raise Refused(sentences.too_long(len(message.text), LONGEST_MESSAGE), stage="clean")
        text = make_speakable(message.text, message.names)
        if not text:
            raise Refused(sentences.EMPTY_TEXT, stage="clean")
        return text

    def _pass_queue(self, running: RunningSession) -> None:
        limit = self._sessions.house.policy.queue_limit
        if running.waiting >= limit:
            raise Refused(sentences.queue_full(limit), stage="queue")

    # --- the queue ---------------------------------------------------------------------------------------------------

    async def _enqueue(self, message: Message, running: RunningSession, mode: Mode, text: str) -> Receipt:
        utterance = Utterance(
            id=ids.new_utterance_id(self._clock),
            session_id=running.session.id,
            mode=mode,
            text=text,
            author=message.actor.key,
            author_name=message.actor.name,
            state=UtteranceState.QUEUED,
            accepted_at=self._clock.now(),
            message_id=message.message_id,
        )
        with running.expecting():
            if not await self._sessions.house.store.accept(message.keys, utterance):
                self._remember(message.keys)
                return Receipt(ignored="delivered before")
            self._remember(message.keys)
            if running.is_ending:
                await self._sessions.house.store.advance_utterance(utterance.id, UtteranceState.DROPPED)
                raise Refused(sentences.CLOSING, stage="queue")
            ahead = running.ahead_of_the_next
            running.arrive(utterance)
        return Receipt(utterance, ahead, running.is_live)

    def _remember(self, keys: tuple[str, ...]) -> None:
        for key in keys:
            self._seen[key] = None
        while len(self._seen) > REMEMBERED_KEYS:
            self._seen.popitem(last=False)


class UserRate:
    """How many messages each person sent within the last minute."""

    def __init__(self, clock: Clock, limit: int) -> None:
        """`limit`: messages per minute and person, 0 for none."""
        self._clock = clock
        self._limit = limit
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def count(self, person: str) -> None:
        """Count a message. Raises `Refused` where it is one too many."""
        if not self._limit:
            return
        now = self._clock.monotonic()
        times = self._times.setdefault(person, deque())
        self._times.move_to_end(person)
        self._forget(now)
        while times and times[0] <= now - MINUTE:
            times.popleft()
        if len(times) >= self._limit:
            raise Refused(sentences.too_fast(self._limit), stage="rate")
        times.append(now)

    def _forget(self, now: float) -> None:
        """Drop the people who have been silent longest, so that memory follows who talks now."""
        while self._times:
            person, times = next(iter(self._times.items()))
            if (times and times[-1] > now - MINUTE) or len(self._times) == 1:
                return
            del self._times[person]
