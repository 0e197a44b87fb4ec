"""A local Slack: the real slack_sdk and slack-bolt talk to it over real HTTP and real websockets.

It is a stand-in for the platform and never for our own code: it answers the Web API, sends events, slash commands and
interactions by Socket Mode or by signed HTTP requests, and remembers what a person in the channel would see. Facts come
from Slack's reference (docs.slack.dev) unless a docstring says otherwise. Every call of the bot is checked against
Slack's own argument and Block Kit schemas and against the scopes of its token; what Slack would complain about, or what
a careful app would not send, is a line in `twin.violations`.

    async with FakeSlack() as twin:
        ana, general = twin.add_user("ana"), twin.add_channel("general", ["ana"])  # the bot is a member, too
        app = AsyncApp(client=AsyncWebClient(token=twin.bot_token, base_url=twin.api_url))
        handler = AsyncSocketModeHandler(app, twin.app_token)
        await handler.connect_async()
        await twin.until(lambda: twin.connections)
        command = await twin.slash(general, ana, "/avatar", "start")
        await command.acknowledged()
        message = await twin.write(general, ana, "@Avatar say <good> morning")
        await twin.until(lambda: twin.messages(general)[-1].user == twin.bot.id)
        twin.check()

Making it:  `FakeSlack(*, timing=Timing(), mode="socket", request_url=None, bot_name="Avatar", manifest=None)`
    timing                  `Timing(ack, retries, trigger, response_url, ping, refresh_grace)`, all in seconds
    mode, request_url       "socket", or "http" with the app's `…/slack/events`; both may be set later
    twin.configure(manifest)   scopes, event subscriptions, commands (`should_escape`), mode, URLs from a manifest;
                            without one the app has every scope and subscription of `catalogue.py`, and every command
                            arrives escaped
    twin.scopes, twin.subscriptions, twin.commands   the same, as sets and a dict that a test may change
    twin.used_scopes, twin.used_subscriptions        what was really needed and really delivered
    twin.url, twin.api_url  ".../" and ".../api/" (the latter is `AsyncWebClient(base_url=...)`, `SLACK_API_URL`)
    twin.bot_token, app_token, signing_secret, client_id, client_secret   plain strings
    twin.team, twin.bot     the first workspace (`Team`) and its bot user (`User`)
    twin.now(), twin.pass_time(seconds)   make trigger ids, response URLs, deadlines and retries older without waiting

People (a user, channel or team may be given as its record or its id; names work where noted)
    add_user(name, *, is_admin=False, is_owner=False, is_bot=False, locale="en-US", team=None) -> User
    add_channel(name, members=(), *, kind="public"|"private"|"im", with_bot=True, team=None) -> Channel
    add_usergroup(handle, members=(), *, team=None) -> UserGroup;  await change_usergroup(group, members)
    add_team(name, *, installed=False) -> Team   another workspace, with `team.bot`, `team.bot_token` once installed
    add_enterprise(name) -> Enterprise   an organisation (Enterprise Grid); add_team(..., enterprise=...) makes its
                            workspaces, `authorize(enterprise, user)` installs for all of them; await grant(team),
                            withdraw(team) give it to one more, or take it from one
    share(channel, *teams, with_bot=False)   the channel is in these workspaces, too: by Slack Connect, where they are
                            another company's
    await write(channel, user, text, *, thread_ts=None, raw=False, files=()) -> Message
                            `@name`, `#channel`, `@group`, `@here`
                            and links become what Slack makes of them; & < > are escaped; `raw=True` sends as is;
                            a mention of the bot yields `app_mention` and `message` (see `message.deliveries`)
    await edit_message(message, text), await delete_message(message)
    await react(message, user, name), await unreact(message, user, name)
    await archive(channel), unarchive(channel), delete_channel(channel), rename_channel(channel, name)
    await remove_bot(channel, told=True), await invite_bot(channel), await leave(channel, user)
    restrict(channel)       only admins may post from now on
    await uninstall(team=None), await revoke_tokens(team=None), deactivate(team=None)
    await redeliver(delivery) -> Delivery           the same event once more, with the same event_id

Interactions: each returns an `Interaction`
    await slash(channel, user, "/avatar", "start"), await click(place, action_id, user, *, value=None, state=None)
    (place: a Message, an Ephemeral or a View), await shortcut(message, callback_id, user),
    await global_shortcut(callback_id, user), await submit_view(view, values, user=None), await close_view(view),
    await open_home(user, tab="home") -> Delivery
    await open_card(message, user, *, seen_in=None) -> Details   a click on the message's Work Object, in the channel it
                            was forwarded to where that is `seen_in`: .metadata or .error as the app presents it,
                            .title, .shown, .preview_url (the page in the side pane's frame), .deliveries
    interaction.payload, .trigger_id, .response_url, .ack_payload, .ack_seconds, .attempts, .replies (messages sent by
    the acknowledgement or the response URL)
    await interaction.acknowledged(timeout=30) -> the payload of the acknowledgement (dict, or None)
    `Delivery` (events) has .event_id, .event, .attempts, .ack_seconds and acknowledged() likewise

Seeing
    messages(channel) -> list[Message]              not deleted, in order; message(ts) -> Message, deleted ones too
    Message: ts, channel, user, text, blocks, reactions {name: [user ids]}, edits, thread_ts, deleted, metadata, args
    ephemerals(channel, user) -> list[Ephemeral]; home(user) -> View | None; views -> list[View] (modals, open ones
    have `.open`); requests -> list[Request(method, args, time, team, error)]; calls(method) -> list[Request]
    await until(condition, timeout=30) -> what the condition gave, once it is true; it may look at the app, too
    violations -> list[str]; check() raises AssertionError with them (call it at the end of a test)

Work Objects
    takes_entities          False: Slack posts messages without their Work Object and warns, `entity.presentDetails` is
                            `feature_not_enabled`
    embed_domains           the hosts that the side pane frames; from others it frames nothing and says so to nobody

Trouble
    fail_next(method, how, times=1)   method as in the Web API, or "response_url"; how: `RateLimited(seconds)`,
                            `ServerError(after_effect=False)`, `Dropped(after_effect=False)`, `Refused(error)`,
                            `Slow(seconds)`, `Held()` (answers after `.release()`), `Garbage()`
    connections -> list[Connection]: the open sockets. await connection.cut(); connection.silence() (neither pings nor
                            pongs, takes nothing in); await connection.disconnect("refresh_requested"|"warning"|
                            "link_disabled"); connection.deliveries
    HTTP mode: await verify_url(), send_forged(), send_old(), send_unsigned() -> Answer(status, text, headers), and
                            send_malformed("timestamp" | "signature" | "half a body" | "bytes"); each but the first
                            takes `event=`, a dict to send as the event

OAuth
    code = twin.authorize(team, user, redirect_uri=None)  what Slack hands to the redirect page; or GET
    {url}oauth/v2/authorize, which redirects at once with code and state, for the team in `team=`, else
    `twin.installing`; to `redirect_uri=`, else `twin.oauth_redirect_url`. `add_team(name)` makes the workspace.
"""

from tests.fakes.slack.delivery import Delivery, Interaction, Timing
from tests.fakes.slack.entities import Details
from tests.fakes.slack.faults import Dropped, Garbage, Held, RateLimited, Refused, ServerError, Slow
from tests.fakes.slack.http_delivery import Answer
from tests.fakes.slack.records import Channel, Enterprise, Ephemeral, Message, Request, Team, User, UserGroup, View
from tests.fakes.slack.server import FakeSlack
from tests.fakes.slack.socket_mode import Connection

__all__ = [
    "Answer",
    "Channel",
    "Connection",
    "Delivery",
    "Details",
    "Dropped",
    "Enterprise",
    "Ephemeral",
    "FakeSlack",
    "Garbage",
    "Held",
    "Interaction",
    "Message",
    "RateLimited",
    "Refused",
    "Request",
    "ServerError",
    "Slow",
    "Team",
    "Timing",
    "User",
    "UserGroup",
    "View",
]
