"""Slack Connect: a channel that another company shares. Their people speak and do no more, and nothing is lost in
silence."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from adapters.chat.slack.installation_store import Installation
from adapters.chat.slack.manifest import SAY_THIS
from bot.access.permissions import AccessLists, Permissions
from tests.fakes.slack import Ephemeral, Message, Refused, Team, User
from tests.platforms.platform_driver import ADA, ANA
from tests.platforms.slack import SlackDriver, buttons_of, text_of

MAY_NOT_START = "You may not start or stop the avatar here."
ADMINS_ONLY = "Only admins of this bot can do that."


class Guests:
    """The channel of the driver, shared with another company."""

    def __init__(self, slack: SlackDriver, *, grid: bool) -> None:
        twin = slack.twin
        self.slack = slack
        enterprise = twin.add_enterprise("Partner Group") if grid else None
        self.team: Team = twin.add_team("Partner", enterprise=enterprise, granted=False)
        self.zoe: User = twin.add_user("zoe", is_admin=True, is_owner=True, team=self.team)
        twin.share(slack.channel, self.team)
        slack.channel.members.append(self.zoe.id)

    async def write(self, text: str) -> Message:
        return await self.slack.twin.write(self.slack.channel, self.zoe, text)

    async def press(self, label: str) -> str:
        panel = self.slack.newest_panel()
        button = next(button for button in buttons_of(panel) if button["text"]["text"] == label)
        return await self.slack.answer(await self.slack.twin.click(panel, button["action_id"], self.zoe))

    async def told(self, fragment: str) -> Ephemeral:
        def seen() -> Ephemeral | None:
            private = self.slack.twin.ephemerals(self.slack.channel, self.zoe)
            return next((one for one in private if fragment in text_of(one)), None)

        found = await self.slack.twin.until(seen)
        assert found is not None
        return found


@pytest.fixture
async def guests(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Guests]:
    async with SlackDriver(tmp_path, environment={"SESSION_RELAY": "all"}) as slack:
        yield Guests(slack, grid=getattr(request, "param", False))


of_any_company = pytest.mark.parametrize("guests", [False, True], ids=["workspace", "organisation"], indirect=True)


@of_any_company
async def test_what_another_company_writes_is_spoken_in_the_workspace_that_authorised_it(guests: Guests) -> None:
    slack = guests.slack
    await slack.command("/avatar start")
    await slack.until_read("live")
    overheard, mention = await guests.write("good morning"), await guests.write("@Avatar and good night")
    outer = {delivery.payload["team_id"] for delivery in overheard.deliveries}
    assert outer == {guests.team.id}, "the outer id is the other company's"
    assert mention.deliveries[0].event["user_team"] == guests.team.side
    await slack.bot.until(lambda: slack.bot.spoken == ["good morning", "and good night"])
    edited = await guests.write("the frist")
    await slack.twin.edit_message(edited, "the first")
    await slack.bot.until(lambda: len(slack.bot.spoken) == 3)
    assert len(slack.bot.bot.sessions) == 1


async def test_another_company_starts_nothing(guests: Guests) -> None:
    await guests.write("@Avatar start")
    await guests.told(MAY_NOT_START)
    assert guests.slack.bot.open_streams == 0


async def test_another_company_stops_and_administers_nothing(guests: Guests) -> None:
    slack = guests.slack
    await slack.command("/avatar start")
    await slack.until_read("live")
    assert MAY_NOT_START in await guests.press("Stop")
    for line in ("stop", "mode chat", "idle 30"):
        await guests.write(f"@Avatar {line}")
    await guests.told(MAY_NOT_START)
    for line in ("sessions", "stop-all", "block ana"):
        await guests.write(f"@Avatar admin {line}")
    await guests.told(ADMINS_ONLY)
    assert slack.bot.open_streams == 1
    await guests.write("@Avatar say I may speak")
    await slack.bot.until(lambda: slack.bot.spoken == ["I may speak"])


async def test_message_shortcut_of_another_company_is_speech(guests: Guests) -> None:
    slack = guests.slack
    await slack.command("/avatar start")
    await slack.until_read("live")
    said = await slack.twin.write(slack.channel, slack.people[ANA], "say this")
    await slack.bot.until(lambda: slack.bot.spoken == ["say this"])
    await slack.twin.shortcut(said, SAY_THIS, guests.zoe)
    await slack.bot.until(lambda: slack.bot.spoken == ["say this", "say this"])


@of_any_company
@pytest.mark.parametrize("line", ["start", "admin sessions"])
async def test_who_cannot_be_looked_up_is_taken_for_what_the_event_says(guests: Guests, line: str) -> None:
    guests.slack.twin.fail_next("users.info", Refused("user_not_found"), times=5)
    await guests.write(f"@Avatar {line}")
    await guests.told("You may not" if line == "start" else ADMINS_ONLY)
    assert guests.slack.bot.open_streams == 0


async def test_our_own_people_keep_what_they_may_in_a_shared_channel(guests: Guests) -> None:
    slack = guests.slack
    await slack.write("start", by=ANA)
    await slack.until_read("Starting the avatar")
    await slack.write("admin sessions", by=ADA)
    await slack.until_read(" by ana")
    await slack.write("stop", by=ANA)
    await slack.until_read("The avatar has left")


async def test_channel_that_the_other_company_hosts_is_as_good(guests: Guests) -> None:
    slack, twin = guests.slack, guests.slack.twin
    ana = slack.people[ANA]
    place = twin.add_channel("theirs", [guests.zoe, ana], with_bot=False, team=guests.team)
    twin.share(place, twin.team, with_bot=True)
    assert "Starting the avatar" in await slack.answer(await twin.slash(place, ana, "/avatar", "start"))
    await twin.until(lambda: any("live" in text_of(message) for message in twin.messages(place)))
    for author in (ana, guests.zoe):
        mention = await twin.write(place, author, f"@Avatar hello from {author.name}")
        assert mention.deliveries[0].payload["team_id"] == guests.team.id
        await slack.bot.until(lambda name=author.name: f"hello from {name}" in slack.bot.spoken)
    (running,) = slack.bot.bot.sessions
    assert running.session.channel.workspace == twin.team.id


async def test_operator_can_name_somebody_of_another_company(guests: Guests) -> None:
    slack = guests.slack
    relay, commands = slack.bot.bot.relay, slack.bot.bot.commands
    relay._permissions = commands._permissions = Permissions(AccessLists(hosts=frozenset({f"slack:{guests.zoe.id}"})))
    await guests.write("@Avatar start")
    await guests.told("Starting the avatar")


async def test_two_companies_with_the_app_share_one_avatar(tmp_path: Path) -> None:
    """Slack delivers an event to one installation, whichever: it belongs to the avatar in the channel."""
    environment = {"SESSION_RELAY": "all", "SLACK_CLIENT_ID": "1111.2222", "SLACK_CLIENT_SECRET": "client-secret"}
    async with SlackDriver(tmp_path, environment=environment) as slack:
        twin = slack.twin
        guests = Guests(slack, grid=False)
        twin.install(guests.team)
        workspaces = slack.bot.adapter._workspaces
        theirs = Installation(guests.team.id, guests.team.bot_token, guests.team.bot.id, guests.team.bot_id)
        await workspaces.add(theirs)
        slack.channel.members.append(guests.team.bot.id)
        await slack.command("/avatar start")
        await slack.until_read("live")
        slack.channel.members.remove(twin.bot.id)  # so that theirs is the one that hears
        heard = await guests.write("through the other installation")
        slack.channel.members.append(twin.bot.id)
        assert heard.deliveries[0].payload["authorizations"][0]["team_id"] == guests.team.id
        await slack.bot.until(lambda: slack.bot.spoken == ["through the other installation"])
        answer = await slack.answer(await twin.slash(slack.channel, guests.zoe, "/avatar", "stop"))
        assert MAY_NOT_START in answer
        assert len(slack.bot.bot.sessions) == 1


async def test_what_belongs_to_no_installation_leaves_one_line_a_minute(tmp_path: Path) -> None:
    async with SlackDriver(tmp_path) as slack:
        stranger = slack.twin.add_team("Stranger", installed=True)
        zoe = slack.twin.add_user("zoe", team=stranger)
        place = slack.twin.add_channel("there", [zoe], team=stranger)
        with capture_logs() as log:
            for number in range(4):
                for delivery in (await slack.twin.write(place, zoe, f"@Avatar hello {number}")).deliveries:
                    await delivery.acknowledged()
            command = await slack.twin.slash(place, zoe, "/avatar", "start")
            await slack.bot.until(lambda: command.replies)
        lines = [entry for entry in log if "is not installed" in entry["event"]]
        assert len(lines) == 1
        assert "Ask an admin of it to install the app again" in text_of(command.replies[0])
