"""What people do in the local Discord: write, react, type commands, press buttons.

It may not import anything of the bot. Every deed is awaited and returns when its gateway events are written to the
sockets of the connected clients.
"""

import re
from collections.abc import Mapping, Sequence

from tests.fakes.discord import asking, shapes
from tests.fakes.discord.interactions import Interaction, Interactions
from tests.fakes.discord.places import Places
from tests.fakes.discord.state import Channel, Message, User


class People(Places):
    """The people's part of `FakeDiscord`."""

    interactions: Interactions

    # -- messages ---------------------------------------------------------------------------------------------------

    async def write(
        self,
        channel: Channel,
        author: User,
        text: str,
        *,
        mentions: Sequence[User] = (),
        reply_to: Message | None = None,
        webhook: bool = False,
        message_type: int = 0,
        attachments: int = 0,
        more: Mapping[str, object] | None = None,
    ) -> Message:
        """Writes a message. Each of `mentions` that the text does not name is put before the text as <@id>.

        A reply mentions the author it replies to, as the client does by default [D]. `webhook` makes it a webhook's
        message, `message_type` a system message (7: a member joined), `attachments` that many files, `more` further
        fields of the message, such as `poll`.
        """
        text = "".join(f"{user.mention} " for user in mentions if user.mention not in text) + text
        files = [self._file(number) for number in range(attachments)]
        message = self.world.new_message(
            channel, author, content=text, type=message_type, attachments=files, more=dict(more or {})
        )
        if webhook:
            message.webhook_id = self.world.snowflake()
        if reply_to is not None:
            message.reply_to, message.type = reply_to, 19
            message.reference = {"type": 0, "message_id": str(reply_to.id), "channel_id": str(channel.id)}
            if channel.guild is not None:
                message.reference["guild_id"] = str(channel.guild.id)
        self._mention(message)
        self.gateway.dispatch_message("MESSAGE_CREATE", message)
        await self.gateway.flush()
        return message

    async def forward(self, channel: Channel, author: User, message: Message) -> Message:
        """Forwards a message: the new one has no content of its own, and says nothing of who wrote the old one [D]."""
        reference = {"type": 1, "message_id": str(message.id), "channel_id": str(message.channel.id)}
        more = {"message_reference": reference, "message_snapshots": [shapes.snapshot(message)]}
        return await self.write(channel, author, "", more=more)

    async def edit_message(self, message: Message, text: str) -> None:
        """The author edits a message."""
        message.change(content=text)
        message.edited = True
        self._mention(message)
        self.gateway.dispatch_message("MESSAGE_UPDATE", message)
        await self.gateway.flush()

    async def delete_message(self, message: Message) -> None:
        """Somebody deletes the message."""
        self.remove_messages([message])
        await self.gateway.flush()

    async def bulk_delete(self, messages: Sequence[Message]) -> None:
        """A moderator deletes messages of one channel at once: one MESSAGE_DELETE_BULK event."""
        self.remove_messages(list(messages), bulk=True)
        await self.gateway.flush()

    async def react(self, message: Message, user: User, emoji: str) -> None:
        """Puts a reaction."""
        self.put_reaction(message, user, emoji)
        await self.gateway.flush()

    async def unreact(self, message: Message, user: User, emoji: str) -> None:
        """Takes a reaction away."""
        self.take_reaction(message, user, emoji)
        await self.gateway.flush()

    def _mention(self, message: Message) -> None:
        named = {int(number) for number in re.findall(r"<@!?(\d+)>", message.content)} & set(self.world.users)
        if message.reply_to is not None:
            named.add(message.reply_to.author.id)
        message.mentions = [self.world.users[number] for number in sorted(named)]

    def _file(self, number: int) -> dict[str, object]:
        url = f"https://cdn.example.com/{number}.png"
        file = {"id": str(self.world.snowflake()), "filename": f"{number}.png", "size": 1024, "url": url}
        return file | {"proxy_url": url, "content_type": "image/png"}

    # -- interactions -----------------------------------------------------------------------------------------------

    async def slash(
        self,
        channel: Channel,
        user: User,
        command: str,
        options: Mapping[str, object] | None = None,
        *,
        anyway: bool = False,
    ) -> Interaction:
        """Types a slash command such as "avatar start", with options by name.

        Raises CommandHidden when the user's client would not offer it: not registered, an option unknown or missing,
        a value that is not allowed, `default_member_permissions` not held. `anyway` skips the permission only, as
        when the server's owner re-mapped the command.
        """
        return await asking.type_command(self.interactions, channel, user, command, options or {}, anyway=anyway)

    async def autocomplete(
        self,
        channel: Channel,
        user: User,
        command: str,
        focused: str,
        typed: str,
        options: Mapping[str, object] | None = None,
        *,
        anyway: bool = False,
    ) -> Interaction:
        """Types into the option `focused`; the handle's `choices` are filled when it is acknowledged."""
        values = dict(options or {}) | {focused: typed}
        return await asking.type_command(
            self.interactions, channel, user, command, values, focused=focused, anyway=anyway
        )

    async def click(
        self,
        user: User,
        message: Message,
        *,
        label: str | None = None,
        custom_id: str | None = None,
        anyway: bool = False,
    ) -> Interaction:
        """Presses the button with this label or custom_id.

        Raises CommandHidden when there is none, it is a link or disabled. `anyway` presses a disabled one, or a
        custom_id that is no longer there: the press was under way when the message changed.
        """
        return await asking.press(self.interactions, user, message, label=label, custom_id=custom_id, anyway=anyway)

    async def choose(
        self, user: User, message: Message, values: Sequence[str], *, custom_id: str | None = None
    ) -> Interaction:
        """Chooses values in the message's select menu."""
        return await asking.choose(self.interactions, user, message, values, custom_id=custom_id)

    async def context_menu(
        self, channel: Channel, user: User, command: str, target: Message | User, *, anyway: bool = False
    ) -> Interaction:
        """Uses an entry of the context menu of a message or a user."""
        return await asking.use_context_menu(self.interactions, channel, user, command, target, anyway=anyway)

    async def launch(self, channel: Channel, user: User) -> Interaction:
        """Uses the entry point of an application with Activities (`interactions.commands.enable_activities`)."""
        return await asking.launch(self.interactions, channel, user)

    async def submit_modal(self, user: User, shown: Interaction, values: Mapping[str, str]) -> Interaction:
        """Submits the modal that answered `shown`, with the text of each field by its custom_id."""
        return await asking.submit(self.interactions, user, shown, values)
