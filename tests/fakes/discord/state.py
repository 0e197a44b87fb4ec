"""What exists in the local Discord: people, guilds, channels, messages. It sends nothing and checks nothing."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.discord.components import parts
from tests.fakes.discord.permissions import EVERYONE

EPOCH = 1_420_070_400_000
"""Milliseconds: the first instant of 2015, from which snowflakes count [D]."""

KINDS = {"text": 0, "dm": 1, "voice": 2, "category": 4, "announcement": 5, "stage": 13, "forum": 15}
PUBLIC_THREAD, PRIVATE_THREAD = 11, 12
EPHEMERAL, LOADING, COMPONENTS_V2, HAS_THREAD = 1 << 6, 1 << 7, 1 << 15, 1 << 5


@dataclass(eq=False)
class User:
    """An account."""

    id: int
    name: str
    bot: bool = False
    locale: str = "en-US"

    @property
    def mention(self) -> str:
        """The text that mentions it."""
        return f"<@{self.id}>"


@dataclass(eq=False)
class Role:
    """A role of a guild."""

    id: int
    name: str
    permissions: int = 0


@dataclass(eq=False)
class Guild:
    """A server; `members` maps user ids to the ids of their roles. `has_commands`: without the bot itself, the
    application was added for its commands alone."""

    id: int
    name: str
    owner: User
    everyone: Role
    roles: dict[int, Role] = field(default_factory=dict)
    members: dict[int, set[int]] = field(default_factory=dict)
    available: bool = True
    has_bot: bool = True
    has_commands: bool = False


@dataclass(eq=False)
class Channel:
    """A channel, thread or direct-message channel; `overwrites` maps role and user ids to (allowed, denied) bits.
    `without_bot`: a private thread that the bot was not added to."""

    id: int
    name: str
    type: int
    guild: Guild | None = None
    parent: Channel | None = None
    owner: User | None = None
    recipient: User | None = None
    nsfw: bool = False
    archived: bool = False
    locked: bool = False
    deleted: bool = False
    without_bot: bool = False
    user_limit: int = 0
    overwrites: dict[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def is_thread(self) -> bool:
        """Whether it is a thread or a forum post."""
        return self.type in (10, PUBLIC_THREAD, PRIVATE_THREAD)

    @property
    def mention(self) -> str:
        """The text that links to it."""
        return f"<#{self.id}>"


@dataclass(eq=False)
class Message:
    """A message and what became of it. `more`: what a person's client adds (`message_snapshots`, `poll`, ...)."""

    id: int
    channel: Channel
    author: User
    content: str = ""
    embeds: list[dict[str, Any]] = field(default_factory=list)
    components: list[dict[str, Any]] = field(default_factory=list)
    attachments: list[dict[str, Any]] = field(default_factory=list)
    mentions: list[User] = field(default_factory=list)
    flags: int = 0
    type: int = 0
    nonce: str | int | None = None
    reply_to: Message | None = None
    reference: dict[str, Any] | None = None
    webhook_id: int | None = None
    interaction: dict[str, Any] | None = None
    seen_by: User | None = None
    allowed_mentions: dict[str, Any] | None = None
    pings_everyone: bool = False
    edited: bool = False
    deleted: bool = False
    reactions: dict[str, list[int]] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def ephemeral(self) -> bool:
        """Whether only one person sees it."""
        return bool(self.flags & EPHEMERAL)

    @property
    def loading(self) -> bool:
        """Whether it is the "is thinking" of a deferred answer."""
        return bool(self.flags & LOADING)

    @property
    def edits(self) -> int:
        """How often it was edited."""
        return len(self.history)

    @property
    def text(self) -> str:
        """All that a person can read in it: content, embeds, text displays; one line each."""
        found = [self.content]
        for embed in self.embeds:
            found += [str(embed.get("title") or ""), str(embed.get("description") or "")]
            found += [f"{one['name']}: {one['value']}" for one in embed.get("fields", [])]
            found.append(str((embed.get("footer") or {}).get("text") or ""))
        found += [str(part["content"]) for part in parts(self.components) if part.get("type") == 10]
        return "\n".join(line for line in found if line)

    @property
    def buttons(self) -> list[dict[str, Any]]:
        """The buttons, in order, as they were sent: label, custom_id, url, style, disabled."""
        return [part for part in parts(self.components) if part.get("type") == 2]

    def button(self, label: str) -> dict[str, Any]:
        """The button with the label. Raises AssertionError when there is none."""
        for button in self.buttons:
            if button.get("label") == label:
                return button
        raise AssertionError(f"no button {label!r} among {[button.get('label') for button in self.buttons]}")

    def reacted(self, emoji: str, user: User | None = None) -> bool:
        """Whether the reaction is on it at this moment, of this user when one is given."""
        users = self.reactions.get(emoji, [])
        return bool(users) if user is None else user.id in users

    def change(self, **fields: Any) -> None:
        """Edits it, keeping the version before in `history`."""
        kept = ("content", "embeds", "components", "flags", "attachments")
        self.history.append({name: copy.deepcopy(getattr(self, name)) for name in kept})
        for name, value in fields.items():
            setattr(self, name, value)


