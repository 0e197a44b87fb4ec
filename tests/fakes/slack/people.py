"""What people do in the local Slack: write, edit, delete, react, and change channels, groups and installations.

Each action changes the world first and then tells the app of it, as Slack does."""

import asyncio
from collections.abc import Iterable, Sequence

from tests.fakes.slack.delivery import Delivery
from tests.fakes.slack.events import Events
from tests.fakes.slack.records import Channel, Enterprise, Message, Payload, Team, UserGroup, new_id
from tests.fakes.slack.state import ChannelLike, UserLike
from tests.fakes.slack.wording import as_message

MESSAGE_SUBSCRIPTIONS = {"channel": "message.channels", "group": "message.groups", "im": "message.im"}


class People(Events):
    """The person's side, apart from commands and interactions."""

    async def write(
        self,
        channel: ChannelLike,
        user: UserLike,
        text: str,
        *,
        thread_ts: str | None = None,
        raw: bool = False,
        files: Sequence[str] = (),
        forwards: Message | None = None,
    ) -> Message:
        """A person (or another bot) writes; `@Avatar …` is a mention. `raw` sends the text over the wire as it is;
        `files` are names of what they upload with it; `forwards` is a message that is forwarded with it.

        A mention of the bot comes as two events with different ids, `app_mention` and `message`."""
        place = self.channel(channel)
        person = self.user(user, place.team)
        wire = text if raw else as_message(self, next(iter(self.hearers(place)), place.team), text)
        message = Message(self.new_ts(), place, person.id, wire, thread_ts=thread_ts, team=person.team)
        message.files = [{"id": new_id("F"), "name": name, "mode": "hosted"} for name in files]
        if forwards is not None:
            message.attachments = [_forwarded(forwards)]
        if person.is_bot:
            message.bot_id = new_id("B")
        self.say(message)
        await asyncio.sleep(0)
        return message

    def say(self, message: Message) -> None:
        """Put a message into its channel and tell the app of it; its own messages come back to it as well."""
        message.channel.messages[message.ts] = message
        event = message.shown() | {"client_msg_id": new_id("m")} if not message.bot_id else message.shown()
        self.mention(message, event)
        message.deliveries += self.tell(message.channel, event | {"event_ts": message.ts}, message.author_team)
        self.clock.ring()

    def mention(self, message: Message, event: Payload) -> None:
        """`app_mention`, if the bot is mentioned by somebody else in a channel it is in."""
        place, author = message.channel, message.author_team
        for team in self.hearers(place):
            bot = team.bot
            if f"<@{bot.id}>" not in message.text or message.user == bot.id or place.kind == "im":
                continue
            mention = event | {"type": "app_mention", "channel": place.id, "event_ts": message.ts}
            if place.is_ext_shared:
                # `team` is the host's, and the author's side is told only where it is another one.
                theirs = {"user_team": author.side, "source_team": author.side, "user_profile": {"team": author.side}}
                mention |= {"team": place.team.id} | (theirs if author is not place.team else {})
            message.deliveries += self.emit(mention, team, channel=place, author=author)

    def tell(self, channel: Channel, event: Payload, author: Team) -> list[Delivery]:
        """A `message` event, if the bot is in the channel; once, however many installations are in it."""
        event = event | {"type": "message", "channel": channel.id, "channel_type": channel.type}
        for team in self.hearers(channel)[:1]:
            return self.emit(event, team, MESSAGE_SUBSCRIPTIONS[channel.type], channel=channel, author=author)
        return []

    async def edit_message(self, message: Message, text: str, *, raw: bool = False) -> Message:
        """The author changes the words: `message_changed`, and `app_mention` if the bot is mentioned only now."""
        bots = [team.bot.id for team in message.channel.teams]
        before, mentioned = message.shown(), any(f"<@{bot}>" in message.text for bot in bots)
        message.text = text if raw else as_message(self, message.channel.team, text)
        message.edits += 1
        message.edited_ts = self.new_ts()
        self.changed(message, before)
        if not mentioned:
            self.mention(message, message.shown())
        await asyncio.sleep(0)
        return message

    def changed(self, message: Message, before: Payload) -> None:
        """`message_changed`, with the message as it is and as it was."""
        now = self.new_ts()
        event = {"subtype": "message_changed", "message": message.shown(), "previous_message": before, "hidden": True}
        message.deliveries += self.tell(message.channel, event | {"ts": now, "event_ts": now}, message.author_team)
        self.clock.ring()

    async def delete_message(self, message: Message) -> None:
        """`message_deleted`."""
        self.removed(message)
        await asyncio.sleep(0)

    def removed(self, message: Message) -> None:
        """The message is gone, and the app hears of it."""
        now = self.new_ts()
        message.deleted = True
        event: Payload = {"subtype": "message_deleted", "deleted_ts": message.ts, "previous_message": message.shown()}
        event |= {"hidden": True, "ts": now, "event_ts": now}
        message.deliveries += self.tell(message.channel, event, message.author_team)
        self.clock.ring()

    async def react(self, message: Message, user: UserLike, name: str) -> None:
        """Somebody adds a reaction."""
        self.reacted(message, self.user(user).id, name, added=True)
        await asyncio.sleep(0)

    async def unreact(self, message: Message, user: UserLike, name: str) -> None:
        """Somebody takes a reaction back."""
        self.reacted(message, self.user(user).id, name, added=False)
        await asyncio.sleep(0)

    def reacted(self, message: Message, user: str, name: str, *, added: bool) -> None:
        """A reaction came or went; the app hears of its own ones too."""
        if added:
            message.reactions.setdefault(name, []).append(user)
        else:
            message.reactions[name].remove(user)
            message.reactions = {key: who for key, who in message.reactions.items() if who}
        if message.channel.with_bot:
            item = {"type": "message", "channel": message.channel.id, "ts": message.ts}
            event: Payload = {"type": "reaction_added" if added else "reaction_removed", "user": user, "reaction": name}
            event |= {"item": item, "item_user": message.user, "event_ts": self.new_ts()}
            self.emit(event, message.channel.team)
        self.clock.ring()

    async def archive(self, channel: ChannelLike) -> list[Delivery]:
        """Nobody can post any more: `is_archived`."""
        place = self.channel(channel)
        place.archived = True
        return await self._channel_event(place, "archive")

    async def unarchive(self, channel: ChannelLike) -> list[Delivery]:
        """The channel is in use again."""
        place = self.channel(channel)
        place.archived = False
        return await self._channel_event(place, "unarchive")

    async def delete_channel(self, channel: ChannelLike) -> list[Delivery]:
        """The channel is gone for good: `channel_not_found`."""
        place = self.channel(channel)
        place.deleted = True
        return await self._channel_event(place, "deleted")

    async def rename_channel(self, channel: ChannelLike, name: str) -> list[Delivery]:
        """A new name, the same id."""
        place = self.channel(channel)
        place.name = name
        return await self._channel_event(place, "rename", {"id": place.id, "name": name, "created": 0})

    def restrict(self, channel: ChannelLike) -> None:
        """Only admins may post from now on: `restricted_action`."""
        self.channel(channel).restricted = True

    async def remove_bot(self, channel: ChannelLike, *, told: bool = True) -> list[Delivery]:
        """Somebody removes the app: `channel_left` (`group_left`), with `actor_id`. Slack says that this event "is
        sometimes withheld" (`told=False`); `member_left_channel` goes to those who stay."""
        place = self.channel(channel)
        place.members.remove(place.team.bot.id)
        actor = {"actor_id": next(iter(place.members), "")}
        return await self._channel_event(place, "left", more=actor) if told else []

    async def invite_bot(self, channel: ChannelLike) -> list[Delivery]:
        """`/invite @Avatar`."""
        place = self.channel(channel)
        return await self._membership(place, place.team.bot.id, joined=True)

    async def leave(self, channel: ChannelLike, user: UserLike) -> list[Delivery]:
        """A person leaves a channel."""
        return await self._membership(self.channel(channel), self.user(user).id, joined=False)

    async def change_usergroup(self, group: UserGroup, members: Iterable[UserLike]) -> list[Delivery]:
        """Other people belong to a user group: `subteam_updated`."""
        group.members = [self.user(member, group.team).id for member in members]
        sent = self.emit({"type": "subteam_updated", "subteam": group.shown(), "event_ts": self.new_ts()}, group.team)
        await asyncio.sleep(0)
        return sent

    async def uninstall(self, team: Team | Enterprise | None = None) -> list[Delivery]:
        """The app is removed from the workspace: its tokens end, `tokens_revoked` and `app_uninstalled` come."""
        place = team or self.team
        sent = await self.revoke_tokens(place)
        sent += self._farewell({"type": "app_uninstalled", "event_ts": self.new_ts()}, place)
        await asyncio.sleep(0)
        return sent

    async def revoke_tokens(self, team: Team | Enterprise | None = None) -> list[Delivery]:
        """The bot token ends: `tokens_revoked`, and `token_revoked` for each call."""
        place = team or self.team
        installation = place.installation
        self.void_tokens(installation, "token_revoked")
        tokens = {"oauth": [], "bot": [installation.bot.id]}
        sent = self._farewell({"type": "tokens_revoked", "tokens": tokens, "event_ts": self.new_ts()}, place)
        await asyncio.sleep(0)
        return sent

    async def grant(self, team: Team) -> list[Delivery]:
        """An organisation gives the app to one more of its workspaces: `team_access_granted`."""
        assert team.enterprise is not None
        team.enterprise.granted.append(team)
        return self._farewell({"type": "team_access_granted", "team_ids": [team.id]}, team.enterprise)

    async def withdraw(self, team: Team) -> list[Delivery]:
        """An organisation takes the app from one of its workspaces: `team_access_revoked`."""
        assert team.enterprise is not None
        team.enterprise.granted.remove(team)
        return self._farewell({"type": "team_access_revoked", "team_ids": [team.id]}, team.enterprise)

    def _farewell(self, event: Payload, place: Team | Enterprise) -> list[Delivery]:
        """An event about the installation itself; an organisation's names no workspace and authorises nobody
        (bolt-python, `test_events_org_apps.py`)."""
        if isinstance(place, Team):
            return self.emit(event, place)
        heard = Team("", place.name, place.domain, place, place.installation)
        payload = self.callback(event, heard) | {"team_id": None, "authorizations": []}
        if event["type"] not in self.subscriptions:
            return []
        self.used_subscriptions.add(str(event["type"]))
        return [self.start(Delivery("events_api", payload, heard, self.clock))]

    async def _membership(self, channel: Channel, user: str, *, joined: bool) -> list[Delivery]:
        if joined:
            channel.members.append(user)
        name = "member_joined_channel" if joined else "member_left_channel"
        event = {"type": name, "user": user, "channel": channel.id, "channel_type": channel.id[0]}
        event |= {"team": channel.team.id, "event_ts": self.new_ts()}
        sent = self.emit(event, channel.team, channel=channel) if channel.with_bot else []
        if not joined:
            channel.members.remove(user)
        self.clock.ring()
        await asyncio.sleep(0)
        return sent

    async def _channel_event(
        self, channel: Channel, what: str, shown: Payload | None = None, more: Payload | None = None
    ) -> list[Delivery]:
        """`channel_…`, or `group_…` in a private channel."""
        name = f"{'group' if channel.kind == 'private' else 'channel'}_{what}"
        event: Payload = {"type": name, "channel": shown or channel.id, "event_ts": self.new_ts()} | (more or {})
        sent = self.emit(event, channel.team)
        self.clock.ring()
        await asyncio.sleep(0)
        return sent


def _forwarded(message: Message) -> Payload:
    """The attachment that a forwarded message comes as: undocumented, known from what Slack sends."""
    address = f"https://example.slack.com/archives/{message.channel.id}/p{message.ts.replace('.', '')}"
    return {
        "id": 1,
        "is_share": True,
        "is_msg_unfurl": True,
        "ts": message.ts,
        "author_id": message.user,
        "channel_id": message.channel.id,
        "from_url": address,
        "original_url": address,
        "fallback": f"[a day] somebody: {message.text}",
        "text": message.text,
        "mrkdwn_in": ["text"],
    }
