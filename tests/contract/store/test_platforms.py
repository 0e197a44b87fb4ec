"""What chat platforms need kept, and what limits are counted from, on both engines."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.core.errors import StoreError
from bot.core.models import (
    Block,
    Channel,
    PanelMessage,
    Session,
    SessionState,
    StreamState,
    StreamUsage,
    UtteranceState,
)
from bot.store.store import Store
from tests.builders import CHANNEL, NOON, a_session, a_stream, an_utterance
from tests.harness.clock import ManualClock

MINUTE = timedelta(minutes=1)


# --- outlets ---------------------------------------------------------------------------------------------------------


async def test_a_session_is_heard_at_one_place_at_a_time_until_it_leaves(store: Store) -> None:
    here, there = [await store.sessions.open(a_session()) for _ in range(2)]
    await store.outlets.enter(here.id, "discord", "1")
    await store.outlets.enter(here.id, "discord", "2")
    await store.outlets.enter(there.id, "other", "3")
    assert await store.outlets.entered("discord") == {here.id: "2"}
    await store.outlets.leave(here.id)
    await store.outlets.leave(here.id)
    assert await store.outlets.entered("discord") == {}
    assert await store.outlets.entered("other") == {there.id: "3"}


# --- panels ----------------------------------------------------------------------------------------------------------


async def test_panels_come_back_by_platform(store: Store) -> None:
    here, there = [await store.sessions.open(a_session()) for _ in range(2)]
    await store.panels.place("discord", PanelMessage(here.id, "channel/1"))
    await store.panels.place("slack", PanelMessage(there.id, "C1:2.3"))
    assert await store.panels.placed_on("discord") == [PanelMessage(here.id, "channel/1")]
    assert await store.panels.placed_on("slack") == [PanelMessage(there.id, "C1:2.3")]
    assert await store.panels.placed_on("console") == []


async def test_a_second_panel_takes_the_place_of_the_first(store: Store) -> None:
    session = await store.sessions.open(a_session())
    await store.panels.place("discord", PanelMessage(session.id, "first"))
    await store.panels.place("discord", PanelMessage(session.id, "second"))
    assert await store.panels.placed_on("discord") == [PanelMessage(session.id, "second")]


async def test_a_panel_is_forgotten_once_and_for_all(store: Store) -> None:
    gone, stays = [await store.sessions.open(a_session()) for _ in range(2)]
    for session in (gone, stays):
        await store.panels.place("discord", PanelMessage(session.id, "somewhere"))
    await store.panels.forget(gone.id)
    await store.panels.forget(gone.id)
    assert [panel.session_id for panel in await store.panels.placed_on("discord")] == [stays.id]


async def test_a_panel_needs_its_session(store: Store) -> None:
    with pytest.raises(StoreError):
        await store.panels.place("discord", PanelMessage("nobody", "somewhere"))
    assert await store.panels.placed_on("discord") == []


async def test_the_panel_of_a_session_that_is_over_waits_for_its_last_drawing(store: Store) -> None:
    session = await store.sessions.open(a_session())
    await store.panels.place("discord", PanelMessage(session.id, "somewhere"))
    await store.sessions.advance(session.id, SessionState.CLOSED)
    assert [panel.session_id for panel in await store.panels.placed_on("discord")] == [session.id]


# --- blocks ----------------------------------------------------------------------------------------------------------


async def test_blocks_come_back_newest_first(store: Store, clock: ManualClock) -> None:
    assert await store.blocks.add("discord:1", "discord:guild", "discord:9")
    await clock.advance(60)
    assert await store.blocks.add("discord:2", "", "shell:operator")
    assert await store.blocks.everybody() == [
        Block("discord:2", "", "shell:operator", NOON + MINUTE),
        Block("discord:1", "discord:guild", "discord:9", NOON),
    ]


async def test_a_second_block_changes_nothing(store: Store, clock: ManualClock) -> None:
    assert await store.blocks.add("discord:1", "discord:guild", "discord:9")
    await clock.advance(60)
    assert not await store.blocks.add("discord:1", "discord:guild", "discord:8")
    assert await store.blocks.everybody() == [Block("discord:1", "discord:guild", "discord:9", NOON)]


async def test_blocks_of_a_person_in_several_workspaces_are_lifted_one_by_one(store: Store) -> None:
    for workspace in ("discord:guild", "discord:other", ""):
        assert await store.blocks.add("discord:1", workspace, "discord:9")
    assert await store.blocks.remove("discord:1", "discord:guild")
    assert not await store.blocks.remove("discord:1", "discord:guild")
    assert {block.workspace for block in await store.blocks.everybody()} == {"discord:other", ""}


async def test_nobody_is_unblocked_who_was_not_blocked(store: Store) -> None:
    await store.blocks.add("discord:1", "", "discord:9")
    assert not await store.blocks.remove("discord:2", "")
    assert not await store.blocks.remove("discord:1", "discord:guild")
    assert len(await store.blocks.everybody()) == 1


async def test_of_simultaneous_blocks_one_is_new(store: Store) -> None:
    results = await asyncio.gather(*(store.blocks.add("discord:1", "", f"discord:{number}") for number in range(10)))
    assert sum(results) == 1
    assert len(await store.blocks.everybody()) == 1


# --- installations and their one-time states -------------------------------------------------------------------------


async def test_an_installation_is_kept_by_platform_and_workspace(store: Store) -> None:
    await store.installations.save("slack", "T1", "sealed one")
    await store.installations.save("slack", "T2", "sealed two")
    await store.installations.save("other", "T3", "sealed three")
    assert await store.installations.get("slack", "T1") == "sealed one"
    assert await store.installations.get("slack", "T3") is None
    assert await store.installations.workspaces("slack") == ["T1", "T2"]


async def test_a_second_installation_takes_the_place_of_the_first(store: Store) -> None:
    await store.installations.save("slack", "T1", "old")
    await store.installations.save("slack", "T1", "new")
    assert await store.installations.get("slack", "T1") == "new"
    assert await store.installations.workspaces("slack") == ["T1"]


async def test_a_removed_installation_is_gone_and_the_others_stay(store: Store) -> None:
    for workspace in ("T1", "T2"):
        await store.installations.save("slack", workspace, "sealed")
    await store.installations.forget("slack", "T1")
    await store.installations.forget("slack", "T1")
    assert await store.installations.get("slack", "T1") is None
    assert await store.installations.workspaces("slack") == ["T2"]


async def test_a_state_is_good_for_one_use(store: Store) -> None:
    await store.installations.issue_state("state", NOON + MINUTE)
    assert await store.installations.consume_state("state")
    assert not await store.installations.consume_state("state")


async def test_a_state_that_was_never_issued_is_not_good(store: Store) -> None:
    assert not await store.installations.consume_state("state")


async def test_of_simultaneous_uses_of_a_state_one_is_good(store: Store) -> None:
    await store.installations.issue_state("state", NOON + MINUTE)
    assert sum(await asyncio.gather(*(store.installations.consume_state("state") for _ in range(10)))) == 1


async def test_a_state_is_good_until_it_expires_and_then_no_more(store: Store, clock: ManualClock) -> None:
    for state in ("in time", "too late"):
        await store.installations.issue_state(state, NOON + MINUTE)
    await clock.advance(59)
    assert await store.installations.consume_state("in time")
    await clock.advance(1)
    assert not await store.installations.consume_state("too late")


async def test_expired_states_are_forgotten_when_the_next_one_is_issued(store: Store, clock: ManualClock) -> None:
    await store.installations.issue_state("state", NOON + MINUTE)
    with pytest.raises(StoreError):
        await store.installations.issue_state("state", NOON + MINUTE)
    await clock.advance(60)
    await store.installations.issue_state("state", NOON + 2 * MINUTE)
    assert await store.installations.consume_state("state")


# --- what was used ---------------------------------------------------------------------------------------------------


async def a_closed_stream(store: Store, session: Session, over_at: timedelta, **fields: object) -> None:
    values = {"state": StreamState.CLOSED, "closed_at": NOON + over_at, "upstream_id": f"up-{over_at}"} | fields
    await store.streams.record(a_stream(session, created_at=NOON - MINUTE, **values))


async def test_streams_count_that_were_open_at_the_moment_or_later(store: Store) -> None:
    session = await store.sessions.open(a_session(channel=CHANNEL))
    for over_at in (-timedelta(seconds=1), timedelta(0), MINUTE):
        await a_closed_stream(store, session, over_at)
    uses = await store.streams.usage_since(NOON)
    assert sorted(uses, key=lambda use: str(use.closed_at)) == [
        StreamUsage(CHANNEL, session.id, uses[0].stream_id, NOON - MINUTE, NOON),
        StreamUsage(CHANNEL, session.id, uses[1].stream_id, NOON - MINUTE, NOON + MINUTE),
    ]


@pytest.mark.parametrize("state", [StreamState.CREATING, StreamState.OPEN, StreamState.CLOSING])
async def test_a_stream_that_may_be_open_counts_however_long_ago_it_began(store: Store, state: StreamState) -> None:
    session = await store.sessions.open(a_session(channel=CHANNEL))
    begun = NOON - timedelta(days=3)
    stream = a_stream(session, state=state, upstream_id="up", created_at=begun)
    await store.streams.record(stream)
    assert await store.streams.usage_since(NOON) == [StreamUsage(CHANNEL, session.id, stream.id, begun, None)]


async def test_a_stream_the_provider_never_named_does_not_count(store: Store) -> None:
    session = await store.sessions.open(a_session())
    await store.streams.record(a_stream(session, state=StreamState.LOST, closed_at=NOON + MINUTE))
    await store.streams.record(a_stream(session))
    assert await store.streams.usage_since(NOON) == []


async def test_use_is_told_by_channel(store: Store) -> None:
    channels = [Channel("discord", "guild", "one"), Channel("slack", "T1", "C1")]
    for channel in channels:
        await a_closed_stream(
            store, await store.sessions.open(a_session(channel=channel)), MINUTE, upstream_id=channel.id
        )
    assert {use.channel for use in await store.streams.usage_since(NOON)} == set(channels)


async def test_lost_streams_are_those_of_the_provider_whose_id_is_not_known(store: Store, clock: ManualClock) -> None:
    session = await store.sessions.open(a_session())
    lost = a_stream(session)
    await store.streams.record(lost)
    await store.streams.advance(lost.id, StreamState.LOST, detail="no reply")
    for fields in (
        {"state": StreamState.LOST, "provider": "other"},
        {"state": StreamState.LOST, "upstream_id": "known"},
        {"state": StreamState.CLOSED},
        {"state": StreamState.CREATING},
    ):
        await store.streams.record(a_stream(session, **fields))
    assert await store.streams.lost(session.provider) == [
        replace(lost, state=StreamState.LOST, closed_at=NOON, end_detail="no reply")
    ]


async def test_lost_streams_come_oldest_first(store: Store) -> None:
    session = await store.sessions.open(a_session())
    for seconds in (3, 1, 2):
        created_at = NOON + timedelta(seconds=seconds)
        await store.streams.record(
            a_stream(session, id=f"lost {seconds}", state=StreamState.LOST, created_at=created_at)
        )
    assert [stream.id for stream in await store.streams.lost(session.provider)] == ["lost 1", "lost 2", "lost 3"]


async def test_a_lost_stream_that_was_found_is_lost_no_more(store: Store) -> None:
    session = await store.sessions.open(a_session())
    lost = a_stream(session, state=StreamState.LOST)
    await store.streams.record(lost)
    assert await store.streams.bind(lost.id, "up")
    assert await store.streams.advance(lost.id, StreamState.CLOSED, detail="found")
    assert await store.streams.lost(session.provider) == []


# --- what channels have chosen ---------------------------------------------------------------------------------------


async def test_chosen_idle_timeouts_come_by_channel_without_those_that_chose_none(store: Store) -> None:
    one, two, three = (Channel("discord", "guild", name) for name in ("one", "two", "three"))
    await store.channels.set_idle_timeout(one, 60.0)
    await store.channels.set_idle_timeout(two, 90.5)
    await store.channels.set_idle_timeout(three, 120.0)
    await store.channels.set_idle_timeout(three, None)
    assert await store.channels.chosen_idle_timeouts() == {one: 60.0, two: 90.5}
    assert (await store.channels.settings(one)).idle_timeout == 60.0


# --- edits -----------------------------------------------------------------------------------------------------------


async def test_a_waiting_utterance_can_be_reworded(store: Store) -> None:
    session = await store.sessions.open(a_session())
    utterance = an_utterance(session, text="before")
    await store.utterances.accept(("key",), utterance)
    assert await store.utterances.reword(utterance.id, "after")
    assert await store.utterances.queued([session.id]) == {session.id: [utterance._replace(text="after")]}


@pytest.mark.parametrize("state", [state for state in UtteranceState if state is not UtteranceState.QUEUED])
async def test_what_has_begun_or_is_over_keeps_its_words(store: Store, state: UtteranceState) -> None:
    session = await store.sessions.open(a_session())
    utterance = an_utterance(session, text="before")
    await store.utterances.accept((), utterance)
    await store.utterances.advance(utterance.id, state)
    assert not await store.utterances.reword(utterance.id, "after")


async def test_what_was_taken_back_can_be_reworded_again(store: Store) -> None:
    session = await store.sessions.open(a_session())
    utterance = an_utterance(session, text="before")
    await store.utterances.accept((), utterance)
    await store.utterances.advance(utterance.id, UtteranceState.SENDING)
    await store.utterances.advance(utterance.id, UtteranceState.QUEUED)
    assert await store.utterances.reword(utterance.id, "after")


async def test_an_unknown_utterance_cannot_be_reworded(store: Store) -> None:
    assert not await store.utterances.reword("nobody", "after")
