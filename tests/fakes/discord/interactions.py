"""Interactions once they are sent: acknowledging within 3 s, answering, follow-ups. It builds none (asking.py).

[D] https://docs.discord.com/developers/interactions/receiving-and-responding: callback types, the 3 s deadline, tokens
that live 15 minutes, ephemeral answers that no other user and no gateway event shows. That the first follow-up of a
deferred interaction becomes its original answer is known from Discord's behaviour.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from tests.fakes.discord import posts, shapes
from tests.fakes.discord.activities import Activities, ActivityInstance
from tests.fakes.discord.changes import Changes
from tests.fakes.discord.commands import Commands
from tests.fakes.discord.errors import Refused, invalid
from tests.fakes.discord.gateway import Gateway
from tests.fakes.discord.state import EPHEMERAL, LOADING, Channel, DiscordState, Message, User

PONG, MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, CHOICES, MODAL, LAUNCH = 1, 4, 5, 6, 7, 8, 9, 12
COMMAND, COMPONENT, AUTOCOMPLETE, SUBMIT = 2, 3, 4, 5
_ALLOWED = {
    COMMAND: {MESSAGE, DEFERRED, MODAL, LAUNCH},
    COMPONENT: {MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, MODAL, LAUNCH},
    AUTOCOMPLETE: {CHOICES},
    SUBMIT: {MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, LAUNCH},
}
_NAMES = {
    MESSAGE: "message",
    DEFERRED: "deferred",
    DEFERRED_UPDATE: "deferred_update",
    UPDATE: "update",
    CHOICES: "choices",
    MODAL: "modal",
    LAUNCH: "launch",
}
Files = list[tuple[str, int]]


@dataclass(frozen=True)
class Attempt:
    """One callback: seconds since the interaction was sent, what was sent, and how it was answered."""

    seconds: float
    body: Mapping[str, Any]
    status: int
    code: int | None


@dataclass(frozen=True)
class Acknowledgement:
    """The callback that counted; kind is "message", "deferred", "deferred_update", "update", "choices", "modal" or
    "launch"."""

    kind: str
    data: Mapping[str, Any]


@dataclass(eq=False)
class Interaction:
    """One interaction as the asker experiences it; that of a modal knows which one had shown it (`shown_by`)."""

    id: int
    token: str
    kind: int
    channel: Channel
    user: User
    changes: Changes
    message: Message | None = None
    shown_by: Self | None = None
    data: dict[str, Any] = field(default_factory=dict)
    sent_at: float = 0.0
    aged: float = 0.0
    attempts: list[Attempt] = field(default_factory=list)
    acknowledgement: Acknowledgement | None = None
    ack_seconds: float | None = None
    response: Message | None = None
    followups: list[Message] = field(default_factory=list)
    choices: list[dict[str, Any]] = field(default_factory=list)
    modal: dict[str, Any] | None = None
    launched: ActivityInstance | None = None

    @property
    def age(self) -> float:
        """Seconds since it was sent, with those a test let pass."""
        return time.monotonic() - self.sent_at + self.aged

    async def acknowledged(self, *, timeout: float = 30.0) -> Acknowledgement:
        """Waits for the callback that counts. Raises AssertionError when none comes within `timeout` seconds."""
        await self.changes.until(lambda: self.acknowledgement is not None, timeout=timeout)
        assert self.acknowledgement is not None
        return self.acknowledgement

    async def answered(self, *, timeout: float = 30.0) -> Message:
        """Waits until the asker reads an answer and no longer "is thinking"; returns that message.

        For a button whose message was updated (or only acknowledged) this is the button's message. A first follow-up
        after "deferred_update" is in `followups`.
        """
        await self.changes.until(lambda: self.response is not None and not self.response.loading, timeout=timeout)
        assert self.response is not None
        return self.response

    async def followed_up(self, number: int = 1, *, timeout: float = 30.0) -> Message:
        """Waits for the follow-up of this number, from 1, and returns it."""
        await self.changes.until(lambda: len(self.followups) >= number, timeout=timeout)
        return self.followups[number - 1]


class Interactions:
    """All interactions, and the requests that answer them."""

    def __init__(self, world: DiscordState, gateway: Gateway, changes: Changes) -> None:
        self.world = world
        self.gateway = gateway
        self.changes = changes
        self.commands = Commands(world)
        self.activities = Activities(world)
        self.response_deadline = 3.0
        self.token_life = 15 * 60.0
        self.all: list[Interaction] = []
        self._tokens: dict[str, Interaction] = {}

    def age(self, seconds: float) -> None:
        """Makes all there are older."""
        for one in self.all:
            one.aged += seconds

    def _by_token(self, token: str) -> Interaction:
        try:
            return self._tokens[token]
        except KeyError:
            raise Refused(10015) from None

    # -- the callback -----------------------------------------------------------------------------------------------

    def callback(self, number: int, token: str, body: Mapping[str, Any], files: Files) -> dict[str, Any]:
        """Acknowledges an interaction and returns what `with_response` shows. Raises Refused (10062, 40060, ...)."""
        one = self._tokens.get(token)
        if one is None or one.id != number:
            raise Refused(10062)
        seconds = time.monotonic() - one.sent_at
        try:
            self._acknowledge(one, body, files)
        except Refused as refused:
            one.attempts.append(Attempt(seconds, body, refused.status, refused.code))
            raise
        finally:
            self.changes.tell()
        one.attempts.append(Attempt(seconds, body, 200, None))
        one.ack_seconds = seconds
        one.acknowledgement = Acknowledgement(_NAMES[body["type"]], body.get("data") or {})
        self.changes.tell()
        return self._resource(one, body["type"])

    def _acknowledge(self, one: Interaction, body: Mapping[str, Any], files: Files) -> None:
        kind, data = body["type"], body.get("data") or {}
        if one.acknowledgement is not None:
            raise Refused(40060)
        if one.age > self.response_deadline:
            raise Refused(10062)
        if kind not in _ALLOWED[one.kind] or (kind in (UPDATE, DEFERRED_UPDATE) and one.message is None):
            raise invalid("type", f"Type {kind} does not answer an interaction of type {one.kind}")
        if kind == CHOICES:
            self._choose(one, data)
        elif kind == MODAL:
            one.modal = dict(data)
        elif kind == LAUNCH:
            if not self.activities.is_enabled:
                raise invalid("type", "This application has no Activities")
            one.launched = self.activities.launch(one.channel, one.user)
        elif kind == MESSAGE:
            posts.check(data)
            one.response = self._post(one, data, files)
        elif kind == DEFERRED:
            one.response = self._post(one, {"flags": (data.get("flags") or 0) & EPHEMERAL}, [], thinking=True)
        else:
            assert one.message is not None
            if kind == UPDATE:
                self._edit(one.message, data, files)
            one.response = one.message

    def _choose(self, one: Interaction, data: Mapping[str, Any]) -> None:
        choices = list(data.get("choices") or [])
        if len(choices) > 25:
            raise invalid("data.choices", "Must be 25 or fewer in length.")
        for choice in choices:
            if not 1 <= len(choice["name"]) <= 100 or len(str(choice["value"])) > 100:
                raise invalid("data.choices", "Must be between 1 and 100 in length.")
        one.choices = choices

    def _resource(self, one: Interaction, kind: int) -> dict[str, Any]:
        shown: dict[str, Any] = {"id": str(one.id), "type": one.kind, "channel_id": str(one.channel.id)}
        if one.channel.guild is not None:
            shown["guild_id"] = str(one.channel.guild.id)
        answer: dict[str, Any] = {"interaction": shown}
        if one.launched is not None:
            shown["activity_instance_id"] = one.launched.id
            answer["resource"] = {"type": LAUNCH, "activity_instance": {"id": one.launched.id}}
        if one.response is not None:
            shown |= {
                "response_message_id": str(one.response.id),
                "response_message_loading": one.response.loading,
                "response_message_ephemeral": one.response.ephemeral,
            }
            if kind in (MESSAGE, UPDATE):  # [S] deferred answers have no resource
                answer["resource"] = {"type": kind, "message": shapes.message(one.response, bot=self.world.bot)}
        return answer

    # -- messages ---------------------------------------------------------------------------------------------------

    def _post(
        self, one: Interaction, body: Mapping[str, Any], files: Files, *, thinking: bool = False, nested: bool = False
    ) -> Message:
        found = posts.fields(body, files)
        flags = found.pop("flags", 0) | (LOADING if thinking else 0)
        message = self.world.new_message(
            one.channel,
            self.world.bot,
            flags=flags,
            type=(20 if one.kind == COMMAND else 0) if not nested else 19,
            webhook_id=self.world.bot.id,
            interaction=shapes.interaction_metadata(one, owners(one.channel)),
            seen_by=one.user if flags & EPHEMERAL else None,
            **found,
        )
        posts.notify(message, body, self.world)
        self.gateway.dispatch_message("MESSAGE_CREATE", message)
        return message

    def _edit(self, message: Message, body: Mapping[str, Any], files: Files) -> None:
        posts.check(body, before=message)
        message.change(**posts.fields(body, files, before=message))
        message.edited = True
        if message.loading:
            message.flags &= ~LOADING
        posts.notify(message, body, self.world)
        self.gateway.dispatch_message("MESSAGE_UPDATE", message)

    # -- the interaction's webhook ----------------------------------------------------------------------------------

    def _living(self, token: str) -> Interaction:
        one = self._by_token(token)
        if one.acknowledgement is None:
            raise Refused(10015)
        if one.age > self.token_life:
            raise Refused(50027)
        return one

    def follow_up(self, token: str, body: Mapping[str, Any], files: Files) -> Message:
        """Posts a follow-up; the first one after "deferred" becomes the original answer."""
        one = self._living(token)
        posts.check(body)
        if one.response is not None and one.response.loading and not one.response.deleted:
            self._edit(one.response, {name: body[name] for name in body if name != "flags"}, files)
            return one.response
        message = self._post(one, body, files, nested=one.response is not None and not one.response.ephemeral)
        one.followups.append(message)
        self.changes.tell()
        return message

    def find(self, token: str, name: str) -> Message:
        """A message of the interaction: "@original" or an id. Raises Refused 10008 when there is none."""
        one = self._living(token)
        mine = [message for message in (one.response, *one.followups) if message is not None and not message.deleted]
        for message in mine:
            if name == str(message.id) or (name == "@original" and message is one.response):
                return message
        raise Refused(10008)

    def edit(self, token: str, name: str, body: Mapping[str, Any], files: Files) -> Message:
        """Edits a message of the interaction."""
        message = self.find(token, name)
        self._edit(message, body, files)
        return message

    def delete(self, token: str, name: str) -> None:
        """Deletes a message of the interaction."""
        message = self.find(token, name)
        message.deleted = True
        if not message.ephemeral:
            self.gateway.dispatch_in("MESSAGE_DELETE", message.channel, {"id": str(message.id)})
        self.changes.tell()

    async def send(self, one: Interaction, payload: Mapping[str, Any]) -> Interaction:
        """Sends INTERACTION_CREATE to the bot: whatever its intents, even where it sees no channel [D]."""
        self.all.append(one)
        self._tokens[one.token] = one
        one.sent_at = time.monotonic()
        self.gateway.dispatch("INTERACTION_CREATE", payload, guild=one.channel.guild)
        await self.gateway.flush()
        return one


def owners(channel: Channel) -> dict[str, str]:
    """`authorizing_integration_owners`: the guild ("0" in direct messages) that installed the app [D]."""
    return {"0": str(channel.guild.id) if channel.guild else "0"}
