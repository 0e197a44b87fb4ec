"""Slack Connect and Enterprise Grid in the local Slack, as slack_sdk and slack_bolt understand them."""

from typing import Any

import pytest
from slack_bolt.request.internals import (
    extract_actor_enterprise_id,
    extract_actor_team_id,
    extract_enterprise_id,
    extract_is_enterprise_install,
    extract_team_id,
)
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.fakes.slack import Enterprise, FakeSlack, Team


async def granted(twin: FakeSlack, enterprise: Enterprise, user: str) -> dict[str, Any]:
    code = twin.authorize(enterprise, user)
    asked = {"client_id": twin.client_id, "client_secret": twin.client_secret, "code": code}
    return dict((await AsyncWebClient(base_url=twin.api_url).oauth_v2_access(**asked)).data)  # type: ignore[arg-type]


def grid(twin: FakeSlack) -> tuple[Enterprise, Team, Team]:
    acme = twin.add_enterprise("Acme")
    north, south = (twin.add_team(name, enterprise=acme) for name in ("North", "South"))
    for team, name in ((north, "nora"), (south, "sven")):
        twin.add_user(name, team=team)
    return acme, north, south


@pytest.mark.filterwarnings("ignore:BasicAuth is deprecated")  # slack_sdk 3.47 with aiohttp 3.14
async def test_organisation_gets_one_token_for_its_workspaces(twin: FakeSlack) -> None:
    acme, north, south = grid(twin)
    answer = await granted(twin, acme, "nora")
    assert (answer["team"], answer["is_enterprise_install"]) == (None, True)
    assert answer["enterprise"] == {"id": acme.id, "name": "Acme"}
    client = AsyncWebClient(token=answer["access_token"], base_url=twin.api_url)
    who = await client.auth_test()
    assert (who["is_enterprise_install"], who["enterprise_id"]) == (True, acme.id)
    first = await client.auth_teams_list(limit=1)
    second = await client.auth_teams_list(limit=1, cursor=first["response_metadata"]["next_cursor"])
    assert [page["teams"][0]["id"] for page in (first, second)] == [north.id, south.id]
    for team in (north, south):
        assert (await client.usergroups_list(team_id=team.id))["ok"]
        channel = twin.add_channel(f"in-{team.name}", team=team)
        await client.chat_postMessage(channel=channel.id, text="here")
        assert twin.messages(channel)[-1].user == team.bot.id
    with pytest.raises(SlackApiError, match="missing_argument"):
        await client.usergroups_list()
    twin.forgive("needs team_id")


async def test_payloads_of_an_organisation_are_what_bolt_reads(twin: FakeSlack) -> None:
    acme, north, _ = grid(twin)
    twin.install(acme)
    nora = twin.user("nora", north)
    channel = twin.add_channel("in-north", [nora], team=north)
    (event,) = [delivery.payload for delivery in (await twin.write(channel, nora, "hello")).deliveries]
    assert (event["team_id"], event["enterprise_id"]) == (north.id, acme.id)
    command = (await twin.slash(channel, nora, "/avatar")).payload
    shortcut = (await twin.global_shortcut("start_avatar", nora)).payload
    for payload in (event, command, shortcut):
        assert extract_is_enterprise_install(payload)
        assert extract_enterprise_id(payload) == acme.id
    assert (extract_team_id(event), extract_team_id(command), extract_team_id(shortcut)) == (None, north.id, north.id)


@pytest.mark.parametrize("in_grid", [False, True])
async def test_payloads_of_a_shared_channel_are_what_bolt_reads(twin: FakeSlack, in_grid: bool) -> None:
    partner = twin.add_team("Partner", enterprise=twin.add_enterprise("Group") if in_grid else None, granted=False)
    zoe = twin.add_user("zoe", is_admin=True, team=partner)
    channel = twin.channel("general")
    twin.share(channel, partner)
    channel.members.append(zoe.id)
    message = await twin.write(channel, zoe, "@Avatar hello")
    payloads = {delivery.event["type"]: delivery.payload for delivery in message.deliveries}
    assert payloads["message"]["team_id"] == partner.id
    for payload in payloads.values():
        assert payload["is_ext_shared_channel"]
        assert extract_team_id(payload) == twin.team.id, "what authorises it has the last word"
    assert extract_actor_team_id(payloads["message"]) == partner.id
    if in_grid:
        assert extract_actor_team_id(payloads["app_mention"]) is None
        assert extract_actor_enterprise_id(payloads["app_mention"]) == partner.side
    else:
        assert extract_actor_team_id(payloads["app_mention"]) == partner.id
    shown = (await AsyncWebClient(token=twin.bot_token, base_url=twin.api_url).users_info(user=zoe.id))["user"]
    assert shown["team_id"] == partner.id
    assert "is_admin" not in shown


async def test_end_of_an_organisations_installation_names_no_workspace(twin: FakeSlack) -> None:
    acme, north, south = grid(twin)
    twin.install(acme)
    (withdrawn,) = await twin.withdraw(south)
    assert withdrawn.event == {"type": "team_access_revoked", "team_ids": [south.id]}
    assert not south.installed
    revoked, uninstalled = await twin.uninstall(acme)
    assert [delivery.event["type"] for delivery in (revoked, uninstalled)] == ["tokens_revoked", "app_uninstalled"]
    assert (uninstalled.payload["team_id"], uninstalled.payload["enterprise_id"]) == (None, acme.id)
    assert not north.installed
