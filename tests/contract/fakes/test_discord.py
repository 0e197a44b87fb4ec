"""The local Discord under the real discord.py client: what the adapter's tests rely on is so."""

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import discord
import pytest

from tests.contract.fakes.discord_bot import Bot, running
from tests.fakes.discord import Channel, CommandHidden, FakeDiscord, Fault, Guild, User

PLAIN = discord.Intents(guilds=True, guild_messages=True, guild_reactions=True, dm_messages=True)
ALL = discord.Intents(guilds=True, guild_messages=True, guild_reactions=True, dm_messages=True, message_content=True)
MESSAGES = "/channels/{channel_id}/messages"
CALLBACK = "/interactions/{interaction_id}/{interaction_token}/callback"


@dataclass
class Home:
    """A guild with a channel and a member."""

    guild: Guild
    channel: Channel
    ann: User


@pytest.fixture
async def twin() -> AsyncIterator[FakeDiscord]:
    """A local Discord whose own answers are checked against Discord's description too."""
    async with FakeDiscord(check_answers=True) as twin:
        yield twin
    assert twin.validation.mistakes == []


@pytest.fixture
def home(twin: FakeDiscord) -> Home:
    guild = twin.add_guild("Home")
    return Home(guild, twin.add_channel(guild, "general"), twin.add_user("ann", guild=guild))


@pytest.fixture
async def bot(twin: FakeDiscord, home: Home) -> AsyncIterator[Bot]:
    async with running(twin, ALL) as bot:
        yield bot


def place(bot: Bot, channel: Channel) -> discord.TextChannel:
    found = bot.get_channel(channel.id)
    assert isinstance(found, discord.TextChannel)
    return found


# -- login and gateway ----------------------------------------------------------------------------------------------


async def test_the_client_gets_its_guilds_channels_and_threads(twin: FakeDiscord, home: Home) -> None:
    forum = twin.add_channel(home.guild, "posts", kind="forum")
    post = twin.add_forum_post(forum, home.ann, "title", "text")
    async with running(twin, ALL) as bot:
        guild = bot.get_guild(home.guild.id)
        assert guild is not None
        assert {channel.name for channel in guild.channels} == {"general", "posts"}
        assert [thread.id for thread in guild.threads] == [post.id]
        assert guild.me.guild_permissions.send_messages


async def test_commands_are_synced_once_and_seen_once(twin: FakeDiscord, home: Home, bot: Bot) -> None:
    assert twin.count("PUT", "/applications/{application_id}/commands") == 1
    assert twin.visible_commands(home.guild) == ["Say this", "admin", "test"]
    await bot.tree.sync(guild=None)
    bot.tree.copy_global_to(guild=discord.Object(home.guild.id))
    await bot.tree.sync(guild=discord.Object(home.guild.id))
    assert twin.visible_commands(home.guild).count("test") == 2


async def test_a_wrong_token_is_a_login_failure(twin: FakeDiscord) -> None:
    with twin.pointed(), pytest.raises(discord.LoginFailure):
        async with Bot(ALL) as bot:
            await bot.start("another.token")


async def test_a_token_refused_by_the_gateway_closes_with_4004(twin: FakeDiscord, home: Home) -> None:
    twin.refuse_identify(4004)
    with pytest.raises(discord.ConnectionClosed) as closed:
        async with running(twin, ALL):
            pass
    assert closed.value.code == 4004


async def test_an_intent_that_is_switched_off_is_privileged_intents_required(home: Home, twin: FakeDiscord) -> None:
    twin.gateway.allowed_intents = 0
    with pytest.raises(discord.PrivilegedIntentsRequired):
        async with running(twin, ALL):
            pass
    assert [identify.code for identify in twin.identifies] == [4014]


async def test_each_shard_gets_its_own_guilds_and_interactions() -> None:
    async with FakeDiscord(shards=2, check_answers=True) as twin:
        guilds = [twin.add_guild(f"Home {number}", shard=number) for number in (0, 1)]
        asker = twin.add_user("ann", guild=guilds[0])
        twin.join(guilds[1], asker)
        channels = [twin.add_channel(guild) for guild in guilds]
        async with running(twin, ALL) as bot:
            assert [identify.shard for identify in twin.identifies] == [(0, 2), (1, 2)]
            assert {guild.shard_id for guild in bot.guilds} == {0, 1}
            for channel in channels:
                asked = await twin.slash(channel, asker, "test now", {"text": "here"})
                assert (await asked.answered()).content == "here"
        assert twin.validation.mistakes == []


