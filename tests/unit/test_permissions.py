"""Who may do what."""

import pytest

from bot.errors import Refused
from bot.model import Actor, Role
from bot.permissions import Permissions

GUEST = Actor("discord", "1", "Guest", role=Role.VIEWER)
HOST = Actor("discord", "2", "Host")


def test_a_role_includes_the_ones_below_it() -> None:
    permissions = Permissions(())
    for role in (Role.VIEWER, Role.SPEAKER, Role.HOST):
        permissions.require(HOST, role)


@pytest.mark.parametrize("role", [Role.SPEAKER, Role.HOST, Role.ADMIN])
def test_more_than_a_role_allows_is_refused_with_a_sentence(role: Role) -> None:
    with pytest.raises(Refused, match=r"Only admins|You may not") as refused:
        Permissions(()).require(GUEST, role)
    assert refused.value.stage == "permission"


def test_the_operators_admins_are_admins_whatever_the_platform_says() -> None:
    permissions = Permissions(("discord:1",))
    permissions.require(GUEST, Role.ADMIN)
    assert permissions.recognise(GUEST).role is Role.ADMIN


def test_an_admin_of_one_platform_is_nobody_on_another() -> None:
    permissions = Permissions(("slack:1",))
    with pytest.raises(Refused):
        permissions.require(GUEST, Role.ADMIN)
