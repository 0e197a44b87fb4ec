"""What a Web API method of the local Slack is given, and how it says no."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.twins.slack.people import People
from tests.twins.slack.records import Channel, Message, Payload, Team


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
        if channel is None or channel.deleted or channel.team is not self.team:
            raise Refusal("channel_not_found")
        if channel.kind != "public" and not channel.with_bot:
            raise Refusal("channel_not_found")
        return channel

    def message(self, channel: Channel, ts: object, error: str = "message_not_found") -> Message:
        message = channel.messages.get(str(ts))
        if message is None or message.deleted:
            raise Refusal(error)
        return message


Call = Callable[[Caller, Payload], Awaitable[Payload]]