async def test_a_dropped_connection_is_resumed_and_no_message_is_lost(twin: FakeDiscord, home: Home, bot: Bot) -> None:
    await twin.write(home.channel, home.ann, "before")
    await twin.drop_gateway()
    for number in range(5):
        await twin.write(home.channel, home.ann, f"during {number}")
    await twin.until(lambda: twin.resumes == 1)
    last = await twin.slash(home.channel, home.ann, "test now")
    await last.answered()
    assert [message.content for message in bot.heard] == ["before", *[f"during {number}" for number in range(5)]]
    assert len(twin.identifies) == 1


@pytest.mark.parametrize("trouble", ["reconnect", "invalid but resumable", "closed"])
async def test_what_can_be_resumed_is_resumed(twin: FakeDiscord, home: Home, bot: Bot, trouble: str) -> None:
    match trouble:
        case "reconnect":
            await twin.request_reconnect()
        case "closed":
            await twin.drop_gateway(code=4000)
        case _:
            await twin.invalidate_session(resumable=True)
    await twin.until(lambda: twin.resumes == 1)
    await twin.write(home.channel, home.ann, "after")
    await (await twin.slash(home.channel, home.ann, "test now")).answered()
    assert [message.content for message in bot.heard] == ["after"]


async def test_an_invalid_session_is_identified_anew(twin: FakeDiscord, home: Home, bot: Bot) -> None:
    await twin.invalidate_session()
    await twin.until(lambda: len(twin.identifies) == 2, timeout=20)
    await twin.ready(times=2)
    await twin.write(home.channel, home.ann, "after")
    await (await twin.slash(home.channel, home.ann, "test now")).answered()
    assert [message.content for message in bot.heard] == ["after"]
    assert twin.resumes == 0


async def test_what_happens_while_a_connection_is_silent_comes_with_the_resume(
    twin: FakeDiscord, home: Home, bot: Bot
) -> None:
    twin.silence_gateway()
    await twin.write(home.channel, home.ann, "unheard")
    assert bot.heard == []
    await twin.drop_gateway()
    await twin.until(lambda: twin.resumes == 1)
    await (await twin.slash(home.channel, home.ann, "test now")).answered()
    assert [message.content for message in bot.heard] == ["unheard"]


async def test_heartbeats_are_answered() -> None:
    async with FakeDiscord(heartbeat_interval=0.05) as twin, running(twin, ALL) as bot:
        await twin.until(lambda: twin.gateway.heartbeats >= 4)
        assert twin.connected == 1
        assert not bot.is_closed()


# -- messages -------------------------------------------------------------------------------------------------------


async def test_content_is_stripped_unless_the_bot_is_addressed(twin: FakeDiscord, home: Home) -> None:
    async with running(twin, PLAIN) as bot:
        own = await place(bot, home.channel).send("mine")
        await twin.write(home.channel, home.ann, "secret", attachments=1)
        await twin.write(home.channel, home.ann, "to you", mentions=[twin.bot])
        await twin.write(home.channel, home.ann, "answer", reply_to=twin.message(own.id))
        await twin.write(twin.open_dm(home.ann), home.ann, "directly")
        await (await twin.slash(home.channel, home.ann, "test now")).answered()
        assert [message.content for message in bot.heard] == ["", f"{twin.bot.mention} to you", "answer", "directly"]
        assert bot.heard[0].attachments == []
        assert bot.heard[2].reference is not None


async def test_without_the_messages_intent_no_messages_come(twin: FakeDiscord, home: Home) -> None:
    async with running(twin, discord.Intents(guilds=True)) as bot:
        await twin.write(home.channel, home.ann, "hello", mentions=[twin.bot])
        await (await twin.slash(home.channel, home.ann, "test now")).answered()
        assert bot.heard == []


async def test_edits_and_deletions_reach_the_bot(twin: FakeDiscord, home: Home, bot: Bot) -> None:
    first, second, third = [await twin.write(home.channel, home.ann, text) for text in ("one", "two", "three")]
    await twin.edit_message(first, "uno")
    await twin.delete_message(second)
    await twin.bulk_delete([first, third])
    await (await twin.slash(home.channel, home.ann, "test now")).answered()
    assert bot.edited == ["uno"]
    assert bot.deleted == [second.id]
    assert twin.messages(home.channel) == []


