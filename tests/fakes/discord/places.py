"""Guilds, channels, roles and members of the local Discord, and the gateway events when they change.

It may not import anything of the bot. None of this needs an await: the events are queued in order.
"""

from tests.fakes.discord import shapes
from tests.fakes.discord.changes import Changes
from tests.fakes.discord.gateway import GUILD_MEMBERS, GUILDS, Gateway
from tests.fakes.discord.permissions import BITS
from tests.fakes.discord.state import (
    KINDS,
    PRIVATE_THREAD,
    PUBLIC_THREAD,
    Channel,
    DiscordState,
    Guild,
    Message,
    Role,
    User,
)


class Places:
    """The part of `FakeDiscord` that sets up where people meet."""

    world: DiscordState
    gateway: Gateway
    changes: Changes
    bot: User

    def add_guild(self, name: str = "Guild", *, shard: int | None = None) -> Guild:
        """A guild with the bot in it; `shard` chooses an id that belongs to that shard ((id >> 22) % shards [D])."""
        guild = self.world.new_guild(name, shard=shard)
        self.gateway.dispatch("GUILD_CREATE", shapes.guild(guild, self.world), guild=guild, intent=GUILDS)
        return guild

    def add_channel(self, guild: Guild, name: str = "general", *, kind: str = "text", nsfw: bool = False) -> Channel:
        """A channel; kind: "text", "voice" (with its text chat), "stage", "announcement", "forum" or "category"."""
        channel = self.world.new_channel(name, KINDS[kind], guild=guild, nsfw=nsfw)
        self._changed("CHANNEL_CREATE", channel)
        return channel

    def add_thread(
        self, parent: Channel, name: str = "thread", *, private: bool = False, without_bot: bool = False
    ) -> Channel:
        """A thread in a text channel; the bot sees it and is a member of it, unless it is private and `without_bot`."""
        kind = PRIVATE_THREAD if private else PUBLIC_THREAD
        thread = self.world.new_channel(name, kind, guild=parent.guild, parent=parent, owner=self.world.keeper)
        thread.without_bot = without_bot
        if not without_bot:
            self._changed("THREAD_CREATE", thread)
        return thread

    def add_forum_post(self, forum: Channel, author: User, title: str, text: str) -> Channel:
        """A post in a forum: a thread whose first message has the thread's id [D]."""
        post = self.world.new_channel(title, PUBLIC_THREAD, guild=forum.guild, parent=forum, owner=author)
        self._changed("THREAD_CREATE", post)
        first = self.world.new_message(post, author, id=post.id, content=text)
        self.gateway.dispatch_message("MESSAGE_CREATE", first)
        return post

    def add_commands_alone(self, name: str = "Elsewhere") -> Guild:
        """A guild that added the application with the scope `applications.commands` alone: the bot is not in it."""
        guild = self.world.new_guild(name)
        guild.has_bot, guild.has_commands = False, True
        del guild.members[self.bot.id]
        return guild

    def invite_bot(self, guild: Guild) -> None:
        """The bot is added to a guild; an invitation says nothing of `unavailable`, the end of an outage says False."""
        guild.has_bot = True
        guild.members.setdefault(self.bot.id, set())
        shape = shapes.guild(guild, self.world)
        shape.pop("unavailable", None)
        self.gateway.dispatch("GUILD_CREATE", shape, guild=guild, intent=GUILDS)

    def add_user(self, name: str, *, guild: Guild | None = None, bot: bool = False, locale: str = "en-US") -> User:
        """A person, a member of `guild` when one is given."""
        user = self.world.new_user(name, bot=bot, locale=locale)
        if guild is not None:
            self.join(guild, user)
        return user

    def join(self, guild: Guild, user: User) -> None:
        """Makes the user a member of a guild."""
        guild.members[user.id] = set()
        shape = shapes.member(guild, user) | {"guild_id": str(guild.id)}
        self.gateway.dispatch("GUILD_MEMBER_ADD", shape, guild=guild, intent=GUILD_MEMBERS)

    def add_role(self, guild: Guild, name: str, *permissions: str) -> Role:
        """A role with permissions by discord.py's names ("manage_guild")."""
        role = Role(self.world.snowflake(), name, sum(BITS[permission] for permission in permissions))
        guild.roles[role.id] = role
        self._role_changed("GUILD_ROLE_CREATE", guild, role)
        return role

    def change_role(self, guild: Guild, role: Role, *permissions: str) -> None:
        """Gives a role these permissions instead of those it had; `guild.everyone` is a role too."""
        role.permissions = sum(BITS[permission] for permission in permissions)
        self._role_changed("GUILD_ROLE_UPDATE", guild, role)

    def delete_role(self, guild: Guild, role: Role) -> None:
        """Deletes a role."""
        del guild.roles[role.id]
        for roles in guild.members.values():
            roles.discard(role.id)
        shape = {"guild_id": str(guild.id), "role_id": str(role.id)}
        self.gateway.dispatch("GUILD_ROLE_DELETE", shape, guild=guild, intent=GUILDS)

    def give_role(self, guild: Guild, user: User, role: Role) -> None:
        """Gives a member a role."""
        guild.members[user.id].add(role.id)
        self._member_changed(guild, user)

    def take_role(self, guild: Guild, user: User, role: Role) -> None:
        """Takes a role from a member."""
        guild.members[user.id].discard(role.id)
        self._member_changed(guild, user)

    def deny(self, channel: Channel, *permissions: str, user: User | None = None) -> None:
        """Denies permissions in the channel, to the bot when no user is named: "send_messages", "view_channel", ..."""
        self._overwrite(channel, user or self.bot, 0, sum(BITS[permission] for permission in permissions))

    def allow(self, channel: Channel, *permissions: str, user: User | None = None) -> None:
        """Allows permissions in the channel, to the bot when no user is named; takes back a `deny`."""
        self._overwrite(channel, user or self.bot, sum(BITS[permission] for permission in permissions), 0)

    def open_dm(self, user: User) -> Channel:
        """The direct messages between the bot and the user."""
        return self.world.direct(user)

    async def delete_channel(self, channel: Channel) -> None:
        """Deletes a channel (with its threads) or a thread."""
        channel.deleted = True
        for thread in self.world.channels.values():
            thread.deleted = thread.deleted or thread.parent is channel
        self._changed("THREAD_DELETE" if channel.is_thread else "CHANNEL_DELETE", channel)
        await self.gateway.flush()

    async def archive_thread(self, thread: Channel, *, locked: bool = False) -> None:
        """Archives a thread."""
        thread.archived, thread.locked = True, locked
        self._changed("THREAD_UPDATE", thread)
        await self.gateway.flush()

    async def reopen_thread(self, thread: Channel) -> None:
        """Somebody opens an archived thread again, as the client does before a message is sent there."""
        thread.archived = False
        self._changed("THREAD_UPDATE", thread)
        await self.gateway.flush()

    async def lock_thread(self, thread: Channel) -> None:
        """A moderator locks a thread that stays open."""
        thread.locked = True
        self._changed("THREAD_UPDATE", thread)
        await self.gateway.flush()

    async def kick_bot(self, guild: Guild) -> None:
        """The bot is removed from the guild: GUILD_DELETE without `unavailable` [D]."""
        self.remove_bot(guild)
        await self.gateway.flush()

    async def guild_outage(self, guild: Guild, *, over: bool = False) -> None:
        """The guild becomes unavailable (GUILD_DELETE with `unavailable`), or available again when `over`."""
        guild.available = over
        gone = {"id": str(guild.id), "unavailable": True}
        event, shape = ("GUILD_CREATE", shapes.guild(guild, self.world)) if over else ("GUILD_DELETE", gone)
        self.gateway.dispatch(event, shape, guild=guild, intent=GUILDS)
        await self.gateway.flush()

    # -- also done by the bot's own requests ------------------------------------------------------------------------

    def remove_bot(self, guild: Guild) -> None:
        """Takes the bot out of a guild."""
        guild.has_bot = False
        guild.members.pop(self.bot.id, None)
        self.gateway.dispatch("GUILD_DELETE", {"id": str(guild.id)}, guild=guild, intent=GUILDS)

    def remove_messages(self, messages: list[Message], *, bulk: bool = False) -> None:
        """Deletes messages of one channel and tells: one by one, or in one event."""
        for message in messages:
            message.deleted = True
            if not bulk and not message.ephemeral:
                self.gateway.dispatch_in("MESSAGE_DELETE", message.channel, {"id": str(message.id)})
        if bulk and messages:
            shape = {"ids": [str(message.id) for message in messages]}
            self.gateway.dispatch_in("MESSAGE_DELETE_BULK", messages[0].channel, shape)
        self.changes.tell()

    def put_reaction(self, message: Message, user: User, emoji: str) -> None:
        """Puts a reaction; a second time nothing happens."""
        users = message.reactions.setdefault(emoji, [])
        if user.id not in users:
            users.append(user.id)
            self._reacted("MESSAGE_REACTION_ADD", message, user, emoji)

    def take_reaction(self, message: Message, user: User, emoji: str) -> None:
        """Takes a reaction away, if it is there."""
        users = message.reactions.get(emoji, [])
        if user.id in users:
            users.remove(user.id)
            if not users:
                del message.reactions[emoji]
            self._reacted("MESSAGE_REACTION_REMOVE", message, user, emoji)

    # -- events -----------------------------------------------------------------------------------------------------

    def _reacted(self, event: str, message: Message, user: User, emoji: str) -> None:
        shape = {
            "user_id": str(user.id),
            "message_id": str(message.id),
            "message_author_id": str(message.author.id),
            "emoji": {"id": None, "name": emoji},
            "burst": False,
            "type": 0,
        }
        guild = message.channel.guild
        if guild is not None and event == "MESSAGE_REACTION_ADD":
            shape["member"] = shapes.member(guild, user)
        self.gateway.dispatch_in(event, message.channel, shape, reactions=True)

    def _changed(self, event: str, channel: Channel) -> None:
        if channel.guild is not None and channel.guild.has_bot:
            shape = shapes.channel(channel, bot=self.bot)
            self.gateway.dispatch(event, shape, guild=channel.guild, intent=GUILDS)

    def _role_changed(self, event: str, guild: Guild, role: Role) -> None:
        position = list(guild.roles).index(role.id)
        shape = {"guild_id": str(guild.id), "role": shapes.role(role, position)}
        self.gateway.dispatch(event, shape, guild=guild, intent=GUILDS)

    def _member_changed(self, guild: Guild, user: User) -> None:
        # [D] an update of the bot itself comes without the members intent too.
        shape = shapes.member(guild, user) | {"guild_id": str(guild.id)}
        intent = 0 if user is self.bot else GUILD_MEMBERS
        self.gateway.dispatch("GUILD_MEMBER_UPDATE", shape, guild=guild, intent=intent)

    def _overwrite(self, channel: Channel, user: User, allowed: int, denied: int) -> None:
        place = channel.parent if channel.is_thread and channel.parent else channel
        before_allowed, before_denied = place.overwrites.get(user.id, (0, 0))
        place.overwrites[user.id] = ((before_allowed | allowed) & ~denied, (before_denied | denied) & ~allowed)
        self._changed("CHANNEL_UPDATE", place)
