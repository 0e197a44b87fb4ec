"""Enterprise Grid: one installation for an organisation works in each of its workspaces, also after a restart, and ends
in all of them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from adapters.chat.slack.adapter import SlackAdapter
from adapters.chat.slack.manifest import SAY_THIS, START_HERE
from tests.fakes.slack import Channel, Enterprise, Message, Team, User
from tests.platforms.running_bot import PATIENCE
from tests.platforms.slack import SlackDriver, buttons_of, is_panel, local_address, text_of
from tests.scenario.slack.test_installation import Browser

OAUTH = {"SLACK_CLIENT_ID": "1111.2222", "SLACK_CLIENT_SECRET": "client-secret-of-the-twin"}


class Grid:
    """An organisation with two workspaces, and a channel with somebody in each."""

    def __init__(self, slack: SlackDriver) -> None:
        twin = slack.twin
        self.slack = slack
        self.acme: Enterprise = twin.add_enterprise("Acme")
        self.teams: list[Team] = [twin.add_team(name, enterprise=self.acme) for name in ("Acme North", "Acme South")]
        self.people: list[User] = [
            twin.add_user(name, team=team) for name, team in zip(("nora", "sven"), self.teams, strict=True)
        ]
        self.channels: list[Channel] = []

    async def install(self) -> str:
        """Install the app for the organisation; what the page says. Then the app is invited into the channels."""
        async with aiohttp.ClientSession() as session:
            browser = Browser(session, local_address(self.slack.bot))
            status, page = await browser.back(await browser.agree(await browser.begin(), self.acme))
        assert status == 200, page
        self.channels = [
            self.slack.twin.add_channel(f"in-{team.domain}", [person], team=team)
            for team, person in zip(self.teams, self.people, strict=True)
        ]
        return page

    async def command(self, number: int, line: str, channel: Channel | None = None) -> str:
        """A slash command in one of the workspaces, and its answer."""
        place = channel or self.channels[number]
        return await self.slack.answer(await self.slack.twin.slash(place, self.people[number], "/avatar", line))

    async def live(self, number: int) -> Message:
        """The panel of a workspace, once its avatar is live."""

        def panel() -> Message | None:
            panels = [message for message in self.slack.twin.messages(self.channels[number]) if is_panel(message)]
            return next((one for one in panels if "live" in text_of(one)), None)

        found = await self.slack.twin.until(panel)
        assert found is not None
        return found

    async def press(self, number: int, label: str) -> str:
        panel = await self.live(number)
        button = next(button for button in buttons_of(panel) if button["text"]["text"] == label)
        return await self.slack.answer(await self.slack.twin.click(panel, button["action_id"], self.people[number]))

    async def until_forgotten(self) -> None:
        """Wait until the bot knows of no installation any more."""
        async with asyncio.timeout(PATIENCE):
            while await self.slack.bot.bot.sessions.services.store.installations.workspaces("slack"):  # noqa: ASYNC110 - the database wakes nobody
                await asyncio.sleep(0.01)


@pytest.fixture
async def grid(tmp_path: Path) -> AsyncIterator[Grid]:
    async with SlackDriver(tmp_path, environment={"SESSION_RELAY": "all", **OAUTH}) as slack:
        yield Grid(slack)


async def test_it_works_in_each_workspace_of_the_organisation(grid: Grid) -> None:
    page = await grid.install()
    assert "organisation Acme" in page
    slack, twin = grid.slack, grid.slack.twin
    for number in (0, 1):
        assert "Starting the avatar" in await grid.command(number, "start")
        await grid.live(number)
    assert {running.session.channel.workspace for running in slack.bot.bot.sessions} == {team.id for team in grid.teams}
    for place, person in zip(grid.channels, grid.people, strict=True):
        await twin.write(place, person, f"overheard from {person.name}")
        await twin.write(place, person, f"@Avatar mention of {person.name}")
    await slack.bot.until(lambda: len(slack.bot.spoken) == 4)
    assert {request.args["team_id"] for request in twin.calls("usergroups.list") if "team_id" in request.args} == {
        team.id for team in grid.teams
    }
    assert "Stopping" in await grid.press(0, "Stop")
    await slack.bot.until(lambda: slack.bot.open_streams == 1)
    assert "Stopping" in await grid.press(1, "Stop")
    await slack.bot.until(lambda: slack.bot.open_streams == 0)


async def test_windows_shortcuts_and_home_work_there(grid: Grid) -> None:
    await grid.install()
    twin, slack = grid.slack.twin, grid.slack
    await twin.global_shortcut(START_HERE, grid.people[1])
    view = await twin.until(lambda: next((view for view in twin.views if view.open), None))
    assert view is not None
    await (await twin.submit_view(view, {"channel": grid.channels[1].id})).acknowledged()
    await grid.live(1)
    said = await twin.write(grid.channels[1], grid.people[1], "say this")
    await twin.shortcut(said, SAY_THIS, grid.people[1])
    await slack.bot.until(lambda: slack.bot.spoken == ["say this", "say this"])
    await twin.open_home(grid.people[1])
    home = await twin.until(lambda: twin.home(grid.people[1]))
    assert home is not None
    assert grid.channels[1].id in str(home.blocks)


async def test_panels_and_sessions_go_on_after_a_restart(grid: Grid) -> None:
    await grid.install()
    await grid.command(1, "start")
    panel = await grid.live(1)
    await grid.slack.restart()
    edits = panel.edits
    await grid.slack.twin.until(lambda: panel.edits > edits or "live" in text_of(panel))
    await grid.slack.twin.write(grid.channels[1], grid.people[1], "@Avatar are you still there")
    await grid.slack.bot.until(lambda: "are you still there" in grid.slack.bot.spoken)
    assert "Stopping" in await grid.press(1, "Stop")
    await grid.slack.twin.until(lambda: "ended" in text_of(panel).lower() or "has left" in text_of(panel))


async def test_channel_of_several_workspaces_has_one_avatar(grid: Grid) -> None:
    await grid.install()
    twin, slack = grid.slack.twin, grid.slack
    place = grid.channels[0]
    twin.share(place, grid.teams[1])
    place.members.append(grid.people[1].id)
    await grid.command(0, "start")
    await grid.live(0)
    assert "already in this channel" in await grid.command(1, "start", place)
    await twin.write(place, grid.people[1], "from the south")
    await slack.bot.until(lambda: slack.bot.spoken == ["from the south"])
    assert len(slack.bot.bot.sessions) == 1


@pytest.mark.parametrize("how", ["uninstall", "revoke_tokens"])
async def test_end_of_the_installation_ends_it_in_every_workspace(grid: Grid, how: str) -> None:
    await grid.install()
    for number in (0, 1):
        await grid.command(number, "start")
        await grid.live(number)
    await getattr(grid.slack.twin, how)(grid.acme)
    await grid.slack.bot.until(lambda: grid.slack.bot.open_streams == 0)
    await grid.until_forgotten()
    assert "Starting" in await grid.slack.command("/avatar start"), "the other installation lives on"


async def test_useless_token_ends_it_in_every_workspace_also_after_a_restart(grid: Grid) -> None:
    await grid.install()
    for number in (0, 1):
        await grid.command(number, "start")
        await grid.live(number)
    grid.slack.twin.deactivate(grid.teams[0])
    await grid.slack.restart()
    await grid.slack.bot.until(lambda: grid.slack.bot.open_streams == 0)
    await grid.until_forgotten()


async def test_workspace_that_loses_and_gets_the_app_is_left_and_served_again(grid: Grid) -> None:
    await grid.install()
    for number in (0, 1):
        await grid.command(number, "start")
        await grid.live(number)
    await grid.slack.twin.withdraw(grid.teams[1])
    await grid.slack.bot.until(lambda: grid.slack.bot.open_streams == 1)
    await grid.slack.twin.grant(grid.teams[1])
    assert "Starting" in await grid.command(1, "start")


async def test_workspace_that_got_the_app_unnoticed_is_asked_for(grid: Grid) -> None:
    await grid.install()
    twin = grid.slack.twin
    west = twin.add_team("Acme West", enterprise=grid.acme)
    wanda = twin.add_user("wanda", team=west)
    place = twin.add_channel("in-west", [wanda], team=west)
    assert "Starting" in await grid.slack.answer(await twin.slash(place, wanda, "/avatar", "start"))
    (running,) = grid.slack.bot.bot.sessions
    assert running.session.channel.workspace == west.id


async def test_workspace_admin_is_one_in_their_own_workspace_alone(grid: Grid) -> None:
    await grid.install()
    grid.people[0].is_admin = True
    # A channel of the other workspace, which this one shares: the avatar there is the other one's.
    await grid.command(1, "start")
    await grid.live(1)
    grid.slack.twin.share(grid.channels[1], grid.teams[0])
    grid.channels[1].members.append(grid.people[0].id)
    for place, allowed in ((grid.channels[0], True), (grid.channels[1], False)):
        command = await grid.slack.twin.slash(place, grid.people[0], "/avatar-admin", "sessions")
        assert ("Only admins" not in await grid.slack.answer(command)) is allowed


async def test_admin_of_the_organisation_is_one_in_each_workspace(grid: Grid) -> None:
    await grid.install()
    grid.people[0].is_org_admin = True
    command = await grid.slack.twin.slash(grid.channels[1], grid.people[0], "/avatar-admin", "sessions")
    assert "Only admins" not in await grid.slack.answer(command)


async def test_token_of_an_organisation_in_the_settings_works_too(tmp_path: Path) -> None:
    async with SlackDriver(tmp_path) as slack:
        grid = Grid(slack)
        token = slack.twin.install(grid.acme)
        grid.channels = [
            slack.twin.add_channel(f"in-{team.domain}", [person], team=team)
            for team, person in zip(grid.teams, grid.people, strict=True)
        ]
        slack.use_token(token)
        await slack.restart()
        assert "Starting the avatar" in await grid.command(1, "start")
        await grid.live(1)
        await slack.restart()
        assert "Stopping" in await grid.press(1, "Stop")
        await slack.bot.until(lambda: slack.bot.open_streams == 0)


async def test_signing_in_again_leaves_the_workspaces_of_one_organisation_together(tmp_path: Path) -> None:
    """As after a failure that nobody foresaw: a workspace that comes later has no strangers in the others."""
    async with SlackDriver(tmp_path) as slack:
        grid = Grid(slack)
        slack.use_token(slack.twin.install(grid.acme))
        await slack.restart()
        assert isinstance(slack.bot.adapter, SlackAdapter)
        workspaces = slack.bot.adapter._workspaces
        before = await workspaces.find(grid.teams[0].id, grid.acme.id)
        await workspaces.sign_in()
        await workspaces.admit(grid.acme.id, ["T0LATER"])
        after = await workspaces.find(grid.teams[0].id, grid.acme.id)
        for known in (before, after):
            assert known is not None
            assert known.employs(["T0LATER"])


async def test_another_company_does_not_become_part_of_the_organisation(grid: Grid) -> None:
    """Their people are strangers, whatever Slack sends: only what Slack lists belongs to the organisation."""
    await grid.install()
    twin = grid.slack.twin
    partner = twin.add_team("Partner")
    zoe = twin.add_user("zoe", team=partner)
    twin.share(grid.channels[0], partner)
    grid.channels[0].members.append(zoe.id)
    await twin.write(grid.channels[0], zoe, "@Avatar start")
    private = await twin.until(lambda: twin.ephemerals(grid.channels[0], zoe))
    assert "You may not start" in text_of(private[0])
    await grid.command(0, "start")
    panel = await grid.live(0)
    button = next(button for button in buttons_of(panel) if button["text"]["text"] == "Stop")
    assert "You may not" in await grid.slack.answer(await twin.click(panel, button["action_id"], zoe))
    await twin.write(grid.channels[0], zoe, "good morning")
    await grid.slack.bot.until(lambda: grid.slack.bot.spoken == ["good morning"])


async def test_channel_that_another_company_hosts_belongs_to_the_organisation(grid: Grid) -> None:
    """Such an event may name no workspace of ours at all."""
    await grid.install()
    twin, nora = grid.slack.twin, grid.people[0]
    partner = twin.add_team("Partner")
    zoe = twin.add_user("zoe", team=partner)
    place = twin.add_channel("theirs", [zoe, nora], with_bot=False, team=partner)
    twin.share(place, grid.teams[0], with_bot=True)
    mention = await twin.write(place, zoe, "@Avatar start")
    assert {mention.deliveries[0].payload[name] for name in ("team_id", "context_team_id")} == {partner.id}
    private = await twin.until(lambda: twin.ephemerals(place, zoe))
    assert "You may not start" in text_of(private[0])
    await twin.write(place, nora, "@Avatar start")
    await twin.until(lambda: any("live" in text_of(message) for message in twin.messages(place)))
    await twin.write(place, zoe, "@Avatar good morning")
    await grid.slack.bot.until(lambda: grid.slack.bot.spoken == ["good morning"])
    await grid.slack.restart()
    assert "Stopping" in await grid.command(0, "stop", place)
    await grid.slack.bot.until(lambda: grid.slack.bot.open_streams == 0)
