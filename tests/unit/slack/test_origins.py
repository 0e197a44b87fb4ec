"""Whose something is that Slack sends: the ids of its payloads, as bolt-python's tests of `request/internals.py` and
docs.slack.dev show them, in shared channels and in organisations."""

from typing import Any

import pytest

from adapters.chat.slack.origins import UNKNOWN_TEAM, Claim, author_team, claim_of

OURS, OUR_ORG, THEIRS, THEIR_ORG = "T0OURS", "E0OURS", "T0THEIRS", "E0THEIRS"


def authorised(team: str | None, enterprise: str | None = None) -> dict[str, Any]:
    is_org = team is None
    return {"team_id": team, "enterprise_id": enterprise, "is_bot": True, "is_enterprise_install": is_org}


def event(outer: str | None, *authorizations: dict[str, Any], **more: Any) -> dict[str, Any]:
    inner = {"type": "message", "user": "U1", "channel": "C1", **more.pop("inner", {})}
    return {"team_id": outer, "authorizations": list(authorizations), "event": inner, **more}


@pytest.mark.parametrize(
    ("body", "claim"),
    [
        (event(OURS, authorised(OURS)), Claim((OURS, ""), None)),
        (event(THEIRS, authorised(OURS), is_ext_shared_channel=True), Claim((OURS, ""), None)),
        (event(THEIRS, authorised(OURS), authorised("T0MORE")), Claim((OURS, "T0MORE", "", ""), None)),
        (event(OURS, authorised(None, OUR_ORG)), Claim((OURS, "", OUR_ORG), OUR_ORG)),
        (event(OURS, authorised(OURS, OUR_ORG)), Claim((OURS, OUR_ORG), None)),
        (
            event(THEIRS, authorised(None, OUR_ORG), context_team_id=OURS, is_ext_shared_channel=True),
            Claim((THEIRS, OURS, OUR_ORG), OUR_ORG),
        ),
        (event(OURS), Claim((OURS, ""), None)),
        (event(None, enterprise_id=OUR_ORG), Claim(("", OUR_ORG), OUR_ORG)),
        ({"event": {}, "team_id": OURS, "authorizations": ["nonsense", None]}, Claim((OURS, ""), None)),
        (
            {"event": {}, "team_id": OURS, "authorizations": [{"team_id": 7, "enterprise_id": []}]},
            Claim(("", ""), None),
        ),
    ],
)
def test_installation_of_an_event_is_the_one_that_is_authorised(body: dict[str, Any], claim: Claim) -> None:
    assert claim_of(body) == claim


@pytest.mark.parametrize(
    ("body", "first", "organisation"),
    [
        ({"team_id": OURS, "user_id": "U1", "is_enterprise_install": "false"}, OURS, None),
        ({"team_id": OURS, "enterprise_id": OUR_ORG, "is_enterprise_install": "true"}, OURS, OUR_ORG),
        ({"team_id": OURS, "enterprise_id": OUR_ORG, "is_enterprise_install": "false"}, OURS, None),
        ({"team": {"id": OURS}, "user": {"id": "U1", "team_id": THEIRS}, "enterprise": None}, OURS, None),
        ({"team": {"id": THEIRS}, "user": {"team_id": THEIRS}, "view": {"app_installed_team_id": OURS}}, OURS, None),
        (
            {"team": None, "user": {"team_id": OURS}, "enterprise": {"id": OUR_ORG}, "is_enterprise_install": True},
            OURS,
            OUR_ORG,
        ),
        ({"team": {"id": OURS, "enterprise_id": OUR_ORG}, "is_enterprise_install": True}, OURS, OUR_ORG),
        ({"team": "nonsense", "user": [], "view": 7, "enterprise": "E"}, "", None),
    ],
)
def test_installation_of_an_interaction(body: dict[str, Any], first: str, organisation: str | None) -> None:
    claim = claim_of(body)
    assert next(iter(team for team in claim.teams if team), "") == first
    assert claim.organisation == organisation


@pytest.mark.parametrize(
    ("body", "team"),
    [
        (event(OURS, inner={"team": OURS}), None),
        (event(THEIRS, inner={"team": THEIRS}, is_ext_shared_channel=True), THEIRS),
        # Of a mention `team` is the host of the channel, and the author is `user_team`.
        (event(OURS, inner={"team": OURS, "user_team": THEIR_ORG}, is_ext_shared_channel=True), THEIR_ORG),
        (event(THEIRS, inner={"team": THEIRS, "user_team": OURS}, is_ext_shared_channel=True), OURS),
        (event(THEIRS, inner={"message": {"team": THEIRS}}, is_ext_shared_channel=True), THEIRS),
        (event(OURS, inner={}, is_ext_shared_channel=True), UNKNOWN_TEAM),
        ({"team": {"id": OURS}, "user": {"team_id": THEIRS}}, THEIRS),
        ({"team_id": THEIRS, "user_id": "U1"}, THEIRS),
        ({}, None),
    ],
)
def test_author_is_whose_the_payload_says(body: dict[str, Any], team: str | None) -> None:
    assert author_team(body) == team
