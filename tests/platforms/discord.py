"""Discord as a platform of the scenarios: the real discord.py client over the local Discord of the tests."""

import re
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import Self

from adapters.chat.discord.adapter import DiscordAdapter
from adapters.chat.discord.client import RelayClient
from adapters.simulator import Simulator, SimulatorOptions
from bot.commands.parser import Command, parse
from bot.settings import Settings
from tests.fakes.discord import Channel, FakeDiscord, Interaction, Message, User
from tests.platforms.platform_driver import ADA, ANA, BEN, PATIENT, UNSAID
from tests.platforms.running_bot import SPEED, RunningBot, settings_with

TOKEN = "twin.discord.token"
_ARGUMENTS = {"ID": "session", "repeat|chat": "mode"}


class DiscordDriver:
    """One server with one channel; Ada may manage the server."""

    name = "discord"
    has_roles = True
    has_buttons = True

    def __init__(
        self,
        folder: Path,
        *,
        twin: FakeDiscord | None = None,
        environment: dict[str, str] | None = None,
        simulator: SimulatorOptions | None = None,
        speed: float = SPEED,
    ) -> None:
        """`environment` adds to the settings of the bot; `simulator` takes the place of the usual one."""
        self._folder = folder
        self._simulator = simulator
        self._speed = speed
        self._environment = environment or {}
        self.twin = twin or FakeDiscord(token=TOKEN)
        self.twin.response_deadline = PATIENT
        self.bot: RunningBot
        self.channel: Channel
        self.people: dict[str, User] = {}

    async def __aenter__(self) -> Self:
        await self.twin.__aenter__()
        self.guild = self.twin.add_guild("Home")
        self.channel = self.twin.add_channel(self.guild, "general")
        managers = self.twin.add_role(self.guild, "managers", "manage_guild")
        self.people = {name: self.twin.add_user(name, guild=self.guild) for name in (ANA, BEN, ADA)}
        self.twin.give_role(self.guild, self.people[ADA], managers)
        self.bot = RunningBot(self._folder, DiscordAdapter, self.settings(), speed=self._speed)
        if self._simulator is not None:
            self.bot.simulator = Simulator(self._simulator, self.bot.clock)
        await self.bot.prepare()
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.bot.close()
        finally:
            await self.twin.__aexit__(kind, error, trace)

    def settings(self) -> Settings:
        """The settings of the bot."""
        environment = {
            "WEB_PUBLIC_URL": "https://watch.example.com",
            "DISCORD_TOKEN": TOKEN,
            "DISCORD_API_URL": self.twin.api_url,
            "DISCORD_GATEWAY_URL": self.twin.gateway_url,
            **self._environment,
        }
        return settings_with(environment)

    def reconfigure(self, environment: dict[str, str]) -> None:
        """Other settings for the next run."""
        self._environment = environment
        self.bot._settings = self.settings().model_copy(update={"database_url": self.bot._settings.database_url})

    @property
    def chat(self) -> DiscordAdapter:
        """The adapter of the bot that runs now."""
        assert isinstance(self.bot.adapter, DiscordAdapter)
        return self.bot.adapter

    @property
    def client(self) -> RelayClient:
        """The discord.py client of the bot that runs now."""
        client = self.chat._connection.client
        assert client is not None
        return client

    async def connect(self) -> None:
        """Start the bot and wait until it hears the channel."""
        await self.bot.start()
        await self.bot.until(lambda: self.bot.adapter.unhealthy_reason is None)

    # --- what people do ----------------------------------------------------------------------------------------------

    async def command(self, line: str, *, by: str = ANA) -> str:
        """Fill in the form of a slash command as the line says, and read the answer."""
        return read(await answer_of(await self.slash(line, by=by)))

    async def slash(self, line: str, *, by: str = ANA, channel: Channel | None = None) -> Interaction:
        """Send a slash command, even one that the person's Discord would not offer."""
        group, _, rest = line.removeprefix("/").partition(" ")
        command = parse(rest, self.bot.bot.commands.usages, group)
        typed = f"{command.group} {command.verb}"
        return await self.twin.slash(
            channel or self.channel, self.people[by], typed, self._options(command), anyway=True
        )

    def _options(self, command: Command) -> dict[str, object]:
        usage = self.bot.bot.commands.usages[command.group, command.verb]
        options: dict[str, object] = dict(command.options)
        if command.text:
            person = self.people.get(command.text.removeprefix("@"))
            name = _ARGUMENTS.get(usage.argument, usage.argument.lower())
            options[name] = person if name == "person" and person else command.text
        return options

    async def write(self, text: str, *, by: str = ANA) -> None:
        """Write a message that mentions the bot."""
        await self.twin.write(self.channel, self.people[by], text, mentions=[self.twin.bot])

    async def remark(self, text: str, *, by: str = ANA, pictures: int = 0) -> Callable[[], Collection[str]]:
        """Write a message among people; its marks, as they are whenever asked."""
        message = await self.twin.write(self.channel, self.people[by], text, attachments=pictures)
        return lambda: message.reactions

    def seen(self) -> list[Message]:
        """Every message of the bot in the channel."""
        return [message for message in self.twin.messages(self.channel) if message.author is self.twin.bot]

    async def until_read(self, fragment: str) -> None:
        """Wait until a message or panel in the channel shows it."""
        await self.twin.until(lambda: any(fragment in read(message) for message in self.twin.messages(self.channel)))

    async def until_told_unsaid(self, text: str, *, by: str = ANA) -> None:
        """Wait until a message only this person sees says so."""
        await self.twin.until(lambda: any(UNSAID in read(one) and text in read(one) for one in self.told_alone(by)))

    def told_alone(self, by: str = ANA) -> list[Message]:
        """What only this person sees besides the answers to commands."""
        asked = [one for one in self.twin.interactions.all if one.user is self.people[by]]
        return [message for one in asked for message in one.followups if message.ephemeral]

    async def press(self, label: str, *, by: str = ANA) -> str:
        """Press a button of the newest panel."""
        return read(await answer_of(await self.twin.click(self.people[by], await self.newest_panel(), label=label)))

    async def panel(self) -> str:
        """The newest panel, once everything that has changed is drawn."""
        panel = await self.newest_panel()
        await self.chat._panels.drained()
        labels = [str(button["label"]) for button in panel.buttons if not button.get("disabled")]
        return "\n".join([read(panel), *labels])

    async def newest_panel(self) -> Message:
        """The message of the newest panel, once there is one."""
        await self.twin.until(self.panels)
        return self.panels()[-1]

    def panels(self) -> list[Message]:
        """Every panel in the channel, the oldest first."""
        return [message for message in self.twin.messages(self.channel) if message.embeds]

    async def restart(self) -> None:
        """Kill the bot and start the next one."""
        await self.bot.kill()
        await self.connect()


async def answer_of(interaction: Interaction) -> Message:
    """What the asker reads in the end: the answer, or the private one that took its place."""
    await interaction.changes.until(
        lambda: (
            interaction.followups
            or (
                interaction.response is not None
                and not interaction.response.loading
                and not interaction.response.deleted
            )
        ),
        timeout=PATIENT,
    )
    response = interaction.response
    if response is None or response.deleted or response.loading:
        return interaction.followups[0]
    return response


def read(message: Message) -> str:
    """A message as a person reads it: formatting escapes are not seen, links of buttons are."""
    text = re.sub(r"\\([^\w\s])", r"\1", message.text.replace("\u200b", ""))
    links = [str(button["url"]) for button in message.buttons if button.get("url")]
    return "\n".join([text, *links])
