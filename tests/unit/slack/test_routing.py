"""Whose what comes from Slack is, and what becomes of it where the owner does not answer: over a bus in memory, on a
clock that the test moves. Payloads as docs.slack.dev shows them."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest
from slack_bolt.response import BoltResponse

from adapters.chat.slack.app import App
from adapters.chat.slack.outbox import Outbox, ReplyTarget
from adapters.chat.slack.routing import INSIST_EVERY, INSIST_FOR, TO_OWNER, Routing, concerns_all, payload_of, place_of
from bot import sentences
from bot.cluster.alone import NoClaims
from bot.cluster.bus import PostgresBus
from bot.core.bus import ASK_TIMEOUT, NOBODY, Cluster, Open
from bot.core.errors import StoreError, StoreUnavailable
from bot.core.events import Delivery
from bot.core.models import Channel, Session
from bot.core.views import Reply
from bot.settings import RelayMode
from bot.store.url import parse_url
from tests.fakes.notifications import NotifyingServer
from tests.harness.clock import ManualClock, settle

ADDRESS = parse_url("postgresql://relay@nowhere/relay")
PLACE = "C012"
OURS = {"team_id": "T1", "user_id": "UBOT", "is_bot": True}


def event(kind: str = "message", **inner: object) -> dict[str, Any]:
    return {"type": "event_callback", "team_id": "T1", "event": {"type": kind, "channel": PLACE, **inner}}


COMMAND = {"command": "/avatar", "text": "skip", "channel_id": PLACE, "user_id": "U1", "response_url": "https://back"}
BUTTON = {"type": "block_actions", "channel": {"id": PLACE}, "user": {"id": "U1"}, "response_url": "https://back"}


# --- where it belongs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "place"),
    [
        (event("message"), PLACE),
        (event("app_mention"), PLACE),
        (event("message", subtype="message_changed", message={"text": "new"}), PLACE),
        (event("message", subtype="message_deleted", previous_message={}), PLACE),
        (event("channel_archive"), PLACE),
        (event("member_left_channel"), PLACE),
        (event("entity_details_requested", user="U1"), PLACE),
        ({"event": {"type": "channel_rename", "channel": {"id": PLACE, "name": "new"}}}, PLACE),
        (COMMAND, PLACE),
        (BUTTON, PLACE),
        ({"type": "block_actions", "container": {"type": "message", "channel_id": PLACE}}, PLACE),
        ({"type": "message_action", "channel": {"id": PLACE}, "message": {}}, PLACE),
        ({"type": "shortcut", "user": {"id": "U1"}}, None),
        ({"type": "view_submission", "view": {"id": "V1"}}, None),
        ({"event": {"type": "app_uninstalled"}}, None),
        ({"event": {"type": "tokens_revoked", "tokens": {}}}, None),
        ({"type": "url_verification", "challenge": "x"}, None),
        ({"event": "nonsense", "channel": 7, "container": [], "channel_id": {}}, None),
        ({}, None),
    ],
)
def test_the_channel_that_something_is_about(payload: dict[str, Any], place: str | None) -> None:
    assert place_of(payload) == place


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        (COMMAND, COMMAND),
        (urlencode(COMMAND), COMMAND),
        (urlencode({"payload": json.dumps(BUTTON)}), BUTTON),
        (json.dumps(event()), event()),
        ("", {}),
        ('{"a": [}'.replace("[}", "1}"), {"a": 1}),
        (urlencode({"payload": "[]"}), {}),
    ],
)
def test_every_form_of_slack_is_read(body: str | dict[str, Any], payload: dict[str, Any]) -> None:
    assert payload_of(body) == payload


@pytest.mark.parametrize(
    ("kind", "is_for_all"),
    [
        ("app_uninstalled", True),
        ("tokens_revoked", True),
        ("team_access_granted", True),
        ("team_access_revoked", True),
        ("subteam_members_changed", True),
        ("message", False),
        ("channel_archive", False),
        ("app_home_opened", False),
    ],
)
def test_what_every_process_has_to_hear(kind: str, is_for_all: bool) -> None:
    assert concerns_all(event(kind)) is is_for_all


# --- what becomes of it ----------------------------------------------------------------------------------------------


class Answering(App):
    """Bolt's app as far as it is asked: it notes what comes, and gives one answer."""

    def __init__(self, name: str) -> None:
        self.name_of_it = name
        self.asked: list[tuple[Any, dict[str, str], str]] = []
        self.late: list[float | None] = []
        self.status = 200
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def answer(
        self,
        body: str | dict[str, Any],
        headers: Mapping[str, str],
        *,
        mode: str = "http",
        late_by: float | None = None,
    ) -> BoltResponse:
        self.asked.append((body, dict(headers), mode))
        self.late.append(late_by)
        await self.may_answer.wait()
        return BoltResponse(status=self.status, body=json.dumps({"by": self.name_of_it}), headers={"x": "y"})