async def test_edits_of_a_message_are_counted(twin: FakeDiscord, home: Home, bot: Bot) -> None:
    sent = await place(bot, home.channel).send("first", embed=discord.Embed(title="T"))
    await sent.edit(content="second")
    await sent.edit(embed=None)
    panel = twin.message(sent.id)
    assert (panel.content, panel.embeds, panel.edits) == ("second", [], 2)
    assert [version["content"] for version in panel.history] == ["first", "second"]


async def test_reactions_are_put_and_taken(twin: FakeDiscord, home: Home, bot: Bot) -> None:
    written = await twin.write(home.channel, home.ann, "hello")
    seen = await place(bot, home.channel).fetch_message(written.id)
    await seen.add_reaction("👂")
    assert written.reacted("👂", twin.bot)
    assert bot.user is not None
    await seen.remove_reaction("👂", bot.user)
    assert not written.reacted("👂")


async def test_whom_a_message_pings_follows_from_allowed_mentions(twin: FakeDiscord, home: Home, bot: Bot) -> None:
    text = f"{home.ann.mention} @everyone"
    quiet = await place(bot, home.channel).send(text)
    loud = await place(bot, home.channel).send(text, allowed_mentions=discord.AllowedMentions.all())
    assert (twin.message(quiet.id).mentions, twin.message(quiet.id).pings_everyone) == ([], False)
    assert (twin.message(loud.id).mentions, twin.message(loud.id).pings_everyone) == ([home.ann], True)


@pytest.mark.parametrize(
    ("permission", "code"), [("view_channel", 50001), ("send_messages", 50013), ("embed_links", 50013)]
)
async def test_a_missing_permission_refuses_the_message(
    twin: FakeDiscord, home: Home, bot: Bot, permission: str, code: int
) -> None:
    twin.deny(home.channel, permission)
    with pytest.raises(discord.Forbidden) as refused:
        await place(bot, home.channel).send("x", embed=discord.Embed(title="T"))
    assert refused.value.code == code
    twin.allow(home.channel, permission)
    await place(bot, home.channel).send("x", embed=discord.Embed(title="T"))


async def test_the_client_knows_of_a_denied_permission(twin: FakeDiscord, home: Home, bot: Bot) -> None:
    twin.deny(home.channel, "embed_links")
    asked = await twin.slash(home.channel, home.ann, "test now")
    await asked.answered()
    channel = place(bot, home.channel)
    assert not channel.permissions_for(channel.guild.me).embed_links


async def test_what_does_not_exist_is_not_found(twin: FakeDiscord, home: Home, bot: Bot) -> None:
    channel = place(bot, home.channel)
    with pytest.raises(discord.NotFound) as message:
        await channel.fetch_message(1)
    await twin.delete_channel(home.channel)
    with pytest.raises(discord.NotFound) as gone:
        await channel.send("x")
    assert (message.value.code, gone.value.code) == (10008, 10003)


async def test_a_message_that_is_too_long_is_refused(twin: FakeDiscord, home: Home, bot: Bot) -> None:
    with pytest.raises(discord.HTTPException) as refused:
        await place(bot, home.channel).send("x" * 2001)
    assert (refused.value.status, refused.value.code) == (400, 50035)
    assert twin.messages(home.channel) == []


async def test_components_beyond_the_limits_are_refused(twin: FakeDiscord, home: Home, bot: Bot) -> None:
    button = {"type": 2, "style": 2, "label": "x", "custom_id": "same"}
    route = discord.http.Route("POST", MESSAGES, channel_id=home.channel.id)
    with pytest.raises(discord.HTTPException) as refused:
        await bot.http.request(route, json={"components": [{"type": 1, "components": [button, button]}]})
    assert refused.value.code == 50035


async def test_files_and_components_of_the_second_kind_arrive(twin: FakeDiscord, home: Home, bot: Bot) -> None:
    layout = discord.ui.LayoutView()
    layout.add_item(discord.ui.TextDisplay("shown"))
    sent = await place(bot, home.channel).send(view=layout)
    assert twin.message(sent.id).text == "shown"
    assert twin.message(sent.id).flags & 1 << 15


