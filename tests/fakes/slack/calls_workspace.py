"""`auth.*`, `conversations.*`, `users.*`, `usergroups.*`, `team.info`, `bots.info`, `apps.*` of the local Slack."""

from collections.abc import Sequence
from typing import Any

from tests.fakes.slack.calling import Call, Caller, Refusal
from tests.fakes.slack.records import Payload

PAGE = 100


def _page(everything: Sequence[Any], args: Payload, name: str) -> Payload:
    """One page of a list; `cursor` is where the next one starts."""
    start = int(str(args.get("cursor") or "0"))
    size = min(int(args.get("limit") or PAGE), 1000)
    following = str(start + size) if start + size < len(everything) else ""
    return {name: list(everything[start : start + size]), "response_metadata": {"next_cursor": following}}


async def auth_test(caller: Caller, args: Payload) -> Payload:
    team, enterprise = caller.team, caller.team.enterprise
    place = enterprise if enterprise is not None and team.is_org_install else team
    return {
        "url": f"https://{place.domain}.slack.example.com/",
        "team": place.name,
        "user": team.bot.name,
        "team_id": place.id,
        "user_id": team.bot.id,
        "bot_id": team.bot_id,
        "is_enterprise_install": team.is_org_install,
    } | ({"enterprise_id": enterprise.id} if enterprise is not None else {})


async def auth_teams_list(caller: Caller, args: Payload) -> Payload:
    """The workspaces that a token has access to."""
    enterprise = caller.team.enterprise
    teams = enterprise.granted if enterprise is not None and caller.team.is_org_install else [caller.team]
    return _page([{"id": team.id, "name": team.name} for team in teams], args, "teams")


async def auth_revoke(caller: Caller, args: Payload) -> Payload:
    if args.get("test"):
        return {"revoked": False}
    caller.team.tokens[caller.token] = "token_revoked"
    return {"revoked": True}


async def uninstall(caller: Caller, args: Payload) -> Payload:
    if (args["client_id"], args["client_secret"]) != (caller.twin.client_id, caller.twin.client_secret):
        raise Refusal("invalid_client_id")
    await caller.twin.uninstall(caller.team)
    return {}


async def conversation_info(caller: Caller, args: Payload) -> Payload:
    channel = caller.channel(args["channel"])
    more = {"num_members": len(channel.members)} if args.get("include_num_members") else {}
    return {"channel": channel.shown() | more}


async def conversation_list(caller: Caller, args: Payload) -> Payload:
    kinds = {"public_channel": "public", "private_channel": "private", "im": "im"}
    wanted = {kinds.get(name.strip()) for name in str(args.get("types", "public_channel")).split(",")}
    for name in sorted(wanted - {None}, key=str):
        caller.need({"public": "channels:read", "private": "groups:read", "im": "im:read"}[str(name)])
    seen = [
        channel.shown()
        for channel in caller.twin.channels.values()
        if caller.team in channel.teams
        and channel.kind in wanted
        and not channel.deleted
        and (channel.kind == "public" or caller.is_in(channel))
        and not (channel.archived and args.get("exclude_archived"))
    ]
    return _page(seen, args, "channels")


async def conversation_members(caller: Caller, args: Payload) -> Payload:
    return _page(caller.channel(args["channel"]).members, args, "members")


async def join(caller: Caller, args: Payload) -> Payload:
    channel = caller.channel(args["channel"])
    if channel.kind != "public":
        raise Refusal("method_not_supported_for_channel_type")
    if channel.archived:
        raise Refusal("is_archived")
    if caller.is_in(channel):
        return {"channel": channel.shown(), "warning": "already_in_channel"}
    await caller.twin.invite_bot(channel)
    return {"channel": channel.shown()}


async def open_conversation(caller: Caller, args: Payload) -> Payload:
    if args.get("channel"):
        return {"channel": {"id": caller.channel(args["channel"]).id}}
    user = caller.twin.users.get(str(args.get("users", "")))
    if user is None or user.team is not caller.team:
        raise Refusal("user_not_found")
    return {"channel": {"id": caller.twin.direct(user).id}}


async def replies(caller: Caller, args: Payload) -> Payload:
    channel = caller.channel(args["channel"])
    if not caller.is_in(channel):
        raise Refusal("not_in_channel")
    caller.message(channel, args["ts"], "thread_not_found")
    thread = [m.shown() for m in caller.twin.messages(channel) if args["ts"] in (m.ts, m.thread_ts)]
    return _page(thread, args, "messages") | {"has_more": False}


async def user_info(caller: Caller, args: Payload) -> Payload:
    user = caller.person(args["user"])
    if user is None:
        raise Refusal("user_not_found")
    if user.team.side != caller.team.side:
        return {"user": user.shown_to_others()}
    return {"user": user.shown(with_locale=bool(args.get("include_locale")))}


async def user_list(caller: Caller, args: Payload) -> Payload:
    shown = [user.shown() for user in caller.twin.users.values() if user.team is caller.team]
    return _page(shown, args, "members")


async def usergroup_list(caller: Caller, args: Payload) -> Payload:
    groups = [group for group in caller.twin.usergroups.values() if group.team is caller.team]
    return {"usergroups": [group.shown(with_users=bool(args.get("include_users"))) for group in groups]}


async def usergroup_users(caller: Caller, args: Payload) -> Payload:
    group = caller.twin.usergroups.get(args["usergroup"])
    if group is None or group.team is not caller.team:
        raise Refusal("no_such_subteam")
    return {"users": list(group.members)}


async def team_info(caller: Caller, args: Payload) -> Payload:
    team = caller.team
    return {"team": {"id": team.id, "name": team.name, "domain": team.domain, "icon": {"image_default": True}}}


async def bot_info(caller: Caller, args: Payload) -> Payload:
    team = caller.team
    if args.get("bot", team.bot_id) != team.bot_id:
        raise Refusal("bot_not_found")
    shown = {"id": team.bot_id, "deleted": False, "name": team.bot.name, "app_id": caller.twin.app_id}
    return {"bot": shown | {"user_id": team.bot.id}}


CALLS: dict[str, Call] = {
    "apps.uninstall": uninstall,
    "auth.revoke": auth_revoke,
    "auth.teams.list": auth_teams_list,
    "auth.test": auth_test,
    "bots.info": bot_info,
    "conversations.info": conversation_info,
    "conversations.join": join,
    "conversations.list": conversation_list,
    "conversations.members": conversation_members,
    "conversations.open": open_conversation,
    "conversations.replies": replies,
    "team.info": team_info,
    "usergroups.list": usergroup_list,
    "usergroups.users.list": usergroup_users,
    "users.info": user_info,
    "users.list": user_list,
}
