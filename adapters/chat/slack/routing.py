"""What comes from Slack goes to the process that owns the channel's session, as it came, and is answered there.

Slack spreads what it sends over all sockets, and a balancer its requests, so most of it arrives at the wrong process.
All memory of a channel (the order of its messages, edits that came before their message) is then in one place, the
owner's. Where nobody owns it, this process handles it itself: a start makes it the owner. So it does with what people
say to each other where the avatar is not to say it, which is most of what comes.

An owner that does not answer is looked up again and asked once more, or the next one where there is one by then; then a
message is kept for the next owner. A command is nobody else's: a skip that comes seconds later would cut the wrong
line. Its owner is asked on for a while, always the same thing, which it does once and answers to whoever gave the
command; where it never does, they read that it may be done or not. Only where it surely is not are they asked to give
it again.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import structlog
from cachetools import FIFOCache
from slack_bolt.response import BoltResponse

from adapters.chat.slack.app import MESSAGES, App
from adapters.chat.slack.events import RETRY_HEADER, is_left_out
from adapters.chat.slack.outbox import Outbox, ReplyTarget
from bot import sentences
from bot.core.bus import Cluster
from bot.core.errors import ProcessSilent, ProcessUnreachable, StoreError
from bot.core.models import Channel
from bot.core.ports import Clock
from bot.core.tasks import TaskSet
from bot.core.views import Reply, Visibility
from bot.settings import RelayMode

log = structlog.get_logger(__name__)

Payload = Mapping[str, Any]

TO_OWNER = "slack"
"""The kind of what is handed to the owner, as a question and as a parcel."""

TO_ALL = "slack.everywhere"
"""The kind of what concerns every process."""

ATTEMPTS = 2
"""How often an owner is asked. Who has taken over from it meanwhile is asked as well: what is kept for that one would
come behind what is brought to it now."""

INSIST_FOR = 10.0
"""Seconds for which the owner of a command is asked on once Slack has its acknowledgement, for which it waits 3 s: one
that is dead is known to be so within some 7 s (`bot.cluster.membership`)."""

INSIST_EVERY = 2.0
"""Seconds that each of these questions waits for an answer."""

ANSWERS_KEPT = 2048
"""What was answered for others lately: an owner that was slow is asked the same again, and does it once. More than come
in while one asks on."""

_HANDED_ON = (RETRY_HEADER, "content-type")
"""Headers that matter behind the check of the signature, which is made where a request arrives."""

_NOT_STORED = 503
"""The status of `adapters.chat.slack.app.failed` where another delivery may fare better."""

_CONCERN_ALL = ("app_uninstalled", "tokens_revoked", "team_access_granted", "team_access_revoked")
_GROUPS = "subteam_"


class _Answer:
    """What was answered, once it is there; `text` stays None where there was none."""

    def __init__(self) -> None:
        self.is_there = asyncio.Event()
        self.text: str | None = None


class Routing:
    """Answers what Slack sends, here or at its owner. `begin` once this process can answer for others, `end` when it
    no longer can."""

    def __init__(self, app: App, cluster: Cluster, outbox: Outbox, clock: Clock, relay: RelayMode) -> None:
        self._app = app
        self._cluster = cluster
        self._outbox = outbox
        self._clock = clock
        self._relay = relay
        self._has_begun = False
        self._tasks = TaskSet()
        self._answers: FIFOCache[str, _Answer] = FIFOCache(ANSWERS_KEPT)

    def begin(self) -> None:
        """Answer also what other processes hand on."""
        if not self._has_begun:
            self._has_begun = True
            self._cluster.bus.handle(TO_OWNER, self._answer_for_another)
            self._cluster.bus.handle(TO_ALL, self._take_news)
            self._cluster.parcels.handle(TO_OWNER, self._open)

    def end(self) -> None:
        """Answer no other process any more."""
        self._cluster.bus.unhandle(TO_OWNER)
        self._cluster.bus.unhandle(TO_ALL)
        self._cluster.parcels.unhandle(TO_OWNER)

    async def close(self) -> None:
        """Ask nobody any more; who still waited for what became of a command reads that it is not known."""
        await self._tasks.close()

    async def answer(
        self, body: str | dict[str, Any], headers: Mapping[str, str], *, mode: str = "http"
    ) -> BoltResponse:
        """Answer what came from Slack, as `App.answer` does. Raises nothing."""
        if self._cluster.directory.is_alone:
            return await self._app.answer(body, headers, mode=mode)
        payload = payload_of(body)
        if concerns_all(payload):
            await self._cluster.bus.shout(TO_ALL, _packed(body, headers, mode))
        place = place_of(payload)
        if place is None or is_left_out(_part(payload, "event"), _bot_of(payload), self._relay):
            return await self._app.answer(body, headers, mode=mode)
        channel = Channel("slack", _team_of(payload), place)
        try:
            owner = await self._owner(channel, payload)
            if "event" not in payload:
                return await self._answer_command(channel, owner, payload, _packed(body, headers, mode))
            asked: list[str] = []
            while owner is None or (asked.count(owner) < ATTEMPTS and len(asked) <= ATTEMPTS):
                if owner is None:
                    return await self._app.answer(body, headers, mode=mode)
                asked.append(owner)
                try:
                    return _unpacked(await self._cluster.bus.ask(owner, TO_OWNER, _packed(body, headers, mode)))
                except ProcessUnreachable as error:
                    log.info("the owner of a session does not answer", error=str(error))
                owner = await self._cluster.directory.find(channel, afresh=True)
            return await self._keep(channel, payload, _packed(body, headers, mode))
        except StoreError as error:
            log.warning("who owns a session could not be found out", error=str(error))
            # An event comes again; who gave a command is told of the database.
            if "event" in payload:
                return BoltResponse(status=_NOT_STORED)
            return await self._app.answer(body, headers, mode=mode)

    async def _owner(self, channel: Channel, payload: Payload) -> str | None:
        """Who else owns the channel's session. What people say to each other does not cost a look at the database."""
        directory = self._cluster.directory
        is_overheard = _type_of_event(payload) == "message"
        if is_overheard and self._cluster.bus.is_listening:
            return directory.owner_of(channel)
        return await directory.find(channel)

    async def _keep(self, channel: Channel, payload: Payload, packed: str) -> BoltResponse:
        if _type_of_event(payload) in MESSAGES:
            await self._cluster.parcels.put(channel, TO_OWNER, packed)
            return BoltResponse(status=200)
        # Slack brings it again.
        return BoltResponse(status=_NOT_STORED)

    # --- commands ----------------------------------------------------------------------------------------------------

    async def _answer_command(self, channel: Channel, owner: str | None, payload: Payload, packed: str) -> BoltResponse:
        """Have a command, a button or a form carried out once, where the session is. Raises `StoreError`."""
        for _ in range(ATTEMPTS):
            if owner is None:
                body, headers, mode = _contents(packed)
                return await self._app.answer(body, headers, mode=mode)
            try:
                return _unpacked(await self._cluster.bus.ask(owner, TO_OWNER, packed))
            except ProcessSilent as error:
                log.info("the owner of a session does not answer; it is asked on", error=str(error))
                insisting = self._insist(channel, owner, packed, _asker(channel, payload))
                self._tasks.create_task(insisting, name="slack command at another process")
                return BoltResponse(status=200)
            except ProcessUnreachable as error:
                log.info("the owner of a session does not take a command", error=str(error))
            owner = await self._cluster.directory.find(channel, afresh=True)
        self._tell(_asker(channel, payload), sentences.TAKING_OVER)
        return BoltResponse(status=200)

    async def _insist(self, channel: Channel, owner: str, packed: str, asker: ReplyTarget) -> None:
        """Ask one process until it says that it has done it, and so has told whoever gave the command; else they are
        told here that it is not known."""
        is_done = False
        try:
            is_done = await self._does(channel, owner, packed)
        finally:
            if not is_done:
                self._tell(asker, sentences.MAY_BE_DONE)

    async def _does(self, channel: Channel, owner: str, packed: str) -> bool:
        until = self._clock.monotonic() + INSIST_FOR
        while self._clock.monotonic() < until and self._cluster.directory.owner_of(channel) in (owner, None):
            try:
                await self._cluster.bus.ask(owner, TO_OWNER, packed, timeout=INSIST_EVERY)
            except ProcessSilent as error:
                log.info("the owner of a session still does not answer", error=str(error))
            except ProcessUnreachable as error:
                # It may have done it when it was asked before.
                log.info("the owner of a session does not take a command any more", error=str(error))
                return False
            else:
                return True
        return False

    def _tell(self, asker: ReplyTarget, sentence: str) -> None:
        self._outbox.reply_ephemeral(asker, Reply(sentence, Visibility.PRIVATE))

    # --- for other processes -----------------------------------------------------------------------------------------

    async def _answer_for_another(self, _sender: str, packed: str) -> str:
        # Who had no answer in time asks again, and a command must not be carried out twice for that.
        if (begun := self._answers.get(packed)) is not None:
            await begun.is_there.wait()
            if begun.text is not None:
                return begun.text
        begun = self._answers[packed] = _Answer()
        try:
            begun.text = await self._answer_as_owner(packed)
            return begun.text
        finally:
            begun.is_there.set()

    async def _answer_as_owner(self, packed: str) -> str:
        body, headers, mode = _contents(packed)
        place = place_of(payload_of(body))
        if place is not None and self._cluster.directory.owner_of(Channel("slack", "", place)) is not None:
            raise ProcessUnreachable("the session is another process's by now")
        response = await self._app.answer(body, headers, mode=mode)
        if response.status == _NOT_STORED:
            # It may be this process alone that cannot: another one takes its place, or keeps what came.
            raise ProcessUnreachable("it could not be stored here")
        return json.dumps({"status": response.status, "body": response.body, "headers": response.headers})

    async def _take_news(self, _sender: str, packed: str) -> str:
        body, headers, mode = _contents(packed)
        await self._app.answer(body, headers, mode=mode)
        return ""

    async def _open(self, packed: str, late_by: float | None) -> None:
        body, headers, mode = _contents(packed)
        if (await self._app.answer(body, headers, mode=mode, late_by=late_by)).status >= 500:
            raise StoreError("what was kept of Slack could not be stored")


