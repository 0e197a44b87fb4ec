"""What people do on Discord and Slack at once while the real program runs (`chat_services`); what they see."""

import asyncio
import re
from functools import partial
from urllib.parse import parse_qs, urlsplit

import aiohttp

from tests.fakes.discord import User
from tests.fakes.slack import ServerError
from tests.platforms.discord import answer_of, read
from tests.platforms.slack import text_of
from tests.scenario.chat_services import PUBLIC, ChatServices
from tests.scenario.echoing_gateway import Echo
from tests.scenario.served_program import ServedProgram
from tests.scenario.setup.shell import PATIENCE
from tests.scenario.web_clients import Served, read_the_web

PLATFORM_ERRORS = (
    ("POST", "/discord/api/v10/interactions/*/callback", 400),
    ("PUT", "/discord/api/v10/channels/*/reactions/*", 403),
    ("PATCH", "/discord/api/v10/channels/*/messages/*", 500),
    ("POST", "/slack/api/reactions.add", 500),
    ("POST", "/slack/api/chat.update", 200),
    ("POST", "/slack/api/chat.update", 500),
)
"""Method, path and status: what each platform is asked for while people write."""


class Story:
    """What people do on both platforms while the program runs, and what they come to see."""

    def __init__(self, services: ChatServices, program: ServedProgram) -> None:
        self.services = services
        self.program = program
        self.served = Served()
        self.links: set[str] = set()
        self.doors: set[str] = set()
        self.states: set[str] = set()
        self.echoes: list[Echo] = []
        discord, slack = services.discord, services.slack
        guild = discord.add_guild("Home")
        self.discord_channel = discord.add_channel(guild, "general")
        self.ana = discord.add_user("ana", guild=guild)
        self.ada = discord.add_user("ada", guild=guild)
        discord.give_role(guild, self.ada, discord.add_role(guild, "managers", "manage_guild"))
        self.bea, self.eve = slack.add_user("bea"), slack.add_user("eve", is_admin=True)
        self.slack_channel = slack.add_channel("general", [self.bea, self.eve])

    @property
    def base(self) -> str:
        """Where the program's own web server is."""
        return re.findall(r"served at (http://\S+?)\.?\s", self.program.output)[0]

    async def begin(self) -> None:
        """Wait until the program hears both platforms."""
        await self.program.until(lambda: "served at" in self.program.output)
        self.services.slack.request_url = f"{self.base}/slack/events"
        async with aiohttp.ClientSession(self.base) as client, asyncio.timeout(PATIENCE):
            while True:
                async with client.get("/readyz") as answer:
                    if answer.status == 200:
                        return
                await asyncio.sleep(0.05)

    async def on_discord(self, command: str, *, by: User | None = None, **options: str) -> str:
        """Give a slash command; what its author reads."""
        discord = self.services.discord
        interaction = await discord.slash(self.discord_channel, by or self.ana, command, options, anyway=True)
        return self._read(read(await answer_of(interaction)))

    async def on_slack(self, command: str, text: str, *, by: str = "bea") -> str:
        """Type a slash command; what its author reads."""
        interaction = await self.services.slack.slash(self.slack_channel, by, command, text)
        self.services.slack_replies.append(interaction.replies)
        await interaction.acknowledged()
        await self.services.slack.until(lambda: interaction.replies)
        return self._read(text_of(interaction.replies[0]))

    def _read(self, text: str) -> str:
        self.links.update(re.findall(rf"{PUBLIC}(/w/[\w.~-]+)", text))
        return text

    async def watch(self, link: str) -> None:
        """Open the page behind a watch link."""
        served = await read_the_web(self.base, link, "/slack/events", "/slack/oauth_redirect?code=x&state=y")
        self.served.text += served.text
        self.doors.update(*served.doors.values())

    async def until_read(self, fragment: str) -> None:
        """Wait until it is to be read on both platforms."""
        discord, slack = self.services.discord, self.services.slack
        await discord.until(lambda: any(fragment in read(one) for one in discord.messages(self.discord_channel)))
        await slack.until(lambda: any(fragment in text_of(one) for one in slack.messages(self.slack_channel)))

    async def until_both_avatars_have_left(self) -> None:
        """Wait until people are told that there is none."""
        gone = "No avatar is in this channel"
        async with asyncio.timeout(PATIENCE):
            while gone not in await self.on_discord("avatar status"):
                pass
            while gone not in await self.on_slack("/avatar", "status"):
                pass

    async def meet_errors_of_the_platforms(self) -> None:
        """Let calls of each kind fail with the token in the error, as JSON and as a page."""
        discord, slack, gateway = self.services.discord, self.services.slack, self.services.gateway
        for number, (method, path, status) in enumerate(PLATFORM_ERRORS):
            self.echoes.append(gateway.echo_next(method, path, status=status, is_html=bool(number % 2)))
        slack.fail_next("response_url", ServerError())
        await discord.slash(self.discord_channel, self.ana, "avatar status")
        await slack.slash(self.slack_channel, self.eve, "/avatar", "status")
        for number in range(3):
            await discord.write(self.discord_channel, self.ana, f"hello {number}", mentions=[discord.bot])
            await slack.write(self.slack_channel, self.bea, f"@{slack.bot.name} hello {number}")
        # A panel is edited only if it looks different from what Slack took last.
        edits = [echo for echo in self.echoes if echo.path.endswith("chat.update")]
        for command, echo in zip(("mode chat", "idle 900"), edits, strict=True):
            await slack.slash(self.slack_channel, self.eve, "/avatar", command)
            await self.program.until(partial(gateway.has_answered, echo))
        await self.until_echoed()

    async def until_echoed(self) -> None:
        """Wait until every error that was ordered has been met."""
        gateway = self.services.gateway
        try:
            await self.program.until(lambda: all(gateway.has_answered(echo) for echo in self.echoes))
        except TimeoutError:
            left = [echo.path for echo in self.echoes if not gateway.has_answered(echo)]
            raise AssertionError(f"nobody called {left}") from None

    async def install_elsewhere(self) -> None:
        """Install the app in another workspace, once refused and once right; and leave a third attempt open."""
        slack, gateway = self.services.slack, self.services.gateway
        team = slack.add_team("Elsewhere")
        async with aiohttp.ClientSession(self.base) as browser:
            for refused in (True, False):
                if refused:
                    self.echoes.append(gateway.echo_next("POST", "/slack/api/oauth.v2.access"))
                async with browser.get("/slack/install", allow_redirects=False) as answer:
                    location, cookie = answer.headers["Location"], answer.headers["Set-Cookie"].partition(";")[0]
                self.states.update(parse_qs(urlsplit(location).query)["state"])
                async with browser.get(f"{location}&team={team.id}", allow_redirects=False) as answer:
                    query = urlsplit(answer.headers["Location"]).query
                headers = {"Cookie": cookie}
                async with browser.get(f"/slack/oauth_redirect?{query}", headers=headers) as answer:
                    self.served.text += await answer.text()
                    assert answer.status == (503 if refused else 200)
                    assert team.installed is not refused
            async with browser.get("/slack/install", allow_redirects=False) as answer:
                self.states.update(parse_qs(urlsplit(answer.headers["Location"]).query)["state"])
        person = slack.add_user("zoe", team=team)
        self.slack_channel = slack.add_channel("there", [person], team=team)
        self.echoes.append(gateway.echo_next("POST", "/slack/api/users.info", status=200))
        await slack.slash(self.slack_channel, person, "/avatar", "start")
        await self.until_echoed()