@dataclass
class Owners:
    """Who owns the channel as each knows it from memory, and in truth."""

    known: str | None = None
    true: str | None = None
    is_alone: bool = False
    is_first: bool = True
    looks: int = 0
    is_in_trouble: bool = False

    def owner_of(self, _channel: Channel) -> str | None:
        return self.known

    def owner_of_link(self, _nonce: str) -> str | None:
        return None

    async def find(self, _channel: Channel, *, afresh: bool = False) -> str | None:
        if self.known is not None and not afresh:
            return self.known
        self.looks += 1
        if self.is_in_trouble:
            raise StoreUnavailable("the database does not answer")
        return self.true

    def link_in(self, _channel: Channel) -> str | None:
        return None

    async def find_link(self, _nonce: str, *, afresh: bool = False) -> str | None:
        return None

    def opened(self, session: Session) -> None: ...
    def closed(self, session: Session) -> None: ...
    def released(self, session: Session) -> None: ...


@dataclass
class Kept:
    """Parcels in memory."""

    parcels: list[tuple[Channel, str, str]] = field(default_factory=list)
    openers: dict[str, Open] = field(default_factory=dict)
    is_in_trouble: bool = False

    async def put(self, channel: Channel, kind: str, body: str) -> None:
        if self.is_in_trouble:
            raise StoreUnavailable("the database does not answer")
        self.parcels.append((channel, kind, body))

    def handle(self, kind: str, opener: Open) -> None:
        self.openers[kind] = opener

    def unhandle(self, kind: str) -> None:
        self.openers.pop(kind, None)


class Told(Outbox):
    """Who was told what, alone."""

    def __init__(self) -> None:
        self.told: list[tuple[ReplyTarget, str]] = []

    def reply_ephemeral(self, target: ReplyTarget, reply: Reply, delivery: Delivery | None = None) -> None:
        self.told.append((target, reply.text))


class Process:
    """One process with its routing."""

    def __init__(self, name: str, bus: PostgresBus, clock: ManualClock, relay: RelayMode) -> None:
        self.app, self.owners, self.kept, self.outbox = Answering(name), Owners(), Kept(), Told()
        self.bus = bus
        cluster = Cluster(bus, self.owners, NoClaims(), self.kept)
        self.routing = Routing(self.app, cluster, self.outbox, clock, relay)
        self.routing.begin()

    async def take(self, payload: dict[str, Any] | str, **headers: str) -> BoltResponse:
        return await self.routing.answer(payload, headers, mode="socket_mode")


class Processes:
    def __init__(self, stack: AsyncExitStack) -> None:
        self.clock, self.server, self._stack = ManualClock(), NotifyingServer(), stack

    async def process(self, name: str, relay: RelayMode = RelayMode.ALL) -> Process:
        bus = PostgresBus(ADDRESS, name, "all", self.clock, self.server.wire)
        process = Process(name, await self._stack.enter_async_context(bus), self.clock, relay)
        self._stack.push_async_callback(process.routing.close)
        return process

    async def after(self, waiting: "asyncio.Task[BoltResponse]", questions: int) -> BoltResponse:
        """What comes of it after so many questions that nobody answered."""
        for _ in range(questions):
            await settle()
            assert not waiting.done()
            await self.clock.advance(ASK_TIMEOUT)
        assert waiting.done()
        return await waiting


@pytest.fixture
async def processes() -> AsyncIterator[Processes]:
    async with AsyncExitStack() as stack:
        yield Processes(stack)


