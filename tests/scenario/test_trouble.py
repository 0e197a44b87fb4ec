"""Everything that can go wrong with a provider or the database while people use the avatar.

Whatever it is: the channel reads a sentence, nothing is created or said twice, no stream stays open that no row owns,
and all is well again once the trouble is over.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from adapters.simulator import Effect
from bot import sentences
from bot.core import errors
from bot.core.errors import RateLimited, Refused, Transient, Trouble
from bot.core.models import EndReason, SessionState, StreamState, UtteranceState
from bot.core.views import Phase
from bot.sessions.session import AvatarSession
from bot.store import tables
from tests.harness.bot import ADA, KEY, PROVIDERS, BotHarness, simulated
from tests.harness.sqlite import set_on_writer

# The calls of each provider: (method, path pattern). The id of a stream ends in a digit or in a to f, "words" does not.
CALLS = {
    "heygen-streaming": {
        "create_token": ("POST", "/v1/streaming.create_token"),
        "create": ("POST", "/v1/streaming.new"),
        "start": ("POST", "/v1/streaming.start"),
        "speak": ("POST", "/v1/streaming.task"),
        "interrupt": ("POST", "/v1/streaming.interrupt"),
        "close": ("POST", "/v1/streaming.stop"),
    },
    "heygen-realtime": {
        "looks": ("GET", "/v3/avatars/looks"),
        "create": ("POST", "/v3/avatar-realtime"),
        "start": ("GET", "/v3/avatar-realtime/*[0-9a-f]"),
        "words": ("GET", "/v3/avatar-realtime/*/words"),
        "speak": ("POST", "/v3/avatar-realtime/*/text"),
        "close": ("POST", "/v3/avatar-realtime/*/cancel"),
    },
    "liveavatar": {
        "avatars": ("GET", "/v1/avatars*"),
        "create": ("POST", "/v1/sessions/token"),
        "start": ("POST", "/v1/sessions/start"),
        "enter": ("GET", "/simulator/rooms/*"),
        "close": ("POST", "/v1/sessions/stop"),
    },
}
TROUBLES: dict[str, dict[str, Any]] = {
    "reset before the work": {"effect": Effect.REFUSED_BEFORE},
    "refused for long": {"effect": Effect.REFUSED_BEFORE, "times": None},
    "reply lost once": {"effect": Effect.LOST_REPLY},
    "replies lost for long": {"effect": Effect.LOST_REPLY, "times": None},
    "too many requests once": {"effect": Effect.STATUS, "status": 429, "retry_after": 2},
    "too many requests for long": {"effect": Effect.STATUS, "status": 429, "retry_after": 2, "times": None},
    "server errors for long": {"effect": Effect.STATUS, "status": 500, "times": None},
    "server error after the work": {"effect": Effect.STATUS, "status": 500, "after_work": True},
    "slow": {"effect": Effect.LATENCY, "seconds": 4.0, "times": None},
    "garbage": {"effect": Effect.GARBAGE, "times": 2},
    "empty": {"effect": Effect.EMPTY, "times": None},
    "wrong types": {"effect": Effect.WRONG_TYPE, "times": 5},
    "key revoked": {"effect": Effect.STATUS, "status": 401, "times": None},
    "no credit": {"effect": Effect.STATUS, "status": 402, "times": None},
}
MATRIX = [
    pytest.param(provider, call, trouble, id=f"{provider}-{call}-{trouble.replace(' ', '_')}")
    for provider, calls in CALLS.items()
    for call in calls
    for trouble in TROUBLES
]
NEVER_SAID = re.compile(
    "|".join(
        (
            r"https?://",
            re.escape(KEY.get_secret_value()),
            "Traceback",
            "None",
            *(name for name in vars(errors) if isinstance(getattr(errors, name), type)),
        )
    )
)
REFERENCE = re.compile(r"\(ref [0-9a-z]{8}\)$")
SENTENCES = [
    f"Sentence number {number} of a speech that is long enough to take several minutes." for number in range(50)
]
IDLE_LIMIT = 400.0
"""Seconds after which the provider has ended, by itself, every stream nobody uses: v3 after 30, LiveAvatar after 300,
v1 after 360."""


@pytest.fixture(params=["heygen-realtime", "heygen-streaming"])
async def heygen(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BotHarness]:
    """A bot on each provider whose create opens a stream and whose speech is a request. LiveAvatar's create opens
    nothing, and its speech goes into a room: `test_liveavatar` has its troubles."""
    async with BotHarness(tmp_path, request.param) as world:
        yield world


def words(said: tuple[str, str]) -> str:
    """A sentence without its reference."""
    return said[0].partition(" (ref ")[0]


def no_answer(trouble: Trouble) -> Transient:
    return Transient("", may_have_taken_effect=True, trouble=trouble)


def maybe_said(trouble: Trouble) -> str:
    return words(sentences.not_said(UtteranceState.UNKNOWN, no_answer(trouble)))


def fault(world: BotHarness, call: str, **trouble: Any) -> None:
    method, path = CALLS[world.provider_name][call]
    world.simulator.faults.add(method=method, path=path, **trouble)


def long(word: str) -> str:
    """A message that takes a good while to say and that begins with `word`."""
    return f"{word} " + "is a message that takes its time, as people who listen to it to the end find out"


async def try_to_write(world: BotHarness, text: str) -> None:
    """Write a message; a refusal is fine."""
    with contextlib.suppress(Refused):
        await world.write(text)


async def everything_is_in_order(world: BotHarness) -> None:
    """What must be true whatever happened."""
    assert len(world.heard) == len(set(world.heard)), "something was said twice"
    assert not [notice for notice in world.notices if NEVER_SAID.search(notice)]
    streams = await world.rows(tables.streams)
    owned = {row.upstream_id for row in streams if StreamState(row.state).may_cost}
    lost = [row for row in streams if row.state == StreamState.LOST and row.upstream_id is None]
    unowned = [view for view in world.open_streams if view.id not in owned]
    assert len(unowned) <= len(lost), "a stream is open that no row owns"
    assert len(world.simulator.streams()) <= len(streams), "a stream was created without a row"


async def all_is_well_again(world: BotHarness) -> None:
    """A start and a message work."""
    before = len(world.notices)
    running = await world.start()
    await world.write("all is well again")
    await world.until(lambda: world.ended_as("all is well again", UtteranceState.SPOKEN))
    await world.type("/avatar stop")
    await world.until(running.closed.is_set)
    assert not [notice for notice in world.notices[before:] if REFERENCE.search(notice)]


@pytest.mark.parametrize(("provider", "call", "trouble"), MATRIX)
async def test_a_call_that_fails_is_told_and_loses_repeats_and_leaks_nothing(
    provider: str, call: str, trouble: str, tmp_path: Path
) -> None:
    async with BotHarness(tmp_path, provider) as world:
        fault(world, call, **TROUBLES[trouble])
        await world.type("/avatar start")
        await world.pass_time(20)
        running = world.running
        texts = [long("first"), "second", long("third"), "fourth"]
        if running is not None and running.is_live:
            for text in texts[:3]:
                await try_to_write(world, text)
            await world.pass_time(20)
            await world.type("/avatar interrupt")
            await world.pass_time(10)
            await world.type("/avatar skip")
            await try_to_write(world, texts[3])
            await world.pass_time(30)
            await everything_is_in_order(world)
        if (running := world.running) is not None:
            await world.type("/avatar stop")
            await world.pass_time(30)
        await everything_is_in_order(world)

        world.simulator.faults.clear()
        await world.pass_time(IDLE_LIMIT)
        assert world.running is None
        assert world.open_streams == []
        assert await world.store.streams.unsettled() == []
        # Whatever was not said was told, once each.
        fates = [UtteranceState(row.state) for row in await world.rows(tables.utterances)]
        assert all(fate.is_final for fate in fates)
        unsaid = sum(fate in (UtteranceState.FAILED, UtteranceState.UNKNOWN) for fate in fates)
        told = [notice for notice in world.notices if REFERENCE.search(notice)]
        ended = [row for row in await world.rows(tables.sessions) if row.end_reason == EndReason.FAILED]
        assert len(told) >= unsaid + len(ended)
        await all_is_well_again(world)
        await everything_is_in_order(world)


LOST_CREATES = {
    "reply lost once": Trouble.RESET,
    "server error after the work": Trouble.SERVER_ERROR,
    "garbage": Trouble.MALFORMED,
    "wrong types": Trouble.MALFORMED,
}

# --- opening ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", LOST_CREATES)
async def test_a_lost_create_is_not_repeated_and_ends_at_the_provider_by_itself(
    heygen: BotHarness, trouble: str
) -> None:
    fault(heygen, "create", **{**TROUBLES[trouble], "times": 1})
    await heygen.type("/avatar start")
    await heygen.until(lambda: heygen.running is None)
    assert len(heygen.simulator.streams()) == 1
    (row,) = await heygen.rows(tables.streams)
    assert (row.state, row.upstream_id) == (StreamState.LOST, None)
    assert heygen.notices[-1].startswith(words(sentences.failure(no_answer(LOST_CREATES[trouble]))))
    await heygen.pass_time(IDLE_LIMIT)
    assert heygen.open_streams == []
    assert heygen.simulator.streams()[0].seconds <= 361
    await all_is_well_again(heygen)


async def test_stop_while_the_create_is_under_way_waits_for_its_reply_and_closes_what_it_opened(
    heygen: BotHarness,
) -> None:
    fault(heygen, "create", effect=Effect.LATENCY, seconds=5)
    await heygen.type("/avatar start")
    await heygen.pass_time(1)
    running = heygen.running
    assert running is not None
    assert (await heygen.type("/avatar stop")).text == "Stopping the avatar…"
    await heygen.pass_time(1)
    assert not running.closed.is_set()
    assert (await heygen.type("/avatar stop")).text.startswith("The avatar is just leaving this channel.")
    await heygen.until(running.closed.is_set)
    assert [view.ended is None for view in heygen.simulator.streams()] == [False]
    (row,) = await heygen.rows(tables.streams)
    assert row.state == StreamState.CLOSED
    assert row.upstream_id == heygen.simulator.streams()[0].id
    await all_is_well_again(heygen)


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48])
async def test_stop_at_any_turn_of_a_start_leaves_nothing_open(world: BotHarness, turns: int) -> None:
    starting = asyncio.create_task(world.type("/avatar start"))
    running: AvatarSession | None = None
    while running is None or turns > 0:
        await asyncio.sleep(0)
        turns -= running is not None
        running = world.running
    running.stop.request(EndReason.STOPPED)
    await world.until(running.closed.is_set)
    await starting
    assert world.open_streams == []
    assert await world.store.streams.unsettled() == []
    await everything_is_in_order(world)


async def test_stop_gets_through_while_the_start_hangs(heygen: BotHarness) -> None:
    fault(heygen, "start", effect=Effect.HANG)
    await heygen.type("/avatar start")
    await heygen.pass_time(5)
    running = heygen.running
    assert running is not None
    assert len(heygen.open_streams) == 1
    await heygen.type("/avatar stop")
    await heygen.until(running.closed.is_set)
    assert heygen.open_streams == []
    await all_is_well_again(heygen)


async def test_a_service_that_never_answers_is_told_and_everything_is_closed(world: BotHarness) -> None:
    world.lose_patience()
    fault(world, "create", effect=Effect.HANG)
    await world.type("/avatar start")
    await world.rest()
    await world.wait_for_timeouts(lambda: world.running is None and world.notices)
    assert world.notices[-1].startswith(words(sentences.failure(no_answer(Trouble.TIMEOUT))))
    await all_is_well_again(world)


async def test_a_start_that_finds_nobody_at_the_other_end_says_so_and_the_next_one_works(world: BotHarness) -> None:
    port = int(world.simulator.address.rpartition(":")[2])
    await world.simulator.stop()
    await world.type("/avatar start")
    await world.until(lambda: world.running is None)
    assert world.notices[-1].startswith("The avatar service refuses the connection. Try again in a minute.")
    await world.simulator.start(port=port)
    await all_is_well_again(world)


REFUSALS: dict[str, tuple[str, dict[str, Any], str]] = {
    "an unknown avatar": (
        "/avatar start avatar=nobody",
        {},
        "The avatar service does not accept a value (avatar). Check the avatar, the voice and the text.",
    ),
    "no credit": (
        "/avatar start",
        {"balance": 0},
        "The avatar account has no credit left. Ask the operator to top it up.",
    ),
    "no room for another stream": (
        "/avatar start",
        {"v1_concurrency": 0, "v3_concurrency": 0, "liveavatar_concurrency": 0},
        "As many avatars as the account allows are open already.",
    ),
    "another key": (
        "/avatar start",
        {"api_key": SecretStr("another-key")},
        "The avatar service does not accept the bot's key. Ask the operator to check it.",
    ),
}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("reason", REFUSALS)
async def test_a_refused_start_ends_with_one_sentence_that_says_why(provider: str, reason: str, tmp_path: Path) -> None:
    line, options, sentence = REFUSALS[reason]
    async with BotHarness(tmp_path, provider, options=simulated(**options)) as world:
        await world.type(line)
        await world.until(lambda: world.running is None)
        assert len(world.notices) == 1
        assert world.notices[0].startswith(sentence)
        assert REFERENCE.search(world.notices[0])
        assert world.simulator.streams() == []
        await everything_is_in_order(world)


async def test_a_slot_that_is_freed_a_moment_later_is_waited_for(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "heygen-streaming", options=simulated(v1_concurrency=1, v1_closing=4.0)) as world:
        first = await world.start()
        await world.type("/avatar stop")
        await world.until(first.closed.is_set)
        await world.start()
        assert len(world.open_streams) == 1


async def test_an_api_that_is_switched_off_names_the_alternatives(streaming: BotHarness) -> None:
    running = await streaming.start()
    streaming.simulator.sunset = True
    await streaming.write("anybody there?")
    await streaming.until(running.closed.is_set)
    assert streaming.notices[-1].startswith("The avatar service has switched this API off permanently.")
    assert "heygen-realtime" in streaming.notices[-1]
    assert await streaming.store.streams.unsettled() == []


async def test_a_stream_that_ends_before_it_can_be_watched_is_tried_again_and_greets_once(realtime: BotHarness) -> None:
    await realtime.type("/avatar start")
    await realtime.until(lambda: realtime.open_streams)
    realtime.simulator.drop_stream(realtime.open_streams[0].id)
    await realtime.until(lambda: realtime.running is not None and realtime.running.idle.is_set())
    assert [view.ended is None for view in realtime.simulator.streams()] == [False, True]
    assert realtime.greetings == 1


# --- speaking --------------------------------------------------------------------------------------------------------


async def test_a_message_whose_reply_is_lost_is_not_repeated_and_the_next_one_is_said(heygen: BotHarness) -> None:
    await heygen.start()
    await heygen.pass_time(1)
    fault(heygen, "speak", effect=Effect.LOST_REPLY)
    await heygen.write("maybe")
    await heygen.write("surely")
    await heygen.until(lambda: heygen.ended_as("surely", UtteranceState.SPOKEN))
    assert heygen.ended_as("maybe", UtteranceState.UNKNOWN)
    assert sum(notice.startswith(maybe_said(Trouble.RESET)) for notice in heygen.notices) == 1
    assert heygen.heard == ["maybe", "surely"]


async def test_a_message_that_surely_was_not_taken_is_said_after_the_trouble(heygen: BotHarness) -> None:
    await heygen.start()
    fault(heygen, "speak", **{**TROUBLES["too many requests once"], "times": 3})
    for text in ("patient", "and in order"):
        await heygen.write(text)
    await heygen.until(lambda: heygen.ended_as("and in order", UtteranceState.SPOKEN))
    assert heygen.heard == ["patient", "and in order"]


async def test_a_rate_limit_without_end_is_told_and_holds_nobody_for_ever(streaming: BotHarness) -> None:
    await streaming.start()
    fault(streaming, "speak", **TROUBLES["too many requests for long"])
    await streaming.write("not now")
    await streaming.until(lambda: streaming.ended_as("not now", UtteranceState.FAILED))
    limit = RateLimited("", retry_after=2)
    assert streaming.notices[-1].startswith(words(sentences.not_said(UtteranceState.FAILED, limit)))
    streaming.simulator.faults.clear()
    await streaming.write("but now")
    await streaming.until(lambda: streaming.ended_as("but now", UtteranceState.SPOKEN))


async def test_a_text_that_a_stream_does_not_take_is_said_by_the_next_one(realtime: BotHarness) -> None:
    await realtime.start()
    fault(realtime, "speak", **TROUBLES["too many requests for long"])
    await realtime.write("in the end")
    await realtime.until(lambda: realtime.ended_as("in the end", UtteranceState.SPOKEN))
    assert realtime.heard == ["in the end"]


async def test_an_hour_of_rate_limit_is_told_at_once(heygen: BotHarness) -> None:
    await heygen.start()
    fault(heygen, "speak", effect=Effect.STATUS, status=429, retry_after=3600)
    await heygen.write("see you later")
    await heygen.until(lambda: heygen.ended_as("see you later", UtteranceState.FAILED))
    assert "Try again in 1 h." in heygen.notices[-1]


async def test_stop_gets_through_while_a_message_hangs_and_nobody_knows_whether_it_was_said(heygen: BotHarness) -> None:
    running = await heygen.start()
    fault(heygen, "speak", effect=Effect.HANG)
    for text in ("hanging", "waiting"):
        await heygen.write(text)
    await heygen.pass_time(3)
    await heygen.type("/avatar stop")
    await heygen.until(running.closed.is_set)
    assert heygen.ended_as("hanging", UtteranceState.UNKNOWN)
    assert heygen.ended_as("waiting", UtteranceState.DROPPED)
    assert heygen.open_streams == []


async def test_a_message_that_hangs_is_given_up_and_the_next_one_is_said(heygen: BotHarness) -> None:
    await heygen.start()
    heygen.lose_patience()
    fault(heygen, "speak", effect=Effect.HANG)
    for text in ("hanging", "next"):
        await heygen.write(text)
    await heygen.rest()
    await heygen.wait_for_timeouts(lambda: heygen.ended_as("hanging", UtteranceState.UNKNOWN))
    await heygen.until(lambda: heygen.ended_as("next", UtteranceState.SPOKEN))
    assert heygen.heard == ["next"]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_stream_that_ends_while_the_avatar_talks_is_told_and_the_next_message_opens_another(
    provider: str, tmp_path: Path
) -> None:
    async with BotHarness(tmp_path, provider, jobs=True) as world:
        running = await world.start()
        link = running.view().watch_url
        speech = " ".join(SENTENCES[:4])
        await world.write(speech)
        await world.write("next")
        await world.until(lambda: UtteranceState.SPEAKING in world.states(speech))
        await world.pass_time(1)
        world.simulator.drop_stream(world.open_streams[0].id)
        await world.until(lambda: world.ended_as("next", UtteranceState.SPOKEN))
        assert world.ended_as(speech, UtteranceState.UNKNOWN)
        assert sum(notice.startswith(maybe_said(Trouble.UNCONFIRMED)) for notice in world.notices) == 1
        assert world.heard.count("next") == 1
        assert running.view().watch_url == link
        assert len(world.simulator.streams()) == 2


async def test_what_was_sent_ahead_is_not_said_twice_where_nothing_tells_what_is_said(realtime: BotHarness) -> None:
    fault(realtime, "words", **TROUBLES["key revoked"])
    await realtime.start()
    for text in (long("first"), "sent ahead", "third"):
        await realtime.write(text)
    await realtime.until(lambda: "sent ahead" in realtime.spoken)
    await realtime.type("/avatar interrupt")
    await realtime.type("/avatar skip")
    await realtime.until(lambda: realtime.ended_as("third", UtteranceState.SPOKEN))
    assert realtime.heard == [long("first"), "sent ahead", "third"]
    assert realtime.ended_as("sent ahead", UtteranceState.UNKNOWN)


async def test_speech_of_which_nothing_is_told_ends_by_time_and_holds_nobody(realtime: BotHarness) -> None:
    fault(realtime, "words", **TROUBLES["key revoked"])
    await realtime.start()
    for text in ("one", "two", "three"):
        await realtime.write(text)
    await realtime.until(lambda: realtime.ended_as("three", UtteranceState.SPOKEN))
    assert realtime.heard == ["one", "two", "three"]


async def test_v3_closes_in_silence_and_the_next_message_wakes_it_behind_the_same_link(realtime: BotHarness) -> None:
    running = await realtime.start()
    link = running.view().watch_url
    for text in ("one", "two", "three"):
        await realtime.pass_time(40)
        assert running.view().phase is Phase.WAITING_FOR_TEXT
        assert realtime.open_streams == []
        await realtime.write(text)
        await realtime.until(lambda text=text: realtime.ended_as(text, UtteranceState.SPOKEN))
    assert realtime.heard == ["one", "two", "three"]
    assert realtime.greetings == 1
    assert running.view().watch_url == link
    assert len(realtime.simulator.streams()) == 4


async def test_a_reopening_that_keeps_failing_is_bounded_and_told_and_the_session_lives_on(
    realtime: BotHarness,
) -> None:
    await realtime.start()
    await realtime.pass_time(40)
    fault(realtime, "create", **TROUBLES["too many requests for long"], body=TOO_MANY)
    await realtime.write("knock knock")
    await realtime.until(lambda: realtime.ended_as("knock knock", UtteranceState.DROPPED), step=5.0)
    (told,) = [notice for notice in realtime.notices if "cannot wake up now" in notice]
    assert "As many avatars as the account allows are open already." in told
    assert realtime.notices[-1].startswith("What Ana wrote could not be said for 10 min, so I dropped it")
    rows = [row for row in await realtime.rows(tables.streams) if row.state == StreamState.CLOSED]
    assert len(rows) <= 30
    realtime.simulator.faults.clear()
    await realtime.write("who is there")
    await realtime.until(lambda: realtime.ended_as("who is there", UtteranceState.SPOKEN))


TOO_MANY = {"error": {"code": "rate_limit_exceeded", "message": "Too many concurrent sessions."}}


async def test_a_wrong_key_at_a_reopening_ends_the_session_with_its_sentence(realtime: BotHarness) -> None:
    running = await realtime.start()
    await realtime.pass_time(40)
    fault(realtime, "create", **TROUBLES["key revoked"])
    await realtime.write("anybody?")
    await realtime.until(running.closed.is_set)
    assert realtime.notices[-1].startswith("The avatar service does not accept the bot's key.")
    assert realtime.ended_as("anybody?", UtteranceState.DROPPED)


async def test_a_long_speech_reaches_v3_piece_by_piece_with_every_word_and_no_silence(realtime: BotHarness) -> None:
    await realtime.start()
    speech = " ".join(SENTENCES[:45])
    await realtime.write(speech)
    await realtime.until(lambda: realtime.ended_as(speech, UtteranceState.SPOKEN))
    (stream,) = realtime.simulator.streams()
    assert stream.ended is None
    pieces = [text.asked for text in stream.spoken[1:]]
    assert len(pieces) > 10
    assert "".join(pieces).rstrip() == speech
    times = [(text.starts_at or 0.0, text.ends_at or 0.0) for text in stream.spoken[1:]]
    gaps = [begins - ended for (_, ended), (begins, _) in pairwise(times)]
    assert max(gaps) < 1


async def test_a_long_message_reaches_v1_in_tasks_it_takes(streaming: BotHarness) -> None:
    await streaming.start()
    speech = " ".join(SENTENCES[:45])
    assert len(speech) > 3000
    await streaming.write(speech)
    await streaming.write("after it")
    await streaming.until(lambda: streaming.ended_as("after it", UtteranceState.SPOKEN), step=1.0)
    *pieces, last = [text.asked for view in streaming.simulator.streams() for text in view.spoken]
    assert last == "after it"
    assert max(map(len, pieces)) <= 900
    assert " ".join(pieces) == speech


async def test_v1_waits_for_somebody_to_watch_and_then_speaks_once(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "heygen-streaming", options=simulated(auto_viewer=False)) as world:
        running = await world.start()
        for text in ("is anybody watching", "I hope so"):
            await world.write(text)
        await world.pass_time(60)
        assert world.heard == []
        view = running.view()
        assert view.phase is Phase.WAITING_FOR_VIEWER
        assert sum("is waiting for a viewer" in notice for notice in world.notices) == 1
        assert view.hls_url is not None
        async with httpx.AsyncClient(verify=False) as viewer:  # noqa: S501 - a local address without TLS
            await viewer.get(view.hls_url)
        await world.until(lambda: world.ended_as("I hope so", UtteranceState.SPOKEN))
        assert world.heard == ["is anybody watching", "I hope so"]
        assert running.view().phase is Phase.LIVE


# --- cutting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pause", [0.0, 0.4, 1.7])
async def test_interrupt_skip_clear_and_stop_in_quick_succession(world: BotHarness, pause: float) -> None:
    running = await world.start()
    texts = [long("one"), "two", long("three"), "four"]
    for text in texts:
        await world.write(text)
    for command in ("interrupt", "skip", "interrupt", "interrupt", "skip", "skip", "clear", "interrupt", "stop"):
        await world.pass_time(pause)
        await world.type(f"/avatar {command}")
    await world.until(running.closed.is_set)
    assert len(world.heard) == len(set(world.heard))
    assert all(state.is_final for text in texts for state in world.states(text)[-1:])
    assert world.open_streams == []
    await all_is_well_again(world)


async def test_commands_given_while_a_stream_is_reopened_are_carried_out_when_it_is_there(realtime: BotHarness) -> None:
    running = await realtime.start()
    await realtime.pass_time(40)
    fault(realtime, "create", effect=Effect.LATENCY, seconds=3)
    for text in (long("one"), "two", "three"):
        await realtime.write(text)
    await realtime.pass_time(1)
    assert running.view().phase is Phase.STARTING
    await realtime.type("/avatar skip")
    await realtime.until(lambda: realtime.ended_as("three", UtteranceState.SPOKEN))
    assert realtime.ended_as(long("one"), UtteranceState.INTERRUPTED)
    assert realtime.spoken == ["two", "three"]


async def test_stop_while_a_stream_is_reopened_closes_it(realtime: BotHarness) -> None:
    running = await realtime.start()
    await realtime.pass_time(40)
    fault(realtime, "create", effect=Effect.LATENCY, seconds=3)
    await realtime.write("too late")
    await realtime.pass_time(1)
    await realtime.type("/avatar stop")
    await realtime.until(running.closed.is_set)
    assert realtime.open_streams == []
    assert len(realtime.simulator.streams()) == 2
    assert realtime.ended_as("too late", UtteranceState.UNKNOWN)


async def test_an_interrupt_that_fails_is_told(streaming: BotHarness) -> None:
    await streaming.start()
    fault(streaming, "interrupt", effect=Effect.STATUS, status=500)
    await streaming.write(long("on and on"))
    await streaming.until(lambda: UtteranceState.SPEAKING in streaming.states(long("on and on")))
    await streaming.type("/avatar interrupt")
    await streaming.rest()
    assert streaming.notices[-1].startswith(
        "The avatar could not be interrupted. The avatar service has an error of its own. It may talk on."
    )


async def test_after_an_interrupt_that_failed_the_next_message_is_said_once_the_avatar_is_done(
    streaming: BotHarness,
) -> None:
    await streaming.start()
    fault(streaming, "interrupt", effect=Effect.STATUS, status=500)
    await streaming.write(long("on and on"))
    await streaming.until(lambda: UtteranceState.SPEAKING in streaming.states(long("on and on")))
    await streaming.type("/avatar interrupt")
    await streaming.write("and then")
    await streaming.until(lambda: streaming.ended_as("and then", UtteranceState.SPOKEN))
    assert streaming.spoken == [long("on and on"), "and then"]


async def test_an_interrupt_that_failed_can_be_given_again(streaming: BotHarness) -> None:
    await streaming.start()
    fault(streaming, "interrupt", effect=Effect.STATUS, status=500)
    await streaming.write(long("on and on"))
    await streaming.until(lambda: UtteranceState.SPEAKING in streaming.states(long("on and on")))
    await streaming.type("/avatar interrupt")
    await streaming.rest()
    await streaming.type("/avatar interrupt")
    await streaming.rest()
    assert streaming.spoken == []
    assert "not saying anything" in (await streaming.type("/avatar interrupt")).text


# --- closing ---------------------------------------------------------------------------------------------------------


async def test_a_close_that_is_not_confirmed_is_told_and_retried_until_it_is(world: BotHarness) -> None:
    running = await world.start()
    fault(world, "close", **{**TROUBLES["server errors for long"], "times": 4 * 4})
    await world.type("/avatar stop")
    await world.rest()
    assert world.notices[-1] == (
        "The avatar service did not confirm that the stream is closed. I keep trying until it does."
    )
    session = await world.store.sessions.get(running.session.id)
    assert session is not None
    assert session.state is SessionState.CLOSING
    assert (await world.type("/avatar start")).text.startswith("The avatar is just leaving this channel.")
    assert "1 stream not confirmed as closed yet" in (await world.type("/avatar-admin sessions", ADA)).text
    # Four attempts of the client each, 1, 2, 5 and 10 seconds apart.
    await world.pass_time(7.9)
    assert not running.closed.is_set()
    await world.pass_time(10.2)
    assert running.closed.is_set()
    assert world.open_streams == []
    assert sum("did not confirm" in notice for notice in world.notices) == 1
    await all_is_well_again(world)


async def test_a_cut_whose_close_is_not_confirmed_is_told_and_the_stream_is_closed_in_the_end(
    realtime: BotHarness,
) -> None:
    running = await realtime.start()
    fault(realtime, "close", **{**TROUBLES["server errors for long"], "times": 8})
    await realtime.write(long("on and on"))
    await realtime.until(lambda: UtteranceState.SPEAKING in realtime.states(long("on and on")))
    await realtime.type("/avatar interrupt")
    await realtime.rest()
    assert "did not confirm that the stream is closed" in realtime.notices[-1]
    await realtime.write("next")
    await realtime.until(lambda: realtime.ended_as("next", UtteranceState.SPOKEN))
    await realtime.until(lambda: [view.ended for view in realtime.simulator.streams()] == ["cancelled", None])
    await realtime.type("/avatar stop")
    await realtime.until(running.closed.is_set)


async def test_a_stop_in_the_middle_of_a_cut_still_closes_the_stream_that_was_being_cut(realtime: BotHarness) -> None:
    running = await realtime.start()
    await realtime.write(long("on and on"))
    await realtime.until(lambda: UtteranceState.SPEAKING in realtime.states(long("on and on")))
    fault(realtime, "close", effect=Effect.LATENCY, seconds=5)
    await realtime.type("/avatar interrupt")
    await realtime.pass_time(1)
    await realtime.type("/avatar stop")
    await realtime.pass_time(1)
    assert not running.closed.is_set()
    await realtime.until(running.closed.is_set)
    assert [view.ended for view in realtime.simulator.streams()] == ["cancelled"]
    assert await realtime.store.streams.unsettled() == []


async def test_a_mistake_nobody_foresaw_closes_the_session_and_is_told(
    world: BotHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await world.start()
    await world.write("this one is fine")
    await world.until(lambda: world.ended_as("this one is fine", UtteranceState.SPOKEN))
    monkeypatch.setattr(running.speaker, "pump", lambda: 1 / 0)
    await world.write("this one is not")
    await world.until(running.closed.is_set)
    assert world.notices[-1].startswith("Something went wrong. Try again, and tell the operator if it keeps happening.")
    assert world.open_streams == []
    assert [entry["event"] for entry in world.log if "unexpected error" in entry["event"]]
    world.log.clear()
    await all_is_well_again(world)


# --- the database ----------------------------------------------------------------------------------------------------


async def read_only(world: BotHarness, on: bool) -> None:
    """Make the database unwritable, as a full disk does, or writable again."""
    await set_on_writer(world.store, f"query_only={'ON' if on else 'OFF'}")


async def test_a_database_that_cannot_be_written_keeps_no_stream_open_at_stop(world: BotHarness) -> None:
    running = await world.start()
    await read_only(world, on=True)
    assert (await world.type("/avatar stop")).text == "Stopping the avatar…"
    await world.until(running.closed.is_set)
    assert world.open_streams == []
    assert world.notices[-1].startswith("The avatar has left after")
    await read_only(world, on=False)
    await all_is_well_again(world)
    await world.pass_time(200)
    assert await world.store.streams.unsettled() == []


async def test_a_database_that_cannot_be_written_hangs_no_session_that_sent_a_message_ahead(
    realtime: BotHarness,
) -> None:
    running = await realtime.start()
    for text in ("short one", "sent ahead", "waiting"):
        await realtime.write(text)
    await realtime.until(lambda: UtteranceState.SENDING in realtime.states("sent ahead"))
    await read_only(realtime, on=True)
    await realtime.type("/avatar stop")
    await realtime.until(running.closed.is_set)
    assert realtime.open_streams == []
    assert realtime.ended_as("sent ahead", UtteranceState.DROPPED)
    await read_only(realtime, on=False)
    await all_is_well_again(realtime)
    assert all(UtteranceState(row.state).is_final for row in await realtime.rows(tables.utterances))


async def test_a_message_that_cannot_be_written_down_ends_the_session_where_it_was_taken_before(
    world: BotHarness,
) -> None:
    running = await world.start()
    for text in (long("being said"), "waiting"):
        await world.write(text)
    await world.until(lambda: UtteranceState.SPEAKING in world.states(long("being said")))
    await read_only(world, on=True)
    with pytest.raises(errors.StoreUnavailable):
        await world.write("not taken")
    await world.until(running.closed.is_set)
    assert world.notices[-1].startswith("The bot cannot write to its database, so that was not taken.")
    assert world.open_streams == []
    assert world.states("waiting")[-1].is_final
    await read_only(world, on=False)
    await all_is_well_again(world)
    assert all(UtteranceState(row.state).is_final for row in await world.rows(tables.utterances))


async def test_a_start_that_cannot_be_written_down_opens_nothing(world: BotHarness) -> None:
    await read_only(world, on=True)
    with pytest.raises(errors.StoreUnavailable):
        await world.type("/avatar start")
    await read_only(world, on=False)
    assert world.simulator.streams() == []
    await all_is_well_again(world)


@pytest.mark.parametrize("which", range(12))
async def test_one_write_that_fails_hangs_nothing_and_leaves_nothing(world: BotHarness, which: int) -> None:
    """The write of a session's life that fails is the `which`-th one."""
    await world.type("/avatar start")
    world.unwritable = {which}
    with contextlib.suppress(errors.StoreUnavailable, Refused):
        await world.write(long("one"))
        await world.write("two")
    await world.pass_time(5)
    await world.type("/avatar interrupt")
    await world.pass_time(5)
    await world.type("/avatar stop")
    await world.pass_time(120)
    assert world.running is None
    assert world.open_streams == []
    await everything_is_in_order(world)
    await all_is_well_again(world)
    assert all(UtteranceState(row.state).is_final for row in await world.rows(tables.utterances))
    assert await world.store.streams.unsettled() == []
