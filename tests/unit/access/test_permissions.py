"""Who may do what, where."""

from datetime import UTC, datetime

import pytest

from bot.access.permissions import EVERYWHERE, AccessLists, Permissions
from bot.core.errors import Refused
from bot.core.models import Actor, Block, Channel, Role

HERE = Channel("discord", "guild", "lounge")
ELSEWHERE = Channel("discord", "other guild", "lounge")
GUEST = Actor("discord", "1", "Guest", role=Role.VIEWER)
HOST = Actor("discord", "2", "Host", groups=frozenset({"77"}))
ADMIN = Actor("discord", "3", "Admin", role=Role.ADMIN)


def role(access: AccessLists, actor: Actor) -> Role:
    return Permissions(access).recognise(actor, HERE).role


def blocked(workspace: str, person: str = "discord:2") -> Permissions:
    permissions = Permissions()
    permissions.set_blocks([Block(person, workspace, "discord:3", datetime(2026, 1, 1, tzinfo=UTC))])
    return permissions


def test_a_role_includes_the_ones_below_it() -> None:
    for needed in (Role.VIEWER, Role.SPEAKER, Role.HOST):
        Permissions().require(HOST, needed, HERE)


@pytest.mark.parametrize("needed", [Role.SPEAKER, Role.HOST, Role.ADMIN])
def test_more_than_a_role_allows_is_refused_with_a_sentence(needed: Role) -> None:
    with pytest.raises(Refused, match=r"Only admins|You may not") as refused:
        Permissions().require(GUEST, needed, HERE)
    assert refused.value.stage == "permission"


def test_an_operator_is_an_admin_whatever_the_platform_says() -> None:
    actor = Permissions(AccessLists(operators=frozenset({"discord:1"}))).recognise(GUEST, HERE)
    assert actor.role is Role.ADMIN
    assert actor.is_operator


def test_an_admin_of_the_platform_is_no_operator() -> None:
    actor = Permissions().recognise(ADMIN, HERE)
    assert actor.role is Role.ADMIN
    assert not actor.is_operator


EXTERNAL = Actor("discord", "9", "Zoe", role=Role.ADMIN, groups=frozenset({"77"}), is_external=True)
"""Somebody of another company, an admin there."""


@pytest.mark.parametrize(
    ("access", "most"),
    [
        (AccessLists(), Role.SPEAKER),
        (AccessLists(hosts=frozenset({"discord:77"})), Role.SPEAKER),
        (AccessLists(admins=frozenset({"discord:77"})), Role.SPEAKER),
        (AccessLists(speakers=frozenset({"discord:2"})), Role.VIEWER),
        (AccessLists(speakers=frozenset({"discord:77"})), Role.VIEWER),
        (AccessLists(speakers=frozenset({"discord:9"})), Role.SPEAKER),
        (AccessLists(hosts=frozenset({"discord:9"})), Role.HOST),
        (AccessLists(admins=frozenset({"discord:9"})), Role.ADMIN),
        (AccessLists(operators=frozenset({"discord:9"})), Role.ADMIN),
    ],
)
def test_somebody_of_another_company_speaks_at_most_unless_the_operator_names_them(
    access: AccessLists, most: Role
) -> None:
    actor = Permissions(access).recognise(EXTERNAL, HERE)
    assert actor.role is most
    assert Permissions(access).recognise(actor, HERE).role is most, "asked twice"


def test_blocked_person_of_another_company_can_do_nothing() -> None:
    assert blocked("discord:guild", "discord:9").recognise(EXTERNAL, HERE).role is Role.BLOCKED


def test_an_operator_of_one_platform_is_nobody_on_another() -> None:
    with pytest.raises(Refused):
        Permissions(AccessLists(operators=frozenset({"slack:1"}))).require(GUEST, Role.ADMIN, HERE)


def test_people_and_their_groups_can_be_named() -> None:
    assert role(AccessLists(admins=frozenset({"discord:77"})), HOST) is Role.ADMIN
    assert role(AccessLists(admins=frozenset({"discord:2"})), HOST) is Role.ADMIN
    assert role(AccessLists(admins=frozenset({"slack:2"})), HOST) is Role.HOST


def test_where_hosts_are_named_nobody_else_is_one() -> None:
    assert role(AccessLists(hosts=frozenset({"discord:77"})), HOST) is Role.HOST
    assert role(AccessLists(hosts=frozenset({"discord:88"})), HOST) is Role.SPEAKER
    assert role(AccessLists(hosts=frozenset({"slack:S1"})), HOST) is Role.HOST


def test_where_speakers_are_named_too_others_only_watch() -> None:
    hosts = frozenset({"discord:88"})
    assert role(AccessLists(hosts=hosts, speakers=frozenset({"discord:77"})), HOST) is Role.SPEAKER
    assert role(AccessLists(hosts=hosts, speakers=frozenset({"discord:99"})), HOST) is Role.VIEWER


def test_lists_never_give_more_than_the_platform_does() -> None:
    assert role(AccessLists(hosts=frozenset({"discord:1"})), GUEST) is Role.VIEWER


def test_admins_of_the_platform_need_not_be_named() -> None:
    assert role(AccessLists(hosts=frozenset({"discord:88"}), speakers=frozenset({"discord:88"})), ADMIN) is Role.ADMIN


def test_a_block_wins_over_everything() -> None:
    permissions = Permissions(AccessLists(operators=frozenset({"discord:3"}), admins=frozenset({"discord:3"})))
    permissions.set_blocks([Block("discord:3", EVERYWHERE, "shell", datetime(2026, 1, 1, tzinfo=UTC))])
    with pytest.raises(Refused, match="You are blocked"):
        permissions.require(ADMIN, Role.VIEWER, HERE)


def test_a_block_of_one_workspace_holds_there_alone() -> None:
    permissions = blocked("discord:guild")
    assert permissions.recognise(HOST, HERE).role is Role.BLOCKED
    assert permissions.recognise(HOST, ELSEWHERE).role is Role.HOST


def test_a_block_everywhere_holds_in_every_workspace() -> None:
    permissions = blocked(EVERYWHERE)
    assert permissions.recognise(HOST, HERE).role is Role.BLOCKED
    assert permissions.recognise(HOST, ELSEWHERE).role is Role.BLOCKED


def test_a_lifted_block_is_forgotten() -> None:
    permissions = blocked(EVERYWHERE)
    permissions.set_blocks([])
    permissions.require(HOST, Role.HOST, HERE)


@pytest.mark.parametrize(
    ("access", "is_allowed"),
    [
        (AccessLists(), True),
        (AccessLists(channels_allowed=frozenset({"discord:lounge"})), True),
        (AccessLists(channels_allowed=frozenset({"discord:stage"})), False),
        (AccessLists(channels_denied=frozenset({"discord:lounge"})), False),
        (
            AccessLists(channels_allowed=frozenset({"discord:lounge"}), channels_denied=frozenset({"discord:lounge"})),
            False,
        ),
        (AccessLists(channels_denied=frozenset({"slack:lounge"})), True),
    ],
)
def test_channels_can_be_allowed_and_denied(access: AccessLists, is_allowed: bool) -> None:
    permissions = Permissions(access)
    if is_allowed:
        permissions.require_channel(HERE)
    else:
        with pytest.raises(Refused, match="not allowed in this channel"):
            permissions.require_channel(HERE)
