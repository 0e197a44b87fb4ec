"""What comes from Slack goes to the process that owns the channel's session, as it came, and is answered there.

Slack spreads what it sends over all sockets, and a balancer its requests, so most of it arrives at the wrong process.
All memory of a channel (the order of its messages, edits that came before their message) is then in one place, the
owner's. Where nobody owns it, this process handles it itself: a start makes it the owner.

An owner that does not answer is looked up again and asked once more, or the next one where there is one by then; then a
message is kept for the next owner, and whoever gave a command is asked to give it again: a skip that comes seconds
later would cut the wrong line.
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
from adapters.chat.slack.events import RETRY_HEADER
from adapters.chat.slack.outbox import Outbox, ReplyTarget
from bot import sentences
from bot.core.bus import Cluster
from bot.core.errors import ProcessUnreachable, StoreError
from bot.core.models import Channel
from bot.core.views import Reply, Visibility

log = structlog.get_logger(__name__)

Payload = Mapping[str, Any]

TO_OWNER = "slack"
"""The kind of what is handed to the owner, as a question and as a parcel."""

TO_ALL = "slack.everywhere"
"""The kind of what concerns every process."""

ATTEMPTS = 2
"""How often an owner is asked. Who has taken over from it meanwhile is asked as well: what is kept for that one would
come behind what is brought to it now."""

ANSWERS_KEPT = 256
"""What was answered for others lately: an owner that was slow is asked the same again within two seconds."""

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

    def __init__(self, app: App, cluster: Cluster, outbox: Outbox) -> None:
        self._app = app
        self._cluster = cluster
        self._outbox = outbox
        self._has_begun = False
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
        if place is None:
            return await self._app.answer(body, headers, mode=mode)
        channel = Channel("slack", _team_of(payload), place)
        try:
            owner = await self._owner(channel, payload)
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
        if "event" in payload:
            # Slack brings it again.
            return BoltResponse(status=_NOT_STORED)
        user = payload.get("user_id") or _part(payload, "user").get("id")
        asker = ReplyTarget(channel, str(user), response_url=payload.get("response_url"))
        self._outbox.reply_ephemeral(asker, Reply(sentences.TAKING_OVER, Visibility.PRIVATE))
        return BoltResponse(status=200)

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

    async def _open(self, packed: str) -> None:
        body, headers, mode = _contents(packed)
        if (await self._app.answer(body, headers, mode=mode)).status >= 500:
            raise StoreError("what was kept of Slack could not be stored")


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
