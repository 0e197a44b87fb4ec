"""Slack for the scenarios of every platform: the real adapter with the real slack-bolt against a local Slack."""

import re
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import SecretStr

from adapters.chat.slack.adapter import SlackAdapter
from adapters.chat.slack.manifest import manifest_of
from tests.fakes.slack import Ephemeral, FakeSlack, Interaction, Message, Timing
from tests.platforms.platform_driver import ADA, ANA, BEN, PATIENT, UNSAID
from tests.platforms.running_bot import SPEED, RunningBot, settings_with


class SlackDriver:
    """One channel of one workspace, with the app in it."""

    name = "slack"
    has_roles = True
    has_buttons = True

    def __init__(
        self, folder: Path, *, environment: dict[str, str] | None = None, http: bool = False, speed: float = SPEED
    ) -> None:
        """`environment`: further variables of the bot. `http`: signed requests instead of Socket Mode. `speed` as in
        `RunningBot`."""
        self._folder = folder
        self._environment = environment or {}
        self._http = http
        self._speed = speed
        self.twin = FakeSlack(timing=Timing(ack=PATIENT, trigger=PATIENT))
        self.bot: RunningBot

    async def __aenter__(self) -> Self:
        await self.twin.__aenter__()
        twin = self.twin
        self.people = {name: twin.add_user(name, is_admin=name == ADA) for name in (ANA, BEN, ADA)}
        self.channel = twin.add_channel("general", self.people.values())
        way_in = {"SLACK_SIGNING_SECRET": twin.signing_secret} if self._http else {"SLACK_APP_TOKEN": twin.app_token}
        settings = settings_with(
            {
                "SLACK_BOT_TOKEN": twin.bot_token,
                "SLACK_API_URL": twin.api_url,
                "WEB_PUBLIC_URL": "https://watch.example.com",
                **way_in,
                **self._environment,
            }
        )
        twin.configure(manifest_of(settings))
        self.bot = RunningBot(self._folder, SlackAdapter, settings, speed=self._speed)
        await self.bot.prepare()
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.bot.close()
            if error is None:
                self.twin.check()
        finally:
            await self.twin.__aexit__(kind, error, trace)

    # --- what a person does ------------------------------------------------------------------------------------------

    async def command(self, line: str, *, by: str = ANA) -> str:
        """Type a slash command, and read the answer."""
        word, _, text = line.partition(" ")
        interaction = await self.twin.slash(self.channel, self.people[by], word, text)
        return await self.answer(interaction)

    async def write(self, text: str, *, by: str = ANA) -> None:
        """Write a message that mentions the app."""
        await self.twin.write(self.channel, self.people[by], f"@{self.twin.bot.name} {text}")

    async def remark(self, text: str, *, by: str = ANA, pictures: int = 0) -> Callable[[], Collection[str]]:
        """Write a message among people; its marks, as they are whenever asked."""
        files = [f"picture-{number}.png" for number in range(pictures)]
        message = await self.twin.write(self.channel, self.people[by], text, files=files)
        for delivery in message.deliveries:
            await delivery.acknowledged()
        return lambda: message.reactions

    async def until_told_unsaid(self, text: str, *, by: str = ANA) -> None:
        """Wait until a message only this person sees says so."""
        await self.bot.until(lambda: any(UNSAID in told and text in told for told in self.told_alone(by)))

    def told_alone(self, by: str = ANA) -> list[str]:
        """What only this person sees."""
        return [text_of(one) for one in self.twin.ephemerals(self.channel, self.people[by])]

    async def press(self, label: str, *, by: str = ANA) -> str:
        """Press a button of the newest panel; one that is a link opens it."""
        button = next(button for button in buttons_of(self.newest_panel()) if button["text"]["text"] == label)
        interaction = await self.twin.click(self.newest_panel(), button["action_id"], self.people[by])
        return str(button["url"]) if "url" in button else await self.answer(interaction)

    async def answer(self, interaction: Interaction) -> str:
        """What the person reads who typed or pressed."""
        await interaction.acknowledged()
        await self.bot.until(lambda: interaction.replies)
        return text_of(interaction.replies[0])

    # --- what can be read --------------------------------------------------------------------------------------------

    def newest_panel(self) -> Message:
        """The newest message that is a panel."""
        return [message for message in self.twin.messages(self.channel) if is_panel(message)][-1]

    async def panel(self) -> str:
        """What the newest panel says, its buttons included."""
        await self.bot.until(lambda: any(is_panel(message) for message in self.twin.messages(self.channel)))
        return text_of(self.newest_panel())

    async def until_read(self, fragment: str) -> None:
        """Wait until some message in the channel says it, to everybody or to one person."""
        await self.bot.until(lambda: any(fragment in text_of(seen) for seen in self.seen()))

    def seen(self) -> list[Message | Ephemeral]:
        """Every message of the app in the channel."""
        messages = [message for message in self.twin.messages(self.channel) if message.bot_id]
        private = [one for person in self.people.values() for one in self.twin.ephemerals(self.channel, person)]
        return [*messages, *private]

    def use_token(self, token: str) -> None:
        """Another bot token for the next run."""
        slack = self.bot._settings.slack.model_copy(update={"bot_token": SecretStr(token)})
        self.bot._settings = self.bot._settings.model_copy(update={"slack": slack})

    async def restart(self) -> None:
        """Kill the bot and start the next one."""
        await self.bot.kill()
        await self.twin.until(lambda: not self.twin.connections)
        await self._start()

    async def _start(self) -> None:
        await self.bot.start()
        if self._http:
            self.twin.request_url = f"{local_address(self.bot)}/slack/events"
        await self.bot.until(lambda: self.bot.adapter.unhealthy_reason is None)


def is_panel(message: Message | Ephemeral) -> bool:
    """Whether it is the panel of a session."""
    return any(str(block.get("block_id", "")).startswith("panel:") for block in message.blocks)


def buttons_of(message: Message | Ephemeral) -> list[dict[str, Any]]:
    """The buttons of a message."""
    return [element for block in message.blocks for element in block.get("elements", ()) if element["type"] == "button"]


def text_of(message: Message | Ephemeral) -> str:
    """Everything a person reads of a message, entities decoded, the address behind a link button included."""
    found: list[str] = []
    for block in message.blocks:
        texts = [block.get("text"), *block.get("fields", ())]
        texts += [element.get("text", element) for element in block.get("elements", ())]
        found += [text["text"] if isinstance(text, dict) else text for text in texts if text]
        found += [element["url"] for element in block.get("elements", ()) if "url" in element]
    shown = "\n".join(found) if found else message.text
    return shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def local_address(bot: RunningBot) -> str:
    """Where the bot's own web server listens."""
    line = next(line for line in reversed(bot.told) if line.startswith("Web:"))
    found: list[str] = re.findall(r"http://[\w.:]+", line)
    return found[-1].rstrip(".")