class DiscordState:
    """Everything that exists, by id."""

    def __init__(self, *, shards: int = 1) -> None:
        self.shards = shards
        self._last = 0
        self.application_flags = 0
        self.public_key = "0" * 64
        """The application's, for what Discord signs: 32 bytes as hexadecimal digits."""
        self.users: dict[int, User] = {}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self.messages: dict[int, Message] = {}
        self.bot = self.new_user("Avatar", bot=True)
        self.keeper = self.new_user("keeper")
        """Owns the guilds."""

    def snowflake(self, *, shard: int | None = None) -> int:
        """A new id: its time is now, it is larger than every one before; of a guild it belongs to the shard if given.

        Its lower bits are in use too: an id that goes through a float anywhere comes back wrong.
        """
        now = int(time.time() * 1000) - EPOCH
        fresh = max((now << 22) + 1, self._last + 1)
        if shard is not None:
            while (fresh >> 22) % self.shards != shard:
                fresh = ((fresh >> 22) + 1 << 22) + 1
        self._last = fresh
        return fresh

    def new_user(self, name: str, *, bot: bool = False, locale: str = "en-US") -> User:
        """A new account."""
        user = User(self.snowflake(), name, bot, locale)
        self.users[user.id] = user
        return user

    def new_guild(self, name: str, *, shard: int | None = None) -> Guild:
        """A new guild with the bot and the keeper in it."""
        number = self.snowflake(shard=shard if shard is not None else len(self.guilds) % self.shards)
        everyone = Role(number, "@everyone", EVERYONE)
        guild = Guild(number, name, self.keeper, everyone, roles={number: everyone})
        role = Role(self.snowflake(), self.bot.name, 0)
        guild.roles[role.id] = role
        guild.members = {self.keeper.id: set(), self.bot.id: {role.id}}
        self.guilds[guild.id] = guild
        return guild

    def new_channel(self, name: str, kind: int, **fields: Any) -> Channel:
        """A new channel or thread."""
        channel = Channel(self.snowflake(), name, kind, **fields)
        self.channels[channel.id] = channel
        return channel

    def new_message(self, channel: Channel, author: User, **fields: Any) -> Message:
        """A new message; `id` among the fields for one that has to have a certain id."""
        number = fields.pop("id", None) or self.snowflake()
        message = Message(number, channel, author, **fields)
        self.messages[message.id] = message
        return message

    def channels_of(self, guild: Guild) -> list[Channel]:
        """The channels and threads of the guild that exist."""
        return [channel for channel in self.channels.values() if channel.guild is guild and not channel.deleted]

    def direct(self, user: User) -> Channel:
        """The direct messages between the bot and the user; opened when there are none yet."""
        for channel in self.channels.values():
            if channel.recipient is user:
                return channel
        return self.new_channel(user.name, KINDS["dm"], recipient=user)
