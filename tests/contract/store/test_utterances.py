"""Utterances and the keys that keep a message from being taken twice, on both engines."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from bot.core.errors import StoreError
from bot.core.models import Channel, Utterance, UtteranceState
from bot.store.driver import MAX_ROWS
from bot.store.rows import read_utterance
from bot.store.store import Store
from bot.store.tables import utterances as utterances_table
from tests.builders import NOON, a_session, an_utterance
from tests.harness.clock import ManualClock

FINAL = [state for state in UtteranceState if state.is_final]
UNFINISHED = [state for state in UtteranceState if not state.is_final]


async def queue_of(store: Store, session_id: str) -> list[Utterance]:
    return (await store.utterances.queued([session_id]))[session_id]


async def test_an_accepted_utterance_comes_back_as_it_was_written(store: Store) -> None:
    session = await store.sessions.open(a_session())
    utterance = an_utterance(session, text="Ünïcode\n再见 🦜 'quoted' %s", ended_at=NOON, detail="why", message_id=None)
    assert await store.utterances.accept(["message-1"], utterance)
    assert await queue_of(store, session.id) == [utterance]


async def test_a_message_is_accepted_once(store: Store) -> None:
    session = await store.sessions.open(a_session())
    first, again = an_utterance(session), an_utterance(session)
    assert await store.utterances.accept(["message-1"], first)
    assert not await store.utterances.accept(["message-1"], again)
    assert await queue_of(store, session.id) == [first]


async def test_any_known_key_makes_a_duplicate_and_its_new_keys_are_known_from_then_on(store: Store) -> None:
    session = await store.sessions.open(a_session())
    first = an_utterance(session)
    assert await store.utterances.accept(["event-1", "message-1"], first)
    assert not await store.utterances.accept(["event-2", "message-1"], an_utterance(session))
    assert not await store.utterances.accept(["event-2"], an_utterance(session))
    assert await queue_of(store, session.id) == [first]


async def test_whether_any_key_was_recorded_can_be_looked_up(store: Store) -> None:
    assert not await store.utterances.was_seen(["event-1", "message-1"])
    await store.utterances.accept(["message-1"], None)
    assert await store.utterances.was_seen(["event-1", "message-1"])
    assert not await store.utterances.was_seen(["event-1"])


async def test_which_keys_were_recorded_can_be_looked_up(store: Store) -> None:
    await store.utterances.accept(["message-1", "message-3"], None)
    assert await store.utterances.seen_of(["message-1", "message-2", "message-3"]) == {"message-1", "message-3"}
    assert await store.utterances.seen_of([]) == set()


async def test_last_message_is_the_one_that_was_accepted_last_and_commands_are_none(store: Store) -> None:
    session, other = [await store.sessions.open(a_session(channel=Channel("p", "w", name))) for name in "ab"]
    assert await store.utterances.last_message_id(session.id) is None
    for message_id in ("9", "10", None):
        await store.utterances.accept((), an_utterance(session, message_id=message_id))
    await store.utterances.accept((), an_utterance(other, message_id="11"))
    assert await store.utterances.last_message_id(session.id) == "10"


async def test_without_keys_everything_is_accepted(store: Store) -> None:
    session = await store.sessions.open(a_session())
    both = [an_utterance(session), an_utterance(session)]
    assert [await store.utterances.accept((), utterance) for utterance in both] == [True, True]
    assert await store.utterances.accept((), None)
    assert await queue_of(store, session.id) == both


async def test_keys_alone_are_remembered(store: Store) -> None:
    session = await store.sessions.open(a_session())
    assert await store.utterances.accept(["event-1"], None)
    assert not await store.utterances.accept(["event-1"], an_utterance(session))
    assert await queue_of(store, session.id) == []


async def test_of_simultaneous_duplicates_the_first_wins(store: Store) -> None:
    session = await store.sessions.open(a_session())
    utterances = [an_utterance(session) for _ in range(20)]
    accepted = await asyncio.gather(
        *(store.utterances.accept([f"message-{number % 4}"], utterance) for number, utterance in enumerate(utterances))
    )
    assert accepted == [True] * 4 + [False] * 16
    assert await queue_of(store, session.id) == utterances[:4]


async def test_a_duplicate_claims_its_new_keys_within_the_batch(store: Store) -> None:
    session = await store.sessions.open(a_session())
    accepted = await asyncio.gather(
        store.utterances.accept(["a"], an_utterance(session)),
        store.utterances.accept(["a", "b"], an_utterance(session)),
        store.utterances.accept(["b"], an_utterance(session)),
        store.utterances.accept(["c", "c"], an_utterance(session)),
    )
    assert list(accepted) == [True, False, False, True]


async def test_two_programs_accept_a_message_once(store: Store, url: str, clock: ManualClock) -> None:
    session = await store.sessions.open(a_session())
    async with await Store.open(url, clock) as other:
        accepted = await asyncio.gather(
            *(
                each.utterances.accept([f"message-{number}"], an_utterance(session))
                for number in range(20)
                for each in (store, other)
            )
        )
    assert accepted.count(True) == 20
    assert len(await queue_of(store, session.id)) == 20


async def test_an_utterance_without_its_session_spoils_no_neighbour(store: Store) -> None:
    session = await store.sessions.open(a_session())
    good = [an_utterance(session) for _ in range(4)]
    bad = an_utterance(a_session())
    outcomes = await asyncio.gather(
        *(store.utterances.accept([utterance.id], utterance) for utterance in (*good[:2], bad, *good[2:])),
        return_exceptions=True,
    )
    assert [outcome for outcome in outcomes if outcome is True] == [True] * 4
    assert isinstance(outcomes[2], StoreError)
    assert await queue_of(store, session.id) == good
    # What failed left no key behind: it can be accepted once its session is there.
    assert await store.utterances.accept([bad.id], bad._replace(session_id=session.id))


async def test_text_the_database_cannot_hold_is_refused_and_spoils_no_neighbour(store: Store) -> None:
    session = await store.sessions.open(a_session())
    good = an_utterance(session)
    outcomes = await asyncio.gather(
        store.utterances.accept(["bad"], an_utterance(session, text="half an emoji: \ud83e")),
        store.utterances.accept(["good"], good),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], StoreError)
    assert outcomes[1] is True
    assert await queue_of(store, session.id) == [good]


async def test_the_order_of_ids_is_the_order_of_the_queue(store: Store) -> None:
    session = await store.sessions.open(a_session())
    ids = ["10", "9", "B", "_", "a", "a-b", "a0", "aB"]
    assert ids == sorted(ids)
    for utterance_id in reversed(ids):
        await store.utterances.accept((), an_utterance(session, id=utterance_id))
    assert [utterance.id for utterance in await queue_of(store, session.id)] == ids


async def test_every_session_asked_for_has_its_own_queue(store: Store) -> None:
    sessions = [await store.sessions.open(a_session()) for _ in range(3)]
    spoken = [an_utterance(session) for session in sessions for _ in range(2)]
    for utterance in spoken:
        await store.utterances.accept((), utterance)
    await store.utterances.advance(spoken[0].id, UtteranceState.SENDING)
    ids = [sessions[0].id, sessions[1].id, "nobody"]
    assert await store.utterances.queued(ids) == {ids[0]: [spoken[1]], ids[1]: spoken[2:4], "nobody": []}
    assert await store.utterances.queued([]) == {}


async def state_of(store: Store, utterance_id: str) -> Utterance | None:
    query = select(utterances_table).where(utterances_table.c.id == utterance_id)
    row = await store._connections.read(lambda connection: connection.execute(query).one_or_none())
    return None if row is None else read_utterance(row)


@pytest.mark.parametrize("final", FINAL)
async def test_a_final_state_is_never_left(store: Store, clock: ManualClock, final: UtteranceState) -> None:
    session = await store.sessions.open(a_session())
    utterance = an_utterance(session)
    await store.utterances.accept((), utterance)
    await clock.advance(7)
    await store.utterances.advance(utterance.id, final, detail="the first word")
    await clock.advance(7)
    for other in UtteranceState:
        await store.utterances.advance(utterance.id, other, detail="another word")
    ended = utterance._replace(state=final, detail="the first word", ended_at=NOON + timedelta(seconds=7))
    assert await state_of(store, utterance.id) == ended


async def test_what_was_sent_ahead_can_be_put_back(store: Store) -> None:
    session = await store.sessions.open(a_session())
    first, second = an_utterance(session), an_utterance(session)
    for utterance in (first, second):
        await store.utterances.accept((), utterance)
        await store.utterances.advance(utterance.id, UtteranceState.SENDING)
    assert await queue_of(store, session.id) == []
    await store.utterances.advance(second.id, UtteranceState.QUEUED)
    assert await queue_of(store, session.id) == [second]


async def test_steps_handed_over_at_once_happen_in_order(store: Store) -> None:
    session = await store.sessions.open(a_session())
    utterances = [an_utterance(session) for _ in range(10)]
    steps = (UtteranceState.SENDING, UtteranceState.SPEAKING, UtteranceState.QUEUED, UtteranceState.SENDING)
    await asyncio.gather(
        *(store.utterances.accept((), utterance) for utterance in utterances),
        *(store.utterances.advance(utterance.id, step) for utterance in utterances for step in steps),
        store.utterances.advance(utterances[3].id, UtteranceState.SPOKEN),
        store.utterances.drop_queued(session.id),
        store.utterances.advance(utterances[4].id, UtteranceState.QUEUED),
    )
    states = [(await state_of(store, utterance.id)) for utterance in utterances]
    expected = [UtteranceState.SENDING] * 10
    expected[3], expected[4] = UtteranceState.SPOKEN, UtteranceState.QUEUED
    assert [utterance and utterance.state for utterance in states] == expected


@pytest.mark.parametrize("first", UtteranceState)
async def test_two_moves_in_one_commit_come_to_the_same_as_one_after_the_other(
    store: Store, clock: ManualClock, first: UtteranceState
) -> None:
    session = await store.sessions.open(a_session())
    steps = [
        ((first, detail), (second, another))
        for second in UtteranceState
        for detail in (None, "the first word")
        for another in (None, "the last word")
    ]
    apart, together = ([an_utterance(session) for _ in steps] for _ in range(2))
    await asyncio.gather(*(store.utterances.accept((), utterance) for utterance in (*apart, *together)))
    for utterance, moves in zip(apart, steps, strict=True):
        for state, detail in moves:
            await store.utterances.advance(utterance.id, state, detail=detail)
    await asyncio.gather(
        *(
            store.utterances.advance(utterance.id, state, detail=detail)
            for utterance, moves in zip(together, steps, strict=True)
            for state, detail in moves
        )
    )
    for one, other in zip(apart, together, strict=True):
        alone = await state_of(store, one.id)
        assert alone is not None
        assert await state_of(store, other.id) == alone._replace(id=other.id, message_id=other.message_id)


async def test_more_than_a_statement_takes_are_accepted_and_move_at_once(store: Store) -> None:
    session = await store.sessions.open(a_session())
    utterances = [an_utterance(session) for _ in range(2 * MAX_ROWS + 3)]
    known = utterances[MAX_ROWS]
    await store.utterances.accept([known.id], None)
    accepted = await asyncio.gather(*(store.utterances.accept([one.id], one) for one in utterances))
    assert [one for one, is_new in zip(utterances, accepted, strict=True) if not is_new] == [known]
    taken = [one for one in utterances if one is not known]
    assert await queue_of(store, session.id) == taken
    await asyncio.gather(*(store.utterances.advance(one.id, UtteranceState.SENDING) for one in taken[1:]))
    assert await queue_of(store, session.id) == taken[:1]


async def test_clearing_drops_what_waits_and_nothing_else(store: Store, clock: ManualClock) -> None:
    session, other = [await store.sessions.open(a_session()) for _ in range(2)]
    speaking, *waiting = [an_utterance(session) for _ in range(3)]
    elsewhere = an_utterance(other)
    for utterance in (speaking, *waiting, elsewhere):
        await store.utterances.accept((), utterance)
    await store.utterances.advance(speaking.id, UtteranceState.SPEAKING)
    await clock.advance(3)
    assert await store.utterances.drop_queued(session.id) == 2
    assert await store.utterances.drop_queued(session.id) == 0
    assert await state_of(store, speaking.id) == speaking._replace(state=UtteranceState.SPEAKING)
    dropped = waiting[0]._replace(state=UtteranceState.DROPPED, ended_at=NOON + timedelta(seconds=3))
    assert await state_of(store, waiting[0].id) == dropped
    assert await queue_of(store, other.id) == [elsewhere]


async def test_what_was_in_flight_at_a_crash_becomes_unknown(store: Store, clock: ManualClock) -> None:
    session, other = [await store.sessions.open(a_session()) for _ in range(2)]
    by_state = {state: an_utterance(session) for state in UtteranceState}
    elsewhere = an_utterance(other)
    for state, utterance in by_state.items():
        await store.utterances.accept((), utterance)
        await store.utterances.advance(utterance.id, state)
    await store.utterances.accept((), elsewhere)
    await store.utterances.advance(elsewhere.id, UtteranceState.SENDING)
    await clock.advance(3)
    await store.utterances.mark_in_flight_unknown([])
    await store.utterances.mark_in_flight_unknown([session.id])
    for state, utterance in by_state.items():
        after = await state_of(store, utterance.id)
        assert after is not None
        was_in_flight = state in (UtteranceState.SENDING, UtteranceState.SPEAKING)
        assert after.state is (UtteranceState.UNKNOWN if was_in_flight else state)
        assert (after.ended_at == NOON + timedelta(seconds=3)) is was_in_flight
    assert await state_of(store, elsewhere.id) == elsewhere._replace(state=UtteranceState.SENDING)


async def test_of_what_was_perhaps_written_down_that_which_was_waits_again(store: Store) -> None:
    session = await store.sessions.open(a_session())
    sent, over, never = (an_utterance(session) for _ in range(3))
    for utterance, state in ((sent, UtteranceState.SENDING), (over, UtteranceState.SPOKEN)):
        await store.utterances.accept((), utterance)
        await store.utterances.advance(utterance.id, state)
    assert await store.utterances.requeue([never.id, sent.id]) == sent.id
    assert await queue_of(store, session.id) == [sent]
    assert await store.utterances.requeue([over.id, never.id]) is None


async def test_the_last_activity_is_the_newest_acceptance_or_end(store: Store, clock: ManualClock) -> None:
    waiting, spoken, silent = [await store.sessions.open(a_session()) for _ in range(3)]
    for second in (5, 1):
        await store.utterances.accept((), an_utterance(waiting, accepted_at=NOON + timedelta(seconds=second)))
    utterance = an_utterance(spoken)
    await store.utterances.accept((), utterance)
    await clock.advance(9)
    await store.utterances.advance(utterance.id, UtteranceState.SPOKEN)
    assert await store.utterances.last_activity([waiting.id, spoken.id, silent.id]) == {
        waiting.id: NOON + timedelta(seconds=5),
        spoken.id: NOON + timedelta(seconds=9),
    }
    assert await store.utterances.last_activity([]) == {}


@pytest.mark.parametrize("state", list(UtteranceState))
async def test_the_last_word_is_what_was_said_and_not_what_was_given_up(
    store: Store, clock: ManualClock, state: UtteranceState
) -> None:
    session, silent = [await store.sessions.open(a_session()) for _ in range(2)]
    early, late = an_utterance(session), an_utterance(session, accepted_at=NOON + timedelta(seconds=4))
    for utterance in (early, late):
        await store.utterances.accept((), utterance)
    await clock.advance(9)
    await store.utterances.advance(early.id, state)
    was_said = state in (UtteranceState.SPOKEN, UtteranceState.INTERRUPTED)
    assert await store.utterances.last_word([session.id, silent.id]) == {
        session.id: NOON + timedelta(seconds=9 if was_said else 4)
    }
    assert await store.utterances.last_word([]) == {}


async def test_busy_is_who_has_something_waiting_or_being_said(store: Store) -> None:
    sessions = {state: await store.sessions.open(a_session()) for state in UtteranceState}
    for state, session in sessions.items():
        utterance = an_utterance(session)
        await store.utterances.accept((), utterance)
        await store.utterances.advance(utterance.id, state)
    silent = await store.sessions.open(a_session())
    ids = [session.id for session in (*sessions.values(), silent)]
    assert await store.utterances.busy_sessions(ids) == {
        sessions[state].id for state in UtteranceState if not state.is_final
    }


async def test_old_keys_are_forgotten(store: Store, clock: ManualClock) -> None:
    await store.utterances.accept(["old"], None)
    await clock.advance(10)
    await store.utterances.accept(["new"], None)
    assert await store.utterances.forget_keys(NOON + timedelta(seconds=10)) == 1
    assert await store.utterances.accept(["old"], None)
    assert not await store.utterances.accept(["new"], None)


@pytest.mark.slow
async def test_thousands_of_sessions_are_read_at_once(store: Store) -> None:
    sessions = [a_session() for _ in range(2300)]
    await asyncio.gather(*(store.sessions.open(session) for session in sessions))
    utterances = [an_utterance(session) for session in sessions]
    await asyncio.gather(*(store.utterances.accept([utterance.id], utterance) for utterance in utterances))
    ids = [session.id for session in sessions]
    assert len(await store.sessions.all_open()) == 2300
    queues = await store.utterances.queued(ids)
    assert [queues[session_id] for session_id in ids] == [[utterance] for utterance in utterances]
    assert await store.utterances.last_activity(ids) == dict.fromkeys(ids, NOON)
    await store.utterances.mark_in_flight_unknown(ids)
    assert not any((await store.doubts.of_sessions(ids)).values())
    # More ids than the engines take variables.
    many = [*ids, *(f"nobody-{number}" for number in range(40_000))]
    assert sum(map(len, (await store.utterances.queued(many)).values())) == 2300
