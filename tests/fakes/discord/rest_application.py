"""REST: who the bot is, its guilds, the gateway's address, its commands. It answers what `rest.py` let through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.fakes.discord import shapes
from tests.fakes.discord.errors import Refused
from tests.fakes.discord.rest import Acts, Answer, Request
from tests.fakes.discord.state import Guild

if TYPE_CHECKING:
    from tests.fakes.discord.server import FakeDiscord

_NOTHING = (
    "splash discovery_splash banner application_id description afk_channel_id widget_channel_id vanity_url_code "
    "rules_channel_id safety_alerts_channel_id public_updates_channel_id incidents_data max_presences home_header"
)
_UNSET = dict.fromkeys(_NOTHING.split()) | {
    "region": "deprecated",
    "afk_timeout": 300,
    "widget_enabled": False,
    "max_members": 500_000,
    "max_stage_video_channel_users": 50,
    "max_video_channel_users": 25,
    "premium_subscription_count": 0,
    "premium_progress_bar_enabled": False,
    "nsfw": False,
}
"""What only the REST shape of a guild has [S], of a guild that set none of it."""


def _me(twin: FakeDiscord, request: Request) -> Answer:
    return 200, shapes.user(twin.bot) | {"mfa_enabled": False, "locale": "en-US", "verified": True, "email": None}


def _user(twin: FakeDiscord, request: Request) -> Answer:
    user = twin.world.users.get(request.id("user_id"))
    if user is None:
        raise Refused(10013)
    return 200, shapes.user(user)


def _application(twin: FakeDiscord, request: Request) -> Answer:
    return 200, shapes.application(twin.world)


def _gateway(twin: FakeDiscord, request: Request) -> Answer:
    return 200, {"url": twin.gateway_url}


def _bot_gateway(twin: FakeDiscord, request: Request) -> Answer:
    limit = {"total": 1000, "remaining": 999, "reset_after": 14_400_000}
    limit["max_concurrency"] = twin.gateway.max_concurrency
    return 200, {"url": twin.gateway_url, "shards": twin.shards, "session_start_limit": limit}


def _guilds(twin: FakeDiscord, request: Request) -> Answer:
    mine = [guild for guild in twin.world.guilds.values() if guild.has_bot]
    shown = [{"id": str(guild.id), "name": guild.name, "icon": None, "banner": None, "owner": False} for guild in mine]
    return 200, [one | {"permissions": "0", "features": []} for one in shown]


def _leave(twin: FakeDiscord, request: Request) -> Answer:
    guild = guild_of(twin, request)
    twin.remove_bot(guild)
    return 204, None


def _guild(twin: FakeDiscord, request: Request) -> Answer:
    gateway_only = ("channels", "threads", "members", "presences", "voice_states", "joined_at", "large", "unavailable")
    shape = shapes.guild(guild_of(twin, request), twin.world) | _UNSET
    return 200, {name: value for name, value in shape.items() if name not in gateway_only}


def _guild_channels(twin: FakeDiscord, request: Request) -> Answer:
    found = twin.world.channels_of(guild_of(twin, request))
    return 200, [shapes.channel(channel) for channel in found if not channel.is_thread]


def _threads(twin: FakeDiscord, request: Request) -> Answer:
    found = twin.world.channels_of(guild_of(twin, request))
    threads = [channel for channel in found if channel.is_thread and not channel.archived]
    return 200, {"threads": [shapes.channel(one, bot=twin.bot) for one in threads], "members": [], "has_more": False}


def _member(twin: FakeDiscord, request: Request) -> Answer:
    guild, number = guild_of(twin, request), request.id("user_id")
    if number not in guild.members:
        raise Refused(10007, status=404)
    return 200, shapes.member(guild, twin.world.users[number])


def _roles(twin: FakeDiscord, request: Request) -> Answer:
    roles = guild_of(twin, request).roles.values()
    return 200, [shapes.role(role, position) for position, role in enumerate(roles)]


def _own_voice_state(twin: FakeDiscord, request: Request) -> Answer:
    guild = guild_of(twin, request)
    if twin.voice.channel_of(guild) is None:
        raise Refused(10065)
    twin.voice.edit_own_state(guild, request.body)
    return 204, None


def _open_dm(twin: FakeDiscord, request: Request) -> Answer:
    user = twin.world.users.get(int(request.body["recipient_id"]))
    if user is None:
        raise Refused(10013)
    return 200, shapes.channel(twin.world.direct(user))


def guild_of(twin: FakeDiscord, request: Request) -> Guild:
    """The guild of the path. Raises Refused 10004 or, where the bot is no member, 50001."""
    guild = twin.world.guilds.get(request.id("guild_id"))
    if guild is None:
        raise Refused(10004)
    if not guild.has_bot:
        raise Refused(50001)
    return guild


# -- commands -------------------------------------------------------------------------------------------------------


def _scope(twin: FakeDiscord, request: Request) -> int | None:
    if request.id("application_id") != twin.application_id:
        raise Refused(20012, status=403)
    return guild_of(twin, request).id if "guild_id" in request.parameters else None


def _list(twin: FakeDiscord, request: Request) -> Answer:
    found = twin.interactions.commands.all(_scope(twin, request))
    if request.query.get("with_localizations") == "true":
        return 200, found
    translated = ("name_localizations", "description_localizations")
    return 200, [{name: value for name, value in one.items() if name not in translated} for one in found]


def _overwrite(twin: FakeDiscord, request: Request) -> Answer:
    return 200, twin.interactions.commands.overwrite(_scope(twin, request), request.body)


def _put(twin: FakeDiscord, request: Request) -> Answer:
    return 200, twin.interactions.commands.put(_scope(twin, request), request.body)


def _get(twin: FakeDiscord, request: Request) -> Answer:
    return 200, twin.interactions.commands.get(_scope(twin, request), request.id("command_id"))


def _edit(twin: FakeDiscord, request: Request) -> Answer:
    return 200, twin.interactions.commands.edit(_scope(twin, request), request.id("command_id"), request.body)


def _delete(twin: FakeDiscord, request: Request) -> Answer:
    twin.interactions.commands.delete(_scope(twin, request), request.id("command_id"))
    return 204, None


def _command_acts(scope: str) -> dict[tuple[str, str], Any]:
    every, one = f"/applications/{{application_id}}{scope}/commands", "/{command_id}"
    return {
        ("GET", every): _list,
        ("PUT", every): _overwrite,
        ("POST", every): _put,
        ("GET", every + one): _get,
        ("PATCH", every + one): _edit,
        ("DELETE", every + one): _delete,
    }


def _activity_instance(twin: FakeDiscord, request: Request) -> Answer:
    if request.id("application_id") != twin.application_id:
        raise Refused(20012, status=403)
    shape = twin.activities.shape(request.parameters["instance_id"])
    if shape is None:
        raise Refused(0, status=404, message="404: Not Found")
    return 200, shape


ACTS: Acts = {
    ("GET", "/applications/{application_id}/activity-instances/{instance_id}"): _activity_instance,
    ("GET", "/users/@me"): _me,
    ("GET", "/users/{user_id}"): _user,
    ("GET", "/oauth2/applications/@me"): _application,
    ("GET", "/applications/@me"): _application,
    ("GET", "/gateway"): _gateway,
    ("GET", "/gateway/bot"): _bot_gateway,
    ("GET", "/users/@me/guilds"): _guilds,
    ("DELETE", "/users/@me/guilds/{guild_id}"): _leave,
    ("POST", "/users/@me/channels"): _open_dm,
    ("GET", "/guilds/{guild_id}"): _guild,
    ("GET", "/guilds/{guild_id}/channels"): _guild_channels,
    ("GET", "/guilds/{guild_id}/threads/active"): _threads,
    ("GET", "/guilds/{guild_id}/members/{user_id}"): _member,
    ("GET", "/guilds/{guild_id}/roles"): _roles,
    ("PATCH", "/guilds/{guild_id}/voice-states/@me"): _own_voice_state,
    **_command_acts(""),
    **_command_acts("/guilds/{guild_id}"),
}
"""What is done for each method and path of the OpenAPI file."""
