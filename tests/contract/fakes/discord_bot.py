"""A small real discord.py client for the tests of the local Discord: a bit of everything a bot uses."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import discord
from discord import app_commands

from tests.fakes.discord import FakeDiscord


class Counter(discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]], template=r"count:(?P<number>\d+)"):
    """A button whose custom_id carries its state, so that it works after a restart."""

    def __init__(self, number: int) -> None:
        super().__init__(discord.ui.Button(label=f"Count {number}", custom_id=f"count:{number}"))
        self.number = number

    @classmethod
    async def from_custom_id(
        cls, _interaction: discord.Interaction, _item: discord.ui.Item[Any], match: re.Match[str]
    ) -> "Counter":
        return cls(int(match["number"]))

    async def callback(self, interaction: discord.Interaction) -> None:
        await interaction.response.edit_message(view=counting(self.number + 1))


def counting(number: int) -> discord.ui.View:
    """A view with the counter."""
    view = discord.ui.View(timeout=None)
    view.add_item(Counter(number))
    view.add_item(discord.ui.Button(label="Watch", url="https://watch.example.com/abc"))
    return view


class Question(discord.ui.Modal, title="Ask"):
    """A modal with one field."""

    words: discord.ui.TextInput["Question"] = discord.ui.TextInput(label="What?", custom_id="words")

    async def on_submit(self, interaction: discord.Interaction) -> None:
        await interaction.response.send_message(f"asked: {self.words.value}", ephemeral=True)


class Bot(discord.AutoShardedClient):
    """Remembers what it was told; its commands each show one way to answer."""

    def __init__(self, intents: discord.Intents) -> None:
        super().__init__(
            intents=intents, allowed_mentions=discord.AllowedMentions.none(), guild_ready_timeout=0.1, max_messages=None
        )
        self.tree = app_commands.CommandTree(self)
        self.heard: list[discord.Message] = []
        self.deleted: list[int] = []
        self.edited: list[str] = []
        self.left: list[int] = []
        self.errors: list[BaseException] = []
        self.gate = asyncio.Event()
        self.gate.set()
        add_commands(self)

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Not 5 s between two identifies: that is for the real Discord's limit."""

    async def setup_hook(self) -> None:
        self.add_dynamic_items(Counter)
        await self.tree.sync()

    async def on_message(self, message: discord.Message) -> None:
        if message.author.id != self.application_id:
            self.heard.append(message)

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        self.deleted.append(event.message_id)

    async def on_raw_message_edit(self, event: discord.RawMessageUpdateEvent) -> None:
        self.edited.append(event.message.content)

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        self.left.append(guild.id)

    async def on_guild_channel_delete(self, channel: discord.abc.GuildChannel) -> None:
        self.left.append(channel.id)

    async def on_thread_update(self, before: discord.Thread, after: discord.Thread) -> None:
        if after.archived:
            self.left.append(after.id)


def add_commands(bot: Bot) -> None:
    """Registers the commands with the bot's tree."""
    group = app_commands.Group(name="test", description="Ways to answer")

    @group.command(description="Answers at once")
    @app_commands.describe(text="What to say")
    async def now(interaction: discord.Interaction, text: str = "now") -> None:
        await bot.gate.wait()
        try:
            await interaction.response.send_message(text, ephemeral=True)
        except discord.HTTPException as error:
            bot.errors.append(error)

    @group.command(description="Thinks first")
    async def later(interaction: discord.Interaction) -> None:
        await interaction.response.defer(thinking=True)
        await bot.gate.wait()
        embed = discord.Embed(title="Done", description="after thinking").add_field(name="Mode", value="say")
        await interaction.edit_original_response(content="later", embed=embed, view=counting(0))
        await interaction.followup.send("and more", ephemeral=True)

    @group.command(description="Answers twice")
    async def twice(interaction: discord.Interaction) -> None:
        token = interaction.token
        await interaction.response.send_message("first")
        try:
            await bot.http.request(
                discord.http.Route("POST", f"/interactions/{interaction.id}/{token}/callback"),
                json={"type": 4, "data": {"content": "second"}},
            )
        except discord.HTTPException as error:
            bot.errors.append(error)

    @group.command(description="Completes")
    async def pick(interaction: discord.Interaction, fruit: str) -> None:
        await interaction.response.send_message(fruit)

    @pick.autocomplete("fruit")
    async def fruits(interaction: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        known = ["apple", "apricot", "pear"]
        return [app_commands.Choice(name=each.title(), value=each) for each in known if each.startswith(typed)]

    @group.command(description="Launches the Activity")
    async def launch(interaction: discord.Interaction) -> None:
        try:
            await interaction.response.launch_activity()
        except discord.HTTPException as error:
            bot.errors.append(error)

    @group.command(description="Shows a modal")
    async def ask(interaction: discord.Interaction) -> None:
        await interaction.response.send_modal(Question())

    admin = app_commands.Group(
        name="admin", description="For some", default_permissions=discord.Permissions(manage_guild=True)
    )

    @admin.command(description="For some")
    async def cleanup(interaction: discord.Interaction, member: discord.Member) -> None:
        may = interaction.permissions.manage_guild
        await interaction.response.send_message(f"{member.name} {may}", ephemeral=True)

    @app_commands.context_menu(name="Say this")
    async def say(interaction: discord.Interaction, message: discord.Message) -> None:
        await interaction.response.send_message(f"said: {message.content}", ephemeral=True)

    for command in (group, admin, say):
        bot.tree.add_command(command)


@asynccontextmanager
async def running(twin: FakeDiscord, intents: discord.Intents) -> AsyncIterator[Bot]:
    """A bot that is connected to the local Discord and has its guilds."""
    bot = Bot(intents)
    with twin.pointed():
        task = asyncio.create_task(bot.start(twin.token))
        ready = asyncio.create_task(twin.ready(times=len(twin.identifies) // twin.shards + 1))
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            ready.cancel()
            await task
        await ready
        await bot.wait_until_ready()
        try:
            yield bot
        finally:
            await bot.close()
            await task
