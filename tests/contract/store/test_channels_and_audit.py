"""Channel settings and the audit, on both engines."""

from datetime import timedelta

from bot.model import AuditEntry, Channel, ChannelSettings, Mode
from bot.store.store import Store
from tests.contract.store.values import CHANNEL, NOON


async def test_a_channel_follows_the_operator_until_it_chooses(store: Store) -> None:
    assert await store.channel_settings(CHANNEL) == ChannelSettings(mode=None)
    await store.set_channel_mode(CHANNEL, Mode.CHAT)
    assert await store.channel_settings(CHANNEL) == ChannelSettings(mode=Mode.CHAT)
    await store.set_channel_mode(CHANNEL, Mode.REPEAT)
    assert await store.channel_settings(CHANNEL) == ChannelSettings(mode=Mode.REPEAT)
    await store.set_channel_mode(CHANNEL, None)
    assert await store.channel_settings(CHANNEL) == ChannelSettings(mode=None)


async def test_a_choice_is_of_one_channel(store: Store) -> None:
    await store.set_channel_mode(CHANNEL, Mode.CHAT)
    assert await store.channel_settings(Channel("slack", "guild", "general")) == ChannelSettings(mode=None)


async def test_the_audit_tells_the_newest_first(store: Store) -> None:
    entries = [
        AuditEntry(NOON + timedelta(seconds=second), "discord:1", "start", str(CHANNEL), f"session-{second}", "detail")
        for second in range(3)
    ]
    for entry in entries:
        await store.audit(entry)
    bare = AuditEntry(NOON, "shell", "cleanup")
    await store.audit(bare)
    assert await store.audit_entries(3) == [bare, entries[2], entries[1]]
    assert await store.audit_entries(100) == [bare, *reversed(entries)]