def _asker(channel: Channel, payload: Payload) -> ReplyTarget:
    user = payload.get("user_id") or _part(payload, "user").get("id")
    return ReplyTarget(channel, str(user), response_url=payload.get("response_url"))


def payload_of(body: str | Payload) -> Payload:
    """What was sent, in whichever of Slack's forms; empty where it is none of them."""
    if not isinstance(body, str):
        return body
    if body.startswith("{"):
        parsed = json.loads(body)
        return parsed if isinstance(parsed, dict) else {}
    form = parse_qs(body)
    if "payload" in form:
        parsed = json.loads(form["payload"][0])
        return parsed if isinstance(parsed, dict) else {}
    return {name: values[0] for name, values in form.items()}


def place_of(payload: Payload) -> str | None:
    """The id of the channel that it is about; None where it is about none, or says it within a form of ours."""
    event = _part(payload, "event")
    found = (
        event.get("channel"),
        _part(event, "channel").get("id"),
        payload.get("channel_id"),
        _part(payload, "channel").get("id"),
        _part(payload, "container").get("channel_id"),
    )
    return next((place for place in found if isinstance(place, str) and place), None)


def concerns_all(payload: Payload) -> bool:
    """Whether every process has something to forget, or to end."""
    kind = _type_of_event(payload)
    return kind in _CONCERN_ALL or kind.startswith(_GROUPS)