async def test_what_discord_py_sends_and_gets_fits_the_description(twin: FakeDiscord, home: Home, bot: Bot) -> None:
    channel = place(bot, home.channel)
    embed = discord.Embed(
        title="T", description="D", colour=3, url="https://example.com/", timestamp=discord.utils.utcnow()
    )
    embed.set_thumbnail(url="https://example.com/a.png").set_footer(text="F").add_field(name="a", value="b")
    menu = discord.ui.Select[discord.ui.View](options=[discord.SelectOption(label="x")])
    view = discord.ui.View(timeout=None).add_item(menu).add_item(discord.ui.Button(emoji="🗑", custom_id="go", row=1))
    file = discord.File(io.BytesIO(b"text"), "a.txt")
    sent = await channel.send("shown", embed=embed, view=view, file=file, silent=True)
    await sent.edit(embed=embed, attachments=[])
    section = discord.ui.Section[discord.ui.LayoutView]("side", accessory=discord.ui.Thumbnail("https://example.com/"))
    layout = discord.ui.LayoutView()
    layout.add_item(discord.ui.Container(discord.ui.TextDisplay("# hi"), discord.ui.Separator(), section))
    await channel.send(view=layout)
    reply = await sent.reply("answer", mention_author=False)
    thread = await sent.create_thread(name="aside")
    await thread.send("within")
    async with channel.typing():
        history = [message.id async for message in channel.history(limit=2, before=reply)]
    await (await bot.fetch_user(home.ann.id)).send("directly")
    await sent.delete()
    assert history[-1] == sent.id
    assert [message.content for message in twin.messages(twin.open_dm(home.ann))] == ["directly"]
    assert twin.message(reply.id).reply_to is twin.message(sent.id)


# -- what happens to places -----------------------------------------------------------------------------------------


async def test_places_that_go_away_are_told(twin: FakeDiscord, home: Home, bot: Bot) -> None:
    thread = twin.add_thread(home.channel)
    other = twin.add_guild("Other")
    await twin.archive_thread(thread)
    await twin.delete_channel(home.channel)
    await twin.kick_bot(other)
    lobby = twin.add_channel(home.guild, "lobby")
    await (await twin.slash(lobby, home.ann, "test now")).answered()
    assert bot.left == [thread.id, home.channel.id, other.id]
    with pytest.raises(CommandHidden):
        await twin.slash(home.channel, home.ann, "test now")


# -- interactions ---------------------------------------------------------------------------------------------------


async def test_a_command_is_answered_for_the_asker_only(twin: FakeDiscord, home: Home, bot: Bot) -> None:
    asked = await twin.slash(home.channel, home.ann, "test now", {"text": "privately"})
    answer = await asked.answered()
    assert (answer.content, answer.ephemeral) == ("privately", True)
    assert (await asked.acknowledged()).kind == "message"
    assert asked.ack_seconds is not None
    assert twin.messages(home.channel) == []
    assert twin.messages(home.channel, ephemeral=True) == [answer]


async def test_a_deferred_answer_is_edited_and_followed_up(twin: FakeDiscord, home: Home, bot: Bot) -> None:
    bot.gate.clear()
    asked = await twin.slash(home.channel, home.ann, "test later")
    assert (await asked.acknowledged()).kind == "deferred"
    assert asked.response is not None
    assert asked.response.loading
    bot.gate.set()
    answer = await asked.answered()
    assert answer.text == "later\nDone\nafter thinking\nMode: say"
    assert (await asked.followed_up()).content == "and more"


async def test_autocomplete_offers_choices(twin: FakeDiscord, home: Home, bot: Bot) -> None:
    typing = await twin.autocomplete(home.channel, home.ann, "test pick", "fruit", "ap")
    assert (await typing.acknowledged()).kind == "choices"
    assert [choice["name"] for choice in typing.choices] == ["Apple", "Apricot"]


async def test_a_button_works_after_a_restart_of_the_bot(twin: FakeDiscord, home: Home) -> None:
    async with running(twin, ALL):
        panel = await (await twin.slash(home.channel, home.ann, "test later")).answered()
    async with running(twin, ALL):
        pressed = await twin.click(home.ann, panel, label="Count 0")
        assert await pressed.answered() is panel
        await twin.click(home.ann, panel, custom_id="count:1")
        await twin.until(lambda: panel.buttons[0]["custom_id"] == "count:2")
    with pytest.raises(CommandHidden):
        await twin.click(home.ann, panel, label="Watch")