@pytest.mark.parametrize("payload", [event("message"), event("app_mention"), COMMAND, BUTTON, urlencode(COMMAND)])
async def test_the_owner_answers_as_if_it_had_come_there(processes: Processes, payload: dict[str, Any] | str) -> None:
    a, b = await processes.process("a"), await processes.process("b")
    a.owners.known = "b"
    b.app.status = 418
    answer = await a.take(payload, **{"x-slack-retry-num": "2", "x-slack-signature": "secret", "content-type": "form"})
    assert (answer.status, json.loads(answer.body), answer.headers["x"]) == (418, {"by": "b"}, ["y"])
    assert a.app.asked == []
    assert b.app.asked == [(payload, {"x-slack-retry-num": "2", "content-type": "form"}, "socket_mode")]


@pytest.mark.parametrize("payload", [event("message"), COMMAND, {"type": "view_submission", "view": {}}])
async def test_what_nobody_else_owns_is_answered_here(processes: Processes, payload: dict[str, Any]) -> None:
    a = await processes.process("a")
    assert json.loads((await a.take(payload)).body) == {"by": "a"}


async def test_who_is_alone_looks_nowhere(processes: Processes) -> None:
    a = await processes.process("a")
    a.owners.is_alone, a.owners.true = True, "b"
    await a.take(COMMAND)
    assert (len(a.app.asked), a.owners.looks) == (1, 0)


async def test_what_is_asked_of_the_avatar_is_looked_up_and_what_people_say_to_each_other_is_not(
    processes: Processes,
) -> None:
    a, b = await processes.process("a"), await processes.process("b")
    a.owners.true = "b"
    await a.take(event("message"))
    assert (len(a.app.asked), a.owners.looks) == (1, 0)
    for payload in (event("app_mention"), COMMAND, BUTTON):
        await a.take(payload)
    assert (len(a.app.asked), a.owners.looks, len(b.app.asked)) == (1, 3, 3)
    # While hints are missed, memory does not count.
    a.bus._is_connected = False
    await a.take(event("message"))
    assert (a.owners.looks, len(b.app.asked)) == (4, 4)


@pytest.mark.parametrize(
    ("relay", "payload", "is_handed_on"),
    [
        (RelayMode.MENTIONS, event(user="U1", text="hello"), False),
        (RelayMode.OFF, event(user="U1", text="hello"), False),
        (RelayMode.ALL, event(user="U1", text="hello"), True),
        (RelayMode.ALL, event(user="U1", text="hello", subtype="channel_topic"), False),
        (RelayMode.ALL, event(user="U1", text="<@UBOT> hello") | {"authorizations": [OURS]}, False),
        (RelayMode.ALL, event(user="U1", text="<@UANA> hello") | {"authorizations": [OURS]}, True),
        (RelayMode.ALL, event(user="U1", text="<@UBOT> hello") | {"authorizations": 7}, True),
        (RelayMode.ALL, event(user="U1", text="<@UBOT> hello") | {"authorizations": [7, {"user_id": "UBOT"}]}, True),
        (RelayMode.MENTIONS, event("app_mention", user="U1", text="<@UBOT> hello"), True),
        # Panels are found by what the bot itself posts.
        (RelayMode.MENTIONS, event(user="UBOT", bot_id="B1", text="panel"), True),
        (RelayMode.MENTIONS, event(user="U1", subtype="message_changed", message={"text": "new"}), True),
        (RelayMode.MENTIONS, event(user="U1", subtype="message_deleted", previous_message={}), True),
    ],
)
async def test_what_people_say_to_each_other_goes_to_the_owner_where_the_avatar_says_it(
    processes: Processes, relay: RelayMode, payload: dict[str, Any], is_handed_on: bool
) -> None:
    a, b = await processes.process("a", relay), await processes.process("b", relay)
    a.owners.known = "b"
    assert json.loads((await a.take(payload)).body) == {"by": "b" if is_handed_on else "a"}
    assert len(b.app.asked) == is_handed_on


async def test_an_owner_that_does_not_answer_is_looked_up_again(processes: Processes) -> None:
    a, b = await processes.process("a"), await processes.process("b")
    a.owners.known, a.owners.true = "gone", "b"
    answer = await processes.after(asyncio.create_task(a.take(event("app_mention"))), 1)
    assert json.loads(answer.body) == {"by": "b"}
    assert len(b.app.asked) == 1


