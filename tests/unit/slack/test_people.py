"""Who somebody is: of our company or of another one, and an admin of which workspace."""

from collections.abc import Collection
from typing import Any

import aiohttp
import pytest

from adapters.chat.slack.client import SlackError, WorkspaceClient
from adapters.chat.slack.users import UserCache
from bot.core.models import Role
from tests.harness.clock import ManualClock


class Told(WorkspaceClient):
    """A workspace whose calls are answered with one user, or refused."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        user: dict[str, Any] | None,
        organisation: str | None = None,
        colleagues: Collection[str] = (),
    ) -> None:
        super().__init__(
            "T1",
            "xoxb-1",
            bot_user="UBOT",
            bot_id="B1",
            api_url="http://127.0.0.1:9/api",
            session=session,
            organisation=organisation,
            colleagues=colleagues,
        )
        self._user = user

    async def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        if method == "users.info" and self._user is not None:
            return {"user": self._user}
        raise SlackError(method, "user_not_found")


def member(team: str, enterprise: str | None = None, *teams: str, **more: Any) -> dict[str, Any]:
    owner = {"enterprise_user": {"enterprise_id": enterprise, "teams": list(teams)}} if enterprise else {}
    return {"id": "U1", "team_id": team, "name": "zoe", **owner, **more}


@pytest.mark.parametrize(
    ("user", "told", "organisation", "colleagues", "is_external"),
    [
        (member("T1"), None, None, (), False),
        (member("T9"), None, None, (), True),
        (member("T9"), "T1", None, (), True),
        (member("T1"), "T9", None, (), False),
        (member("T9", "E9", "T9"), None, None, ("E1",), True),
        (member("T5", "E1", "T5"), None, None, ("E1",), False),
        (member("T5", "E1", "T5", "T1"), None, None, (), False),
        (member("T5", "E1", "T5"), None, "E1", {"T1"}, False),
        (member("T5"), None, "E1", {"T1", "T5"}, False),
        (member("T9", is_stranger=True), None, "E1", {"T1", "T5"}, True),
        (None, None, None, (), False),
        (None, "T1", None, (), False),
        (None, "T9", None, (), True),
        (None, "E9", None, ("E1",), True),
        (None, "E1", None, ("E1",), False),
        (None, "T5", "E1", {"T1", "T5"}, False),
        ({"id": "U1", "team_id": 7, "enterprise_user": {"teams": [None]}}, "T9", None, (), True),
    ],
)
async def test_another_company_is_told_by_slack_or_else_by_the_payload(
    user: dict[str, Any] | None,
    told: str | None,
    organisation: str | None,
    colleagues: Collection[str],
    is_external: bool,
) -> None:
    async with aiohttp.ClientSession() as session:
        workspace = Told(session, user, organisation, colleagues)
        assert (await UserCache(ManualClock()).actor(workspace, "U1", told)).is_external is is_external


@pytest.mark.parametrize(
    ("user", "organisation", "role"),
    [
        (member("T1", is_admin=True), None, Role.ADMIN),
        (member("T1", is_owner=True), None, Role.ADMIN),
        (member("T1"), None, Role.HOST),
        (member("T1", "E1", "T1", is_admin=True), "E1", Role.ADMIN),
        (member("T5", "E1", "T5", "T1", is_admin=True), "E1", Role.HOST),
        (member("T5", enterprise_user={"enterprise_id": "E1", "is_admin": True}), "E1", Role.ADMIN),
        (member("T5", enterprise_user={"enterprise_id": "E1", "is_owner": True}), "E1", Role.ADMIN),
        (member("T9", enterprise_user={"enterprise_id": "E9", "is_owner": True}), "E1", Role.HOST),
    ],
)
async def test_admin_of_a_workspace_is_none_in_another_one(
    user: dict[str, Any], organisation: str | None, role: Role
) -> None:
    async with aiohttp.ClientSession() as session:
        workspace = Told(session, user, organisation, {"T1", "T5"})
        assert (await UserCache(ManualClock()).actor(workspace, "U1")).role is role
