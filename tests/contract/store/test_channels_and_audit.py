"""Channel settings and the audit, on both engines."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.core.models import AuditEntry, Channel, ChannelSettings, Mode
from bot.store.audit import REFUSED, SAME_REFUSAL
from bot.store.store import Store
from tests.builders import CHANNEL, NOON

REFUSAL = AuditEntry(NOON, "discord:1 (Ana)", REFUSED, detail="/avatar stop in discord:guild:general: You may not.")


async def test_a_channel_follows_the_operator_until_it_chooses(store: Store) -> None:
    assert await store.channels.settings(CHANNEL) == ChannelSettings(mode=None)
    await store.channels.set_mode(CHANNEL, Mode.CHAT)
    assert await store.channels.settings(CHANNEL) == ChannelSettings(mode=Mode.CHAT)
    await store.channels.set_mode(CHANNEL, Mode.REPEAT)
    assert await store.channels.settings(CHANNEL) == ChannelSettings(mode=Mode.REPEAT)
    await store.channels.set_mode(CHANNEL, None)
    assert await store.channels.settings(CHANNEL) == ChannelSettings(mode=None)


async def test_a_choice_is_of_one_channel(store: Store) -> None:
    await store.channels.set_mode(CHANNEL, Mode.CHAT)
    assert await store.channels.settings(Channel("slack", "guild", "general")) == ChannelSettings(mode=None)


async def test_the_audit_tells_the_newest_first(store: Store) -> None:
    entries = [
        AuditEntry(NOON + timedelta(seconds=second), "discord:1", "start", str(CHANNEL), f"session-{second}", "detail")
        for second in range(3)
    ]
    for entry in entries:
        await store.audit.add(entry)
    bare = AuditEntry(NOON, "shell", "cleanup")
    await store.audit.add(bare)
    assert await store.audit.newest(3) == [bare, entries[2], entries[1]]
    assert await store.audit.newest(100) == [bare, *reversed(entries)]


async def test_the_same_refusal_of_the_same_person_is_written_once_a_minute(store: Store) -> None:
    for second in range(0, 200, 10):
        await store.audit.add(replace(REFUSAL, at=NOON + timedelta(seconds=second)))
    times = [entry.at for entry in await store.audit.newest(100)]
    assert times == [NOON + timedelta(seconds=second) for second in (140, 70, 0)]


@pytest.mark.parametrize(
    "other",
    [replace(REFUSAL, actor="discord:2 (Bo)"), replace(REFUSAL, detail="/avatar stop in discord:guild:random: no.")],
    ids=["another person", "another channel"],
)
async def test_another_refusal_is_written(store: Store, other: AuditEntry) -> None:
    await store.audit.add(REFUSAL)
    await store.audit.add(other)
    assert await store.audit.newest(100) == [other, REFUSAL]


async def test_what_is_no_refusal_is_written_every_time(store: Store) -> None:
    stop = replace(REFUSAL, action="stop")
    await store.audit.add(stop)
    await store.audit.add(stop)
    assert await store.audit.newest(100) == [stop, stop]


async def test_a_clock_that_was_set_back_keeps_no_refusal_out(store: Store) -> None:
    earlier = replace(REFUSAL, at=NOON - timedelta(days=1))
    await store.audit.add(REFUSAL)
    await store.audit.add(earlier)
    assert await store.audit.newest(100) == [earlier, REFUSAL]


async def test_what_is_older_than_a_moment_is_forgotten(store: Store) -> None:
    old, new = (AuditEntry(NOON + moment, "discord:1", "start") for moment in (-SAME_REFUSAL, timedelta()))
    await store.audit.add(old)
    await store.audit.add(new)
    assert await store.audit.forget(NOON) == 1
    assert await store.audit.newest(100) == [new]
