"""Who may do what in a running bot: the lists of the operator, blocks from chat and shell, channels, the audit."""

from dataclasses import replace
from pathlib import Path

import pytest

from bot.access.permissions import EVERYWHERE, AccessLists
from bot.commands.parser import AVATAR, CommandContext, parse
from bot.core.errors import Refused
from bot.core.models import Actor, AuditEntry, Channel, Role
from bot.store import tables
from tests.builders import an_actor
from tests.harness.bot import ADA, ANA, CHANNEL, BotHarness

BO = an_actor("Bo")
ADMIN_HERE = an_actor("Mia", role=Role.ADMIN)
ELSEWHERE = Channel("test", "other workspace", "lobby")
BLOCKED = "You are blocked from using the avatar here."
DENIED = "Avatars are not allowed in this channel. Try another one."
EVERY_COMMAND = (
    "/avatar start",
    "/avatar say hi",
    "/avatar ask hi",
    "/avatar interrupt",
    "/avatar skip",
    "/avatar clear",
    "/avatar queue",
    "/avatar mode chat",
    "/avatar idle 30",
    "/avatar keep",
    "/avatar status",
    "/avatar watch",
    "/avatar stop",
    "/avatar help",
    "/avatar-admin sessions",
    "/avatar-admin stop-all",
    "/avatar-admin unblock bo",
)


async def refusal(world: BotHarness, text: str, actor: Actor, channel: Channel = CHANNEL) -> str:
    with pytest.raises(Refused) as refused:
        await world.write(text, actor, channel)
    return str(refused.value)


async def refusals(world: BotHarness) -> list[AuditEntry]:
    return [entry for entry in await world.store.audit.newest(100) if entry.action == "refused"]


# --- blocks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("person", [BO, replace(BO, role=Role.ADMIN)], ids=["host", "admin"])
async def test_a_blocked_person_can_do_nothing(realtime: BotHarness, person: Actor) -> None:
    running = await realtime.start()
    await realtime.type("/avatar-admin block bo", ADA)
    for line in EVERY_COMMAND:
        assert (await realtime.type(line, person)).text == BLOCKED, line
    assert await refusal(realtime, "let me in", person) == BLOCKED
    assert not running.stop.is_set
    assert await realtime.rows(tables.utterances) == []


async def test_every_refusal_of_a_blocked_person_is_in_the_audit(realtime: BotHarness) -> None:
    await realtime.start()
    await realtime.type("/avatar-admin block bo", ADA)
    for line in EVERY_COMMAND:
        await realtime.type(line, BO)
    await refusal(realtime, "let me in", BO)
    entries = await refusals(realtime)
    assert len(entries) == len(EVERY_COMMAND) + 1
    assert {entry.actor for entry in entries} == {"test:bo (Bo)"}
    assert all(BLOCKED in (entry.detail or "") for entry in entries)


async def test_a_lifted_block_lets_a_person_do_what_they_could(realtime: BotHarness) -> None:
    await realtime.start()
    await realtime.type("/avatar-admin block bo", ADA)
    assert (await realtime.type("/avatar-admin unblock bo", ADA)).text == "bo may use the avatar again."
    assert (await realtime.write("thanks", BO)).utterance is not None
    assert (await realtime.type("/avatar stop", BO)).text == "Stopping the avatar…"


async def test_blocking_twice_and_unblocking_nobody_say_so(realtime: BotHarness) -> None:
    assert (await realtime.type("/avatar-admin block bo", ADA)).text == "bo can no longer use the avatar."
    assert (await realtime.type("/avatar-admin block bo", ADA)).text == "bo was blocked already."
    assert (await realtime.type("/avatar-admin unblock mia", ADA)).text == "mia was not blocked."


@pytest.mark.parametrize("written", ["bo", "@bo", "<@bo>", "<@!bo>", "<@bo|Bo>"])
async def test_a_person_can_be_named_by_id_or_by_mention(realtime: BotHarness, written: str) -> None:
    await realtime.type(f"/avatar-admin block {written}", ADA)
    assert [block.person for block in await realtime.store.blocks.everybody()] == ["test:bo"]
    assert (await realtime.type("/avatar status", BO)).text == BLOCKED


