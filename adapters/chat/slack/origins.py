"""Where something comes from: which installation hears it, which channel it belongs to, and whose person did it.

In a channel of Slack Connect the outer ids of an event may be another company's; `authorizations` names the
installation that hears it. What concerns an organisation (Enterprise Grid) may name no workspace at all
(docs.slack.dev, Slack Connect; organization-ready apps; slack_bolt's `request/internals.py` reads the same fields)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cachetools import LRUCache

from adapters.chat.slack.client import WorkspaceClient
from adapters.chat.slack.installation_store import is_organisation
from adapters.chat.slack.workspaces import Workspaces
from bot.core.models import Channel
from bot.sessions.registry import SessionRegistry

Payload = Mapping[str, Any]

MAX_CHANNELS = 5000
"""Channels of organisations whose workspace is remembered."""

UNKNOWN_TEAM = "unknown"
"""Whom somebody in a shared channel belongs to of whom Slack says nothing: surely not to us."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a payload says of its origin.

    teams: ids that may name the workspace it is for, or its organisation, the likeliest first; empty strings are none.
    organisation: the organisation whose installation hears it; None if a workspace's own does, or nobody says.
    """

    teams: tuple[str, ...]
    organisation: str | None


class Origins:
    """Finds the workspace and the channel of what Slack sends."""

    def __init__(self, workspaces: Workspaces, sessions: SessionRegistry) -> None:
        self._workspaces = workspaces
        self._sessions = sessions
        self._homes: LRUCache[tuple[str, str], str] = LRUCache(MAX_CHANNELS)

    async def workspace(self, body: Payload) -> WorkspaceClient | None:
        """The workspace whose installation hears it; None if the app is not installed there. Raises `StoreError`."""
        claim = claim_of(body)
        if claim.organisation is not None:
            found = await self._of_organisation(claim.teams, claim.organisation)
            if found is not None:
                return found
        for team in claim.teams:
            if team and (known := await self._workspaces.find(team)) is not None:
                return known
        return None

    async def _of_organisation(self, teams: Iterable[str], organisation: str) -> WorkspaceClient | None:
        theirs = await self._workspaces.find(organisation, organisation)
        if theirs is None:
            return None
        for team in teams:
            known = await self._workspaces.find(team, organisation) if team else None
            if known is not None and known is not theirs:
                return known
        return theirs

    def channel(self, workspace: WorkspaceClient, channel_id: str) -> Channel:
        """The channel, under the workspace that has an avatar in it where there is one.

        Ids of channels are Slack's own and hold everywhere, but the same channel may be heard through several
        workspaces: of an organisation, or of companies that each installed the app.
        """
        channel = Channel("slack", workspace.team_id, channel_id)
        if not channel_id or not self._workspaces.are_several or self._sessions.in_channel(channel) is not None:
            return channel
        for running in self._sessions:
            other = running.session.channel
            if (other.platform, other.id) == ("slack", channel_id):
                return other
        return Channel("slack", self._home(workspace, channel_id), channel_id)

    def _home(self, workspace: WorkspaceClient, channel_id: str) -> str:
        """The workspace of a channel; in an organisation the one it was first heard through."""
        if workspace.organisation is None or is_organisation(workspace.team_id):
            return workspace.team_id
        return self._homes.setdefault((workspace.organisation, channel_id), workspace.team_id)


def claim_of(body: Payload) -> Claim:
    """What a payload says of its origin."""
    return _claim_of_event(body) if "event" in body else _claim_of_interaction(body)


def _claim_of_event(body: Payload) -> Claim:
    authorised = [entry for entry in body.get("authorizations") or () if isinstance(entry, Mapping)]
    if not authorised:
        team, enterprise = _id(body.get("team_id")), _id(body.get("enterprise_id"))
        return Claim((team, "" if team else enterprise), None if team else enterprise or None)
    teams = tuple(_id(entry.get("team_id")) for entry in authorised)
    organisation = next((_id(entry.get("enterprise_id")) for entry in authorised if _is_set(entry)), "")
    if organisation and not any(teams):
        # The organisation hears it: the workspace is an outer one, which may also be another company's.
        teams = (_id(body.get("team_id")), _id(body.get("context_team_id")))
    owners = tuple(_id(entry.get("enterprise_id")) for entry in authorised)
    return Claim((*teams, *owners), organisation or None)


def _claim_of_interaction(body: Payload) -> Claim:
    view, team, user, message = (_part(body, name) for name in ("view", "team", "user", "message"))
    enterprise = _id(_part(body, "enterprise").get("id") or body.get("enterprise_id") or team.get("enterprise_id"))
    teams = (
        # A window may have been opened from another company's workspace.
        _id(view.get("app_installed_team_id")),
        _id(team.get("id") or body.get("team_id")),
        _id(message.get("team")),
        _id(user.get("team_id")),
        _id(view.get("team_id")),
        enterprise,
    )
    return Claim(teams, enterprise if enterprise and _is_set(body) else None)


def author_team(body: Payload) -> str | None:
    """Whom the person who did it belongs to, as far as the payload says; an id of a workspace or an organisation.

    None if it says nothing, and `UNKNOWN_TEAM` where that is a reason to be careful.
    """
    event = _part(body, "event")
    if not event:
        return _id(_part(body, "user").get("team_id") or body.get("team_id")) or None
    if body.get("is_ext_shared_channel") is not True:
        return None
    message = _part(event, "message") or event
    # `team` of a mention is that of the channel's host, and `user_team` is then the author's.
    return _id(message.get("user_team") or message.get("source_team") or message.get("team")) or UNKNOWN_TEAM


def _part(body: Payload, name: str) -> Payload:
    part = body.get(name)
    return part if isinstance(part, Mapping) else {}


def _id(value: object) -> str:
    return value if isinstance(value, str) else ""


def _is_set(payload: Payload) -> bool:
    """Whether it concerns an installation of a whole organisation; commands, which are forms, say so in words."""
    return payload.get("is_enterprise_install") in (True, "true")