async def test_one_that_became_this_process_meanwhile_answers_here(processes: Processes) -> None:
    a = await processes.process("a")
    a.owners.known, a.owners.true = "gone", None
    answer = await processes.after(asyncio.create_task(a.take(event("app_mention"))), 1)
    assert json.loads(answer.body) == {"by": "a"}


@pytest.mark.parametrize("owner", [NOBODY, "gone"])
async def test_a_message_whose_owner_cannot_be_reached_is_kept_and_acknowledged(
    processes: Processes, owner: str
) -> None:
    a = await processes.process("a")
    a.owners.known = a.owners.true = owner
    taking = asyncio.create_task(a.take(event("message"), **{"x-slack-retry-num": "1"}))
    if owner == NOBODY:
        await settle()
        answer = await taking
    else:
        # Slack waits for three seconds.
        answer = await processes.after(taking, 2)
    assert answer.status == 200
    ((channel, kind, body),) = a.kept.parcels
    assert (channel, kind) == (Channel("slack", "T1", PLACE), TO_OWNER)
    assert a.app.asked == []
    # Its next owner handles it as it came.
    b = await processes.process("b")
    for late_by in (None, 300.0):
        await b.kept.openers[kind](body, late_by)
    assert b.app.asked == [(event("message"), {"x-slack-retry-num": "1"}, "socket_mode")] * 2
    assert b.app.late == [None, 300.0]
    b.app.status = 503
    with pytest.raises(StoreError):
        await b.kept.openers[kind](body, None)


async def test_a_message_that_cannot_be_kept_comes_again(processes: Processes) -> None:
    a = await processes.process("a")
    a.owners.known = a.owners.true = NOBODY
    a.kept.is_in_trouble = True
    assert (await a.take(event("message"))).status == 503


@pytest.mark.parametrize("payload", [COMMAND, BUTTON])
async def test_whoever_commands_during_a_takeover_is_asked_to_try_again(
    processes: Processes, payload: dict[str, Any]
) -> None:
    a = await processes.process("a")
    a.owners.known = a.owners.true = NOBODY
    assert (await a.take(payload)).status == 200
    ((asker, text),) = a.outbox.told
    assert (asker.user, asker.response_url, text) == ("U1", "https://back", sentences.TAKING_OVER)
    assert (a.kept.parcels, a.app.asked) == ([], [])


async def asked_once(processes: Processes) -> tuple[Process, Process]:
    """A process that has a command for another one, which has begun and does not answer."""
    a, b = await processes.process("a"), await processes.process("b")
    a.owners.known = a.owners.true = "b"
    b.app.may_answer.clear()
    taking = asyncio.create_task(a.take(COMMAND))
    # Slack waits for three seconds.
    assert (await processes.after(taking, 1)).status == 200
    assert a.outbox.told == []
    return a, b


async def test_a_command_whose_owner_is_slow_is_asked_of_it_again_and_done_once(processes: Processes) -> None:
    a, b = await asked_once(processes)
    for _ in range(2):
        await processes.clock.advance(INSIST_EVERY)
    b.app.may_answer.set()
    await settle()
    await processes.clock.advance(2 * INSIST_FOR)
    assert len(b.app.asked) == 1
    # Its owner has told whoever gave it.
    assert a.outbox.told == []


async def test_a_command_that_is_never_answered_may_be_done_or_not(processes: Processes) -> None:
    a, b = await asked_once(processes)
    for _ in range(round(INSIST_FOR / INSIST_EVERY) + 1):
        await processes.clock.advance(INSIST_EVERY)
    ((asker, text),) = a.outbox.told
    assert (asker.user, asker.response_url, text) == ("U1", "https://back", sentences.MAY_BE_DONE)
    assert len(b.app.asked) == 1


async def test_a_command_whose_owner_ends_is_nobody_elses(processes: Processes) -> None:
    a, b = await asked_once(processes)
    c = await processes.process("c")
    a.owners.known = a.owners.true = "c"
    a.bus.process_gone("b")
    await settle()
    assert [text for _, text in a.outbox.told] == [sentences.MAY_BE_DONE]
    assert (len(b.app.asked), c.app.asked, a.app.asked) == (1, [], [])