def _type_of_event(payload: Payload) -> str:
    kind = _part(payload, "event").get("type")
    return kind if isinstance(kind, str) else ""


def _team_of(payload: Payload) -> str:
    team = payload.get("team_id") or _part(payload, "team").get("id")
    return team if isinstance(team, str) else ""


def _bot_of(payload: Payload) -> str:
    """The user that the app is, where the event says for whom it comes; else nobody's id."""
    authorizations = payload.get("authorizations")
    for one in authorizations if isinstance(authorizations, list) else ():
        if isinstance(one, Mapping) and one.get("is_bot") is True:
            return str(one.get("user_id"))
    return ""


def _part(payload: Payload, name: str) -> Payload:
    part = payload.get(name)
    return part if isinstance(part, Mapping) else {}


def _packed(body: str | Payload, headers: Mapping[str, str], mode: str) -> str:
    handed_on = {name: headers[name] for name in _HANDED_ON if name in headers}
    return json.dumps({"body": body, "headers": handed_on, "mode": mode})


def _contents(packed: str) -> tuple[str | dict[str, Any], dict[str, str], str]:
    parts = json.loads(packed)
    return parts["body"], parts["headers"], parts["mode"]


def _unpacked(answer: str) -> BoltResponse:
    parts = json.loads(answer)
    return BoltResponse(status=parts["status"], body=parts["body"], headers=parts["headers"])