async def test_a_message_is_used_from_its_context_menu(twin: FakeDiscord, home: Home) -> None:
    async with running(twin, PLAIN):
        written = await twin.write(home.channel, home.ann, "this")
        used = await twin.context_menu(home.channel, home.ann, "Say this", written)
        assert (await used.answered()).content == "said: this"


async def test_a_modal_is_shown_and_submitted(twin: FakeDiscord, home: Home, bot: Bot) -> None:
    shown = await twin.slash(home.channel, home.ann, "test ask")
    assert (await shown.acknowledged()).kind == "modal"
    submitted = await twin.submit_modal(home.ann, shown, {"words": "why"})
    assert (await submitted.answered()).content == "asked: why"


async def test_commands_for_managers_are_hidden_from_others(twin: FakeDiscord, home: Home, bot: Bot) -> None:
    with pytest.raises(CommandHidden):
        await twin.slash(home.channel, home.ann, "admin cleanup", {"member": home.ann})
    remapped = await twin.slash(home.channel, home.ann, "admin cleanup", {"member": home.ann}, anyway=True)
    assert (await remapped.answered()).content == "ann False"
    twin.give_role(home.guild, home.ann, twin.add_role(home.guild, "mods", "manage_guild"))
    allowed = await twin.slash(home.channel, home.ann, "admin cleanup", {"member": home.ann})
    assert (await allowed.answered()).content == "ann True"


@pytest.mark.parametrize(
    ("command", "options"), [("nothing", {}), ("test nothing", {}), ("test pick", {}), ("test now", {"text": 1})]
)
async def test_what_a_client_does_not_offer_cannot_be_typed(
    twin: FakeDiscord, home: Home, bot: Bot, command: str, options: dict[str, object]
) -> None:
    with pytest.raises(CommandHidden):
        await twin.slash(home.channel, home.ann, command, options)


async def test_an_answer_after_three_seconds_is_an_unknown_interaction(twin: FakeDiscord, home: Home, bot: Bot) -> None:
    bot.gate.clear()
    asked = await twin.slash(home.channel, home.ann, "test now")
    twin.age_interactions(3.1)
    bot.gate.set()
    await twin.until(lambda: twin.unknown_interactions == [asked])
    await (await twin.slash(home.channel, home.ann, "test now")).answered()
    assert [getattr(error, "code", None) for error in bot.errors] == [10062]
    assert asked.acknowledgement is None


async def test_a_second_answer_is_already_acknowledged(twin: FakeDiscord, home: Home, bot: Bot) -> None:
    asked = await twin.slash(home.channel, home.ann, "test twice")
    await twin.until(lambda: len(asked.attempts) == 2)
    await (await twin.slash(home.channel, home.ann, "test now")).answered()
    assert [getattr(error, "code", None) for error in bot.errors] == [40060]
    assert (await asked.answered()).content == "first"


async def test_a_deferred_token_dies_after_a_quarter_of_an_hour(twin: FakeDiscord, home: Home, bot: Bot) -> None:
    asked = await twin.slash(home.channel, home.ann, "test now")
    await asked.answered()
    url = f"{twin.api_url}/webhooks/{twin.application_id}/{asked.token}/messages/@original"
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            assert answer.status == 200
        twin.age_interactions(15 * 60)
        async with session.get(url) as answer:
            assert (answer.status, (await answer.json())["code"]) == (401, 50027)


# -- trouble --------------------------------------------------------------------------------------------------------


async def test_a_rate_limit_is_waited_for(twin: FakeDiscord, home: Home, bot: Bot) -> None:
    twin.fail_next("POST", MESSAGES, Fault.rate_limit(0.01))
    await place(bot, home.channel).send("patient")
    assert [message.content for message in twin.messages(home.channel)] == ["patient"]
    assert [request.status for request in twin.requests if request.template == MESSAGES] == [429, 200]


async def test_a_message_whose_answer_was_a_500_is_posted_once(twin: FakeDiscord, home: Home, bot: Bot) -> None:
    twin.fail_next("POST", MESSAGES, Fault.server_error(effect=True))
    await place(bot, home.channel).send("once")
    assert [message.content for message in twin.messages(home.channel)] == ["once"]
    assert twin.count("POST", MESSAGES) == 2


