"""A local Discord that the real discord.py client talks to in tests. It may not import anything of the bot.

One `FakeDiscord` is a REST API and a gateway on one loopback port, with guilds, channels and people behind them:

    async with FakeDiscord() as twin:                     # leaving it fails on any violation of the OpenAPI file
        guild = twin.add_guild("Home")
        channel = twin.add_channel(guild, "general")
        asker = twin.add_user("asker", guild=guild)
        with twin.pointed():                              # Route.BASE and DEFAULT_GATEWAY of discord.py; or give
            ...                                           # the bot twin.api_url, .gateway_url and .token as settings
            await twin.ready()                            # every shard was sent its guilds; events keep their order
            asked = await twin.slash(channel, asker, "avatar start", {"avatar": "june"})
            await asked.acknowledged()                    # Acknowledgement(kind, data); asked.ack_seconds
            answer = await asked.answered()               # the Message: content, embeds, components, flags, ephemeral
            await twin.click(asker, answer, label="Stop")  # or custom_id=...
            said = await twin.write(channel, asker, "hello", mentions=[twin.bot])
            await twin.until(lambda: said.reacted("👂"))
            assert twin.count("PUT", "/applications/{application_id}/commands") == 1

Set-up (no await; sends gateway events too when a client is connected):
    add_guild, add_channel, add_thread, add_forum_post, add_user, join, add_role, change_role, delete_role,
    give_role, take_role,
    allow(channel, permission), deny(channel, permission), open_dm
People (await; returns when the events are written to the sockets):
    write, edit_message, delete_message, bulk_delete, react, unreact, delete_channel, archive_thread, kick_bot,
    guild_outage,
    slash, autocomplete, click, choose, context_menu, submit_modal
Activities: enable_activities, activities.launch, activities.leave, activities.young; `Interaction.launched`
Gateway: ready, drop_gateway, request_reconnect, invalidate_session, refuse_identify, silence_gateway,
    identifies, resumes, connected, allowed_intents
Trouble: fail_next(method, pattern, Fault...), age_interactions, response_deadline
Looking: messages, message, until, requests, count, violations, visible_commands, unknown_interactions

An `Interaction` has `acknowledged()`, `ack_seconds`, `answered()`, `response` (the @original), `followups`, `choices`
(autocomplete), `modal`, `attempts` (every callback with its status and error code).
A `Message` has `content`, `embeds`, `components`, `flags`, `ephemeral`, `reactions`, `history` (earlier versions),
`edits` (their number), `deleted`, `button(label=...)`, `reacted(emoji)`, `text`.

Good to know about discord.py 2.7.1 [L]:
    - `ready()` means that the guilds were sent, in order before everything later; `client.wait_until_ready()` comes
      `guild_ready_timeout` (2 s unless given to the client) after the last guild.
    - Between two IDENTIFYs (a second shard, after an invalid session) `Client.before_identify_hook` sleeps 5 s.
    - After an invalid session it goes to `DiscordWebSocket.DEFAULT_GATEWAY`: set that too, as `pointed()` does.
    - A silent gateway is noticed after `heartbeat_timeout` (60 s unless given to the client).
    - A 5xx is repeated after 1 s, 3 s, ...; a dropped connection is not, except a GET, PUT or DELETE by aiohttp itself.
    - It sends some ids as numbers, `nsfw` with commands and `tts` with edits: tolerated (validation.py).

Facts marked [D] in the modules come from Discord's documentation (docs.discord.com/developers), [S] from
`discord_openapi.json`, [L] from the source of discord.py 2.7.1.
"""

from tests.fakes.discord.activities import ActivityInstance
from tests.fakes.discord.commands import CommandHidden
from tests.fakes.discord.faults import Fault
from tests.fakes.discord.interactions import Acknowledgement, Attempt, Interaction
from tests.fakes.discord.server import FakeDiscord
from tests.fakes.discord.state import Channel, Guild, Message, Role, User

__all__ = [
    "Acknowledgement",
    "ActivityInstance",
    "Attempt",
    "Channel",
    "CommandHidden",
    "FakeDiscord",
    "Fault",
    "Guild",
    "Interaction",
    "Message",
    "Role",
    "User",
]
