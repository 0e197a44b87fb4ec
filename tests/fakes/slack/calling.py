"""What a Web API method of the local Slack is given, and how it says no."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.fakes.slack.people import People
from tests.fakes.slack.records import Channel, Message, Payload, Team, User


class Refusal(Exception):
    """`{"ok": false, "error": error, …}`."""

    def __init__(self, error: str, **more: object) -> None:
        super().__init__(error)
        self.answer: Payload = {"ok": False, "error": error} | more


@dataclass
class Caller:
    """Who calls: the workspace of the token and the token itself (both empty for methods that need none)."""

    twin: People
    team: Team
    token: str

    def need(self, scope: str) -> None:
        """Refusal("missing_scope") unless the token holds it."""
        if not scope:
            return
        self.twin.used_scopes.add(scope)
        if scope not in self.team.scopes:
            provided = ",".join(sorted(self.team.scopes))
            raise Refusal("missing_scope", needed=scope, provided=provided)

    def channel(self, name: object) -> Channel:
        """The channel of this id that the bot can see. Slack hides private ones that it is not in.

        Names (`#general`) are not found here: `chat.postMessage` still takes them, a careful app does not use them."""
        channel = self.twin.channels.get(str(name))
        if channel is None or channel.deleted or self.team not in channel.teams:
            raise Refusal("channel_not_found")
        if channel.kind != "public" and not self.is_in(channel):
            raise Refusal("channel_not_found")
        return channel

    def is_in(self, channel: Channel) -> bool:
        """Whether the caller's bot is a member of a channel."""
        return self.team.bot.id in channel.members

    def person(self, name: object) -> User | None:
        """The person of this id whom the caller may know: of its workspace, its organisation, or a shared channel."""
        user = self.twin.users.get(str(name))
        if user is None or user.team is self.team or (self.team.is_org_install and user.team.side == self.team.side):
            return user
        shared = any(self.team in channel.teams and name in channel.members for channel in self.twin.channels.values())
        return user if shared else None

    def message(self, channel: Channel, ts: object, error: str = "message_not_found") -> Message:
        message = channel.messages.get(str(ts))
        if message is None or message.deleted:
            raise Refusal(error)
        return message


Call = Callable[[Caller, Payload], Awaitable[Payload]]
