"""The state of the local Slack: who and what there is, what was said, and what the bot did wrong.

Nothing is delivered from here; `events.py` does that."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from tests.fakes.slack.catalogue import ALL_SCOPES, EVENTS
from tests.fakes.slack.clock import Clock
from tests.fakes.slack.delivery import Delivery, Timing
from tests.fakes.slack.entities import Details
from tests.fakes.slack.faults import Fault, Faults
from tests.fakes.slack.records import (
    Channel,
    Enterprise,
    Ephemeral,
    Installation,
    Message,
    Request,
    Team,
    User,
    UserGroup,
    View,
    new_id,
)

Seen = TypeVar("Seen")
GLANCE = 0.02
"""Seconds after which a test's condition is asked again although nothing changed in the twin."""

UserLike = User | str
ChannelLike = Channel | str


class SlackState:
    """Workspaces, people, channels and the record of what happened. validate: calls are checked against Slack's
    schemas."""

    validate: bool

    def __init__(self, *, timing: Timing, bot_name: str) -> None:
        self.timing = timing
        self.clock = Clock()
        self.app_id = new_id("A")
        self.app_token, self.signing_secret = f"xapp-1-{self.app_id}-twin", "signing-secret-of-the-twin"
        self.client_id, self.client_secret = "1111.2222", "client-secret-of-the-twin"
        self.scopes: set[str] = set(ALL_SCOPES)
        self.subscriptions: set[str] = set(EVENTS)
        self.commands: dict[str, bool] = {}
        self.used_scopes: set[str] = set()
        self.used_subscriptions: set[str] = set()
        self.teams: dict[str, Team] = {}
        self.enterprises: dict[str, Enterprise] = {}
        self.users: dict[str, User] = {}
        self.channels: dict[str, Channel] = {}
        self.usergroups: dict[str, UserGroup] = {}
        self.views: list[View] = []
        self.homes: dict[tuple[str, str], View] = {}
        self.requests: list[Request] = []
        self.deliveries: list[Delivery] = []
        self.violations: list[str] = []
        self.faults = Faults()
        self.trigger_ids: dict[str, tuple[float, str]] = {}
        self.takes_entities = True
        """Whether Work Objects are on, in the app's settings and for the workspace."""
        self.embed_domains: list[str] | None = None
        """The hosts that the app's settings allow in the side pane; None allows all."""
        self.details: dict[str, Details] = {}
        self._bot_name = bot_name
        self._last_ts = 0.0
        self.team = self.add_team("Workspace", installed=True)
        self.bot = self.team.bot

    @property
    def bot_token(self) -> str:
        return self.team.bot_token

    def now(self) -> float:
        """Seconds of the twin's clock."""
        return self.clock.now()

    def pass_time(self, seconds: float) -> None:
        """Make everything that ages `seconds` older: trigger ids, response URLs, deadlines, pauses before a retry."""
        self.clock.pass_by(seconds)

    def new_ts(self) -> str:
        """A message's `ts`: seconds since 1970 with six decimals, unique, growing."""
        self._last_ts = max(time.time(), self._last_ts + 0.000_002)
        return f"{self._last_ts:.6f}"

    def add_team(
        self, name: str, *, installed: bool = False, enterprise: Enterprise | None = None, granted: bool = True
    ) -> Team:
        """Another workspace; `installed` gives it a bot token at once. One of an organisation has the organisation's
        app, unless that was not `granted` to it."""
        team = Team(new_id("T"), name, name.lower().replace(" ", "-"), enterprise)
        self.teams[team.id] = team
        team.own.bot = self.add_user(self._bot_name.lower(), is_bot=True, team=team)
        if enterprise is not None:
            if not hasattr(enterprise.installation, "bot"):
                enterprise.installation.bot = self.add_user(self._bot_name.lower(), is_bot=True, team=team)
            if granted:
                enterprise.granted.append(team)
        if installed:
            self.install(team)
        return team

    def add_enterprise(self, name: str) -> Enterprise:
        """An organisation (Enterprise Grid); `add_team(..., enterprise=...)` gives it workspaces."""
        enterprise = Enterprise(new_id("E"), name, name.lower().replace(" ", "-"))
        self.enterprises[enterprise.id] = enterprise
        return enterprise

    def install(self, place: Team | Enterprise) -> str:
        """Give the app a bot token for this workspace or organisation, with the scopes it asks for now. The token
        before stays live."""
        installation = place.own if isinstance(place, Team) else place.installation
        installation.bot_token = f"xoxb-{place.id}-{len(installation.tokens) + 1}"
        installation.tokens[installation.bot_token] = "live"
        installation.scopes = set(self.scopes)
        return installation.bot_token

    def share(self, channel: "ChannelLike", *teams: Team, with_bot: bool = False) -> None:
        """Share a channel with other workspaces: those of another company have it by Slack Connect. `with_bot`: the app
        of each of them is in it, too."""
        place = self.channel(channel)
        place.others += teams
        place.members += [team.bot.id for team in teams if with_bot]

    def deactivate(self, team: Team | None = None) -> None:
        """Calls with this workspace's tokens are refused with `account_inactive`."""
        self.void_tokens((team or self.team).installation, "account_inactive")

    def void_tokens(self, installation: Installation, error: str) -> None:
        """Calls with the tokens of this installation are refused with `error` from now on."""
        installation.tokens = dict.fromkeys(installation.tokens, error)
        self.clock.ring()

    def hearers(self, channel: Channel) -> list[Team]:
        """The workspaces whose app is in a channel; Slack delivers an event to the first of them."""
        return [team for team in channel.teams if team.installed and team.bot.id in channel.members]

    def add_user(
        self,
        name: str,
        *,
        is_admin: bool = False,
        is_owner: bool = False,
        is_bot: bool = False,
        locale: str = "en-US",
        team: Team | None = None,
    ) -> User:
        """A new person (or bot) in a workspace."""
        place = team or self.team
        user = User(new_id("U"), place, name, is_admin or is_owner, is_owner, is_bot, locale)
        self.users[user.id] = user
        return user

    def add_channel(
        self,
        name: str,
        members: Iterable[UserLike] = (),
        *,
        kind: str = "public",
        with_bot: bool = True,
        team: Team | None = None,
    ) -> Channel:
        """A new channel with these members, and the bot unless `with_bot` is false."""
        place = team or self.team
        ids = [self.user(member, place).id for member in members]
        prefix = "D" if kind == "im" else "C"
        channel = Channel(new_id(prefix), place, name, kind, ids + ([place.bot.id] if with_bot else []))
        self.channels[channel.id] = channel
        return channel

    def add_usergroup(self, handle: str, members: Iterable[UserLike] = (), *, team: Team | None = None) -> UserGroup:
        """A new user group."""
        place = team or self.team
        group = UserGroup(new_id("S"), place, handle, [self.user(member, place).id for member in members])
        self.usergroups[group.id] = group
        return group

    def user(self, who: UserLike, team: Team | None = None) -> User:
        """The user with this id or, in `team`, this name. KeyError where there is none."""
        if isinstance(who, User):
            return who
        if who in self.users:
            return self.users[who]
        place = team or self.team
        for user in self.users.values():
            if user.name == who and user.team is place:
                return user
        raise KeyError(f"no user {who}")

    def channel(self, which: ChannelLike) -> Channel:
        """The channel with this id or name. KeyError where there is none."""
        if isinstance(which, Channel):
            return which
        if which in self.channels:
            return self.channels[which]
        for channel in self.channels.values():
            if channel.name == which:
                return channel
        raise KeyError(f"no channel {which}")

    def direct(self, user: User) -> Channel:
        """The conversation between a person and the bot; opened if there was none."""
        for channel in self.channels.values():
            if channel.kind == "im" and user.id in channel.members and channel.with_bot:
                return channel
        return self.add_channel(user.id, [user], kind="im", team=user.team)

    def messages(self, channel: ChannelLike) -> list[Message]:
        """What stands in a channel and its threads, oldest first, without what was deleted."""
        return [message for message in self.channel(channel).messages.values() if not message.deleted]

    def message(self, ts: str) -> Message:
        """The message with this `ts`, deleted or not. KeyError where there is none."""
        for channel in self.channels.values():
            if ts in channel.messages:
                return channel.messages[ts]
        raise KeyError(f"no message {ts}")

    def ephemerals(self, channel: ChannelLike, user: UserLike) -> list[Ephemeral]:
        """What one person alone sees in a channel now, oldest first."""
        place, person = self.channel(channel), self.user(user)
        return [seen for seen in place.ephemerals if seen.user == person.id and not seen.deleted]

    def home(self, user: UserLike) -> View | None:
        """The App Home tab that was last published for a person."""
        person = self.user(user)
        return self.homes.get((person.team.id, person.id))

    def calls(self, method: str) -> list[Request]:
        """The calls of one method, oldest first."""
        return [request for request in self.requests if request.method == method]

    def new_trigger(self, user: User) -> str:
        """A trigger id: it opens one view within 3 s (docs.slack.dev, interactivity)."""
        trigger = f"{new_id('')}.{user.team.id}"
        self.trigger_ids[trigger] = (self.now(), user.id)
        return trigger

    async def until(self, condition: Callable[[], Seen | None], timeout: float = 30) -> Seen:
        """Wait until `condition` gives something true, and return it. TimeoutError after `timeout` seconds.

        It is asked at each change in the twin and, as it may look at the app as well, every few milliseconds."""
        try:
            async with asyncio.timeout(timeout):
                seen = await self.clock.until(condition, None, glance=GLANCE)
        except TimeoutError:
            calls = ", ".join(request.method for request in self.requests[-8:])
            told = f"last calls: {calls}; violations: {self.violations}"
            raise TimeoutError(f"did not come about in {timeout} s; {told}") from None
        assert seen is not None
        return seen

    def violation(self, text: str) -> None:
        """Remember what a careful app would not do."""
        self.violations.append(text)
        self.clock.ring()

    def forgive(self, part: str) -> None:
        """Take out the violations that contain `part`. AssertionError where there is none."""
        rest = [line for line in self.violations if part not in line]
        assert len(rest) < len(self.violations), f"no violation contains {part!r}: {self.violations}"
        self.violations = rest

    def check(self) -> None:
        """AssertionError if Slack would have had to complain."""
        assert not self.violations, "\n".join(self.violations)

    def fail_next(self, method: str, how: Fault, times: int = 1) -> None:
        """The next `times` calls of `method` (or "response_url") meet this fault."""
        self.faults.add(method, how, times)