@pytest.mark.parametrize("written", ["<@&77>", "two words", "<#general>", "x" * 65, "discord:bo extra", "<@>"])
async def test_what_is_no_person_is_not_blocked(realtime: BotHarness, written: str) -> None:
    reply = await realtime.type(f"/avatar-admin block {written}", ADA)
    assert reply.text.startswith("I do not know who `")
    assert await realtime.store.blocks.everybody() == []


async def test_an_operator_can_name_a_person_of_another_platform_and_an_admin_cannot(realtime: BotHarness) -> None:
    await realtime.type("/avatar-admin block slack:U1", ADA)
    assert (await realtime.type("/avatar-admin block slack:U2", ADMIN_HERE)).text.startswith("I do not know who")
    assert [block.person for block in await realtime.store.blocks.everybody()] == ["slack:U1"]


async def test_a_block_by_an_operator_holds_in_every_workspace(realtime: BotHarness) -> None:
    await realtime.type("/avatar-admin block bo", ADA)
    assert (await realtime.type("/avatar start", BO, ELSEWHERE)).text == BLOCKED


async def test_a_block_by_an_admin_holds_in_their_own_workspace_alone(realtime: BotHarness) -> None:
    await realtime.type("/avatar-admin block bo", ADMIN_HERE)
    assert (await realtime.type("/avatar start", BO)).text == BLOCKED
    assert (await realtime.type("/avatar start", BO, ELSEWHERE)).text.startswith("Starting the avatar")


async def test_an_admin_cannot_lift_what_an_admin_of_another_workspace_has_set(realtime: BotHarness) -> None:
    await realtime.type("/avatar-admin block bo", ADMIN_HERE)
    reply = await realtime.type("/avatar-admin unblock bo", replace(ADMIN_HERE, id="zoe"), ELSEWHERE)
    assert reply.text == "bo was not blocked."
    assert (await realtime.type("/avatar status", BO)).text == BLOCKED


async def test_an_operator_lifts_every_block_of_a_person(realtime: BotHarness) -> None:
    await realtime.type("/avatar-admin block bo", ADMIN_HERE)
    await realtime.type("/avatar-admin block bo", replace(ADMIN_HERE, id="zoe"), ELSEWHERE)
    assert (await realtime.type("/avatar-admin unblock bo", ADA)).text == "bo may use the avatar again."
    assert await realtime.store.blocks.everybody() == []
    assert (await realtime.type("/avatar start", BO)).text.startswith("Starting the avatar")


async def test_an_admin_is_told_of_a_block_that_only_the_operator_can_lift(realtime: BotHarness) -> None:
    await realtime.type("/avatar-admin block bo", ADA)
    reply = await realtime.type("/avatar-admin unblock bo", ADMIN_HERE)
    assert reply.text == "bo is blocked in every workspace. Only the operator of this bot can lift that."
    assert (await realtime.type("/avatar status", BO)).text == BLOCKED


async def test_blocks_hold_over_a_restart(realtime: BotHarness) -> None:
    await realtime.type("/avatar-admin block bo", ADA)
    await realtime.crash()
    await realtime.boot()
    assert (await realtime.type("/avatar start", BO)).text == BLOCKED


async def test_a_block_and_its_lifting_by_the_shell_are_noticed_by_the_running_bot(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, jobs=True) as world:
        assert (await world.type("/avatar help", BO)).text != BLOCKED
        await world.store.blocks.add("test:bo", EVERYWHERE, "shell:operator")
        await world.pass_time(5)
        assert (await world.type("/avatar help", BO)).text == BLOCKED
        await world.store.blocks.remove("test:bo", EVERYWHERE)
        await world.pass_time(5)
        assert (await world.type("/avatar help", BO)).text != BLOCKED


# --- roles -----------------------------------------------------------------------------------------------------------


async def test_hosts_named_by_the_operator_start_and_others_only_speak(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, access=AccessLists(hosts=frozenset({"test:ana"}))) as world:
        assert (await world.type("/avatar start", BO)).text.startswith("You may not start or stop the avatar here.")
        running = await world.start()
        assert (await world.write("good morning", BO)).utterance is not None
        assert (await world.type("/avatar stop", BO)).text.startswith("You may not start or stop the avatar here.")
        assert not running.stop.is_set