async def test_a_lost_reply_of_a_callback_leaves_the_user_with_the_answer(
    twin: FakeDiscord, home: Home, bot: Bot
) -> None:
    twin.fail_next("POST", CALLBACK, Fault.server_error(effect=True))
    asked = await twin.slash(home.channel, home.ann, "test now", {"text": "seen"})
    await twin.until(lambda: len(asked.attempts) == 2)
    assert (await asked.answered()).content == "seen"
    assert asked.attempts[1].code == 40060


@pytest.mark.parametrize("effect", [False, True])
async def test_a_dropped_connection_is_an_error_of_the_client(
    twin: FakeDiscord, home: Home, bot: Bot, effect: bool
) -> None:
    twin.fail_next("POST", "/channels/*/messages", Fault.drop(effect=effect))
    with pytest.raises((aiohttp.ClientError, OSError)):
        await place(bot, home.channel).send("lost")
    assert len(twin.messages(home.channel)) == effect


async def test_a_refusal_can_be_ordered_and_a_request_held(twin: FakeDiscord, home: Home, bot: Bot) -> None:
    twin.fail_next("POST", MESSAGES, Fault.refuse(50013))
    with pytest.raises(discord.Forbidden):
        await place(bot, home.channel).send("refused")
    gate = asyncio.Event()
    twin.fail_next("POST", MESSAGES, Fault.hold(gate))
    sending = asyncio.create_task(place(bot, home.channel).send("held"))
    await twin.until(lambda: twin.count("POST", MESSAGES) == 2)
    assert twin.messages(home.channel) == []
    gate.set()
    await sending
    assert len(twin.messages(home.channel)) == 1


# -- validation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", MESSAGES, {"content": ["x"]}, "$.content"),
        ("POST", MESSAGES, {"content": "x", "colour": 3}, "$.colour: no such field"),
        ("POST", MESSAGES, {"content": "x", "embeds": [{"tittle": "T"}]}, "$.embeds[0].tittle: no such field"),
        ("GET", f"{MESSAGES}?limit=101", None, "limit"),
        ("GET", f"{MESSAGES}?page=2", None, "'page' is not described"),
        ("POST", "/channels/{channel_id}/shout", {}, "no such path"),
        ("PUT", "/channels/{channel_id}/typing", None, "no such method"),
    ],
)
async def test_a_request_that_the_description_does_not_allow_is_noted(
    twin: FakeDiscord, home: Home, method: str, path: str, body: object, expected: str
) -> None:
    url = twin.api_url + path.format(channel_id=home.channel.id)
    headers = {"Authorization": f"Bot {twin.token}"}
    twin.check_answers = False
    async with aiohttp.ClientSession(headers=headers) as session, session.request(method, url, json=body):
        pass
    assert expected in twin.violations[0]
    with pytest.raises(AssertionError):
        twin.check()
    twin.violations.clear()


async def test_waiting_for_what_does_not_happen_fails(twin: FakeDiscord) -> None:
    with pytest.raises(AssertionError, match="did not become true"):
        await twin.until(lambda: False, timeout=0.01)


# -- the Activity ---------------------------------------------------------------------------------------------------

INSTANCE = "/applications/{application_id}/activity-instances/{instance_id}"


async def test_activity_is_launched_into_one_instance_until_the_last_has_left(
    twin: FakeDiscord, home: Home, bot: Bot
) -> None:
    refused = await twin.slash(home.channel, home.ann, "test launch")
    await twin.until(lambda: refused.attempts)
    assert [attempt.code for attempt in refused.attempts] == [50035]
    twin.enable_activities()
    launched = await twin.slash(home.channel, home.ann, "test launch")
    assert (await launched.acknowledged()).kind == "launch"
    instance = launched.launched
    assert instance is not None
    route = discord.http.Route("GET", INSTANCE, application_id=bot.application_id, instance_id=instance.id)
    shown = await bot.http.request(route)
    assert shown["location"] == {
        "id": f"gc-{home.guild.id}-{home.channel.id}",
        "kind": "gc",
        "channel_id": str(home.channel.id),
        "guild_id": str(home.guild.id),
    }
    assert shown["users"] == [str(home.ann.id)]
    private = twin.activities.launch(twin.open_dm(home.ann), home.ann)
    route = discord.http.Route("GET", INSTANCE, application_id=bot.application_id, instance_id=private.id)
    assert (await bot.http.request(route))["location"]["kind"] == "pc"
    twin.activities.leave(private, home.ann)
    with pytest.raises(discord.NotFound) as gone:
        await bot.http.request(route)
    assert (gone.value.status, gone.value.code) == (404, 0)