async def test_a_command_that_is_refused_after_a_silence_may_be_done_or_not(processes: Processes) -> None:
    a, b = await asked_once(processes)
    b.routing.end()
    for _ in range(2):
        await processes.clock.advance(INSIST_EVERY)
    assert [text for _, text in a.outbox.told] == [sentences.MAY_BE_DONE]


async def test_a_process_that_ends_says_that_it_does_not_know(processes: Processes) -> None:
    a, _ = await asked_once(processes)
    await a.routing.close()
    assert [text for _, text in a.outbox.told] == [sentences.MAY_BE_DONE]


@pytest.mark.parametrize("payload", [COMMAND, BUTTON])
async def test_a_command_that_its_owner_does_not_take_is_surely_not_done(
    processes: Processes, payload: dict[str, Any]
) -> None:
    a, b = await processes.process("a"), await processes.process("b")
    a.owners.known = a.owners.true = "b"
    b.owners.known = NOBODY
    assert (await a.take(payload)).status == 200
    assert [text for _, text in a.outbox.told] == [sentences.TAKING_OVER]
    assert b.app.asked == []


async def test_another_event_during_a_takeover_comes_again(processes: Processes) -> None:
    a = await processes.process("a")
    a.owners.known = a.owners.true = NOBODY
    assert (await a.take(event("channel_archive"))).status == 503
    assert a.kept.parcels == []


async def test_where_the_database_does_not_say_who_owns_it_an_event_comes_again_and_a_command_is_answered_here(
    processes: Processes,
) -> None:
    a = await processes.process("a")
    a.owners.is_in_trouble = True
    assert (await a.take(event("app_mention"))).status == 503
    assert a.app.asked == []
    assert (await a.take(COMMAND)).status == 200
    assert len(a.app.asked) == 1


async def test_what_is_handed_to_a_process_that_does_not_own_it_is_refused(processes: Processes) -> None:
    """Or it would say that there is no avatar, and a message would be lost."""
    a, b = await processes.process("a"), await processes.process("b")
    c = await processes.process("c")
    a.owners.known, a.owners.true, b.owners.known = "b", "c", "c"
    await a.take(event("app_mention"))
    assert (len(b.app.asked), len(c.app.asked)) == (0, 1)


async def test_an_owner_that_cannot_store_a_message_has_it_kept_for_the_next_one(processes: Processes) -> None:
    """As one whose place another one has taken, and which does not know it yet."""
    a, b = await processes.process("a"), await processes.process("b")
    a.owners.known = a.owners.true = "b"
    b.app.status = 503
    assert (await a.take(event("message"))).status == 200
    assert len(a.kept.parcels) == 1


async def test_what_concerns_all_is_heard_by_all_and_once(processes: Processes) -> None:
    everybody = [await processes.process(name) for name in "abc"]
    uninstalled = {"type": "event_callback", "team_id": "T1", "event": {"type": "app_uninstalled"}}
    await everybody[0].take(uninstalled)
    await settle()
    assert [[body for body, _, _ in process.app.asked] for process in everybody] == [[uninstalled]] * 3


async def test_a_process_that_ends_answers_for_others_no_more(processes: Processes) -> None:
    a, b = await processes.process("a"), await processes.process("b")
    a.owners.known, a.owners.true = "b", NOBODY
    b.routing.end()
    assert (await a.take(event("message"))).status == 200
    assert len(a.kept.parcels) == 1
    assert (b.app.asked, b.kept.openers) == ([], {})


async def test_who_has_taken_over_meanwhile_is_asked_before_anything_is_kept(processes: Processes) -> None:
    here, taker = await processes.process("here"), await processes.process("taker")
    here.owners.known = here.owners.true = "gone"
    waiting = asyncio.create_task(here.take(event()))
    await settle()
    await processes.clock.advance(ASK_TIMEOUT)
    here.owners.true = "taker"
    answer = await processes.after(waiting, 1)
    assert answer.status == 200
    assert len(taker.app.asked) == 1
    assert here.kept.parcels == []