async def test_a_group_can_be_named_as_hosts(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, access=AccessLists(hosts=frozenset({"test:moderators"}))) as world:
        assert (await world.type("/avatar start", BO)).text.startswith("You may not")
        moderator = replace(BO, groups=frozenset({"moderators"}))
        assert (await world.type("/avatar start", moderator)).text.startswith("Starting the avatar")


async def test_speakers_named_by_the_operator_are_heard_and_others_only_watch(tmp_path: Path) -> None:
    access = AccessLists(hosts=frozenset({"test:ana"}), speakers=frozenset({"test:cy"}))
    async with BotHarness(tmp_path, access=access) as world:
        await world.start()
        assert (await world.write("hello", replace(BO, id="cy"))).utterance is not None
        assert (await refusal(world, "hello", BO)).startswith("You may not write to the avatar here.")
        for line in ("/avatar say hi", "/avatar skip", "/avatar keep"):
            assert (await world.type(line, BO)).text.startswith("You may not write to the avatar here."), line
        assert (await world.type("/avatar watch", BO)).link


async def test_help_shows_admin_commands_to_admins_the_operator_has_named(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, access=AccessLists(admins=frozenset({"test:bo"}))) as world:
        assert any("/avatar-admin" in line for line, _ in (await world.type("/avatar help", BO)).fields)
        assert not any("/avatar-admin" in line for line, _ in (await world.type("/avatar help", ANA)).fields)


# --- channels --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "access",
    [
        AccessLists(channels_denied=frozenset({"test:general"})),
        AccessLists(channels_allowed=frozenset({"test:stage"})),
    ],
    ids=["denied", "not allowed"],
)
async def test_no_avatar_comes_into_a_channel_the_operator_does_not_want_it_in(
    tmp_path: Path, access: AccessLists
) -> None:
    async with BotHarness(tmp_path, access=access) as world:
        assert (await world.type("/avatar start")).text == DENIED
        assert (await world.type("/avatar start", channel=CHANNEL._replace(id="stage"))).text.startswith("Starting")
        assert [entry.actor for entry in await refusals(world)] == ["test:ana (Ana)"]
        await world.rest()
        assert world.running is None


async def test_a_session_in_a_channel_that_is_denied_since_takes_no_messages_and_can_be_stopped(tmp_path: Path) -> None:
    async with BotHarness(tmp_path) as world:
        await world.start()
        await world.crash()
        world._access = AccessLists(channels_denied=frozenset({"test:general"}))
        await world.boot()
        running = world.running
        assert running is not None
        assert await refusal(world, "hello", ANA) == DENIED
        assert (await world.type("/avatar say hello")).text == DENIED
        assert len(await refusals(world)) == 2
        assert (await world.type("/avatar stop")).text == "Stopping the avatar…"
        await world.until(running.closed.is_set)


# --- the audit -------------------------------------------------------------------------------------------------------


async def test_refused_commands_and_messages_are_in_the_audit_once_each(realtime: BotHarness) -> None:
    guest = replace(BO, role=Role.VIEWER)
    await realtime.start()
    for line in ("/avatar say hi", "/avatar ask hi", "/avatar stop", "/avatar-admin sessions"):
        await realtime.type(line, guest)
    await refusal(realtime, "hi", guest)
    assert sorted((entry.detail or "").partition(" in test:")[0] for entry in await refusals(realtime)) == [
        "/avatar ask",
        "/avatar say",
        "/avatar stop",
        "/avatar-admin sessions",
        "a message",
    ]


async def test_slips_of_the_tongue_are_not_in_the_audit(realtime: BotHarness) -> None:
    await realtime.type("/avatar stop")
    await realtime.type("/avatar start mode=sing")
    await realtime.type("/avatar say **")
    assert await refusals(realtime) == []


async def test_a_command_delivered_again_is_done_and_answered_once(realtime: BotHarness) -> None:
    command = parse("start", realtime.commands.usages, AVATAR)
    ctx = CommandContext(command, CHANNEL, ANA, keys=("delivery-1",))
    first, second = await realtime.commands.run(ctx), await realtime.commands.run(ctx)
    assert first is not None
    assert first.text.startswith("Starting the avatar")
    assert second is None
    assert [entry.action for entry in await realtime.store.audit.newest(10)] == ["start"]
