"""Who somebody is in Slack: name, admin or not, bot or not, user groups. Asked once, remembered for a while.

A person who cannot be looked up is an ordinary member, unless what Slack sent says that they belong to another company:
the core decides what they may do."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from cachetools import LRUCache

from adapters.chat.slack.client import SlackError, SlackUnavailable, WorkspaceClient
from adapters.chat.slack.strings import SOME_GROUP, SOMEBODY
from bot.core.models import Actor, Role
from bot.core.ports import Clock

log = structlog.get_logger(__name__)

USER_CACHE_TTL = 600.0
"""Seconds a person or the list of groups is taken for true."""

USER_CACHE_SIZE = 5000
"""People remembered at once."""


_NEVER_ASKED = (float("-inf"), None)


@dataclass(frozen=True, slots=True)
class User:
    """What Slack says of somebody. `teams`: the workspaces and organisations they belong to; none where nobody told."""

    name: str
    is_admin: bool = False
    is_bot: bool = False
    teams: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Group:
    """A user group: its handle and who belongs to it."""

    handle: str
    members: frozenset[str]


class UserCache:
    """The people of every workspace."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._people: LRUCache[tuple[str, str], tuple[float, User]] = LRUCache(USER_CACHE_SIZE)
        self._groups: dict[str, tuple[float, Mapping[str, Group]]] = {}
        self._reading: dict[str, asyncio.Lock] = {}

    async def actor(self, workspace: WorkspaceClient, user_id: str, team: str | None = None) -> Actor:
        """The person as the core knows actors. `team`: whom they belong to, as far as what they did says."""
        person, groups = await self._person_and_groups(workspace, user_id)
        return Actor(
            "slack",
            user_id,
            person.name,
            role=Role.ADMIN if person.is_admin else Role.HOST,
            is_bot=person.is_bot,
            groups=frozenset(group_id for group_id, group in groups.items() if user_id in group.members),
            is_external=not workspace.employs(person.teams or {team or workspace.team_id}),
        )

    async def _person_and_groups(self, workspace: WorkspaceClient, user_id: str) -> tuple[User, Mapping[str, Group]]:
        person, groups = self._known_person(workspace, user_id), self._known_groups(workspace)
        if person is not None and groups is not None:
            return person, groups
        return await asyncio.gather(self.person(workspace, user_id), self.groups(workspace))

    async def person(self, workspace: WorkspaceClient, user_id: str) -> User:
        """What Slack says of somebody, at most ten minutes old."""
        if (known := self._known_person(workspace, user_id)) is not None:
            return known
        key = (workspace.team_id, user_id)
        try:
            answer = await workspace.call("users.info", user=user_id)
        except (SlackError, SlackUnavailable) as error:
            log.info("a person could not be looked up", error=str(error))
            _, person = self._people.get(key, (0.0, User(SOMEBODY)))
            return person
        person = _person_of(answer.get("user", {}), workspace)
        self._people[key] = (self._clock.monotonic(), person)
        return person

    async def name(self, workspace: WorkspaceClient, user_id: str) -> str:
        """What people call somebody."""
        return (await self.person(workspace, user_id)).name

    def known_name(self, team_id: str, user_id: str) -> str | None:
        """What somebody is called who was looked up before; nobody is asked."""
        known = self._people.get((team_id, user_id))
        return None if known is None else known[1].name

    async def group_name(self, workspace: WorkspaceClient, group_id: str) -> str:
        """The handle of a user group."""
        group = (await self.groups(workspace)).get(group_id)
        return group.handle if group else SOME_GROUP

    async def groups(self, workspace: WorkspaceClient) -> Mapping[str, Group]:
        """The user groups of a workspace; none where it has none, or does not tell."""
        async with self._reading.setdefault(workspace.team_id, asyncio.Lock()):
            if (known := self._known_groups(workspace)) is not None:
                return known
            groups: Mapping[str, Group] = self._groups.get(workspace.team_id, (0.0, {}))[1]
            try:
                answer = await workspace.call("usergroups.list", include_users="true")
                groups = {
                    str(entry["id"]): Group(str(entry.get("handle", "")), frozenset(entry.get("users", ())))
                    for entry in answer.get("usergroups", ())
                }
            except (SlackError, SlackUnavailable) as error:
                # Free workspaces have no user groups, and say so with an error.
                log.info("the user groups could not be read", error=str(error))
            self._groups[workspace.team_id] = (self._clock.monotonic(), groups)
            return groups

    def _known_person(self, workspace: WorkspaceClient, user_id: str) -> User | None:
        asked_at, person = self._people.get((workspace.team_id, user_id), _NEVER_ASKED)
        return person if self._clock.monotonic() - asked_at < USER_CACHE_TTL else None

    def _known_groups(self, workspace: WorkspaceClient) -> Mapping[str, Group] | None:
        asked_at, groups = self._groups.get(workspace.team_id, _NEVER_ASKED)
        return groups if self._clock.monotonic() - asked_at < USER_CACHE_TTL else None

    def forget_groups(self, *team_ids: str) -> None:
        """The groups of workspaces have changed."""
        for team_id in team_ids:
            self._groups.pop(team_id, None)


def _person_of(user: Mapping[str, Any], workspace: WorkspaceClient) -> User:
    profile, enterprise = user.get("profile") or {}, user.get("enterprise_user") or {}
    names = (profile.get("display_name"), profile.get("real_name"), user.get("real_name"), user.get("name"))
    teams = {user.get("team_id"), enterprise.get("enterprise_id"), *(enterprise.get("teams") or ())}
    return User(
        name=next((str(name) for name in names if name), SOMEBODY),
        is_admin=_is_admin(user, workspace),
        is_bot=bool(user.get("is_bot")),
        teams=frozenset(team for team in teams if isinstance(team, str)),
    )


def _is_admin(user: Mapping[str, Any], workspace: WorkspaceClient) -> bool:
    """Whether somebody is an admin of this workspace. An organisation's token sees the people of all workspaces: an
    admin of another one is none here, and one of the organisation is one everywhere."""
    of_organisation = user.get("enterprise_user") or {}
    if workspace.organisation is None or user.get("team_id") == workspace.team_id:
        of_workspace = bool(user.get("is_admin") or user.get("is_owner"))
    else:
        of_workspace = False
    return of_workspace or bool(
        workspace.organisation is not None
        and of_organisation.get("enterprise_id") == workspace.organisation
        and (of_organisation.get("is_admin") or of_organisation.get("is_owner"))
    )
