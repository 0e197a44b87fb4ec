"""Work Objects of the local Slack, with the real slack_sdk and slack-bolt."""

import asyncio
from typing import Any

import pytest
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.models.metadata import EntityMetadata, EventAndEntityMetadata
from slack_sdk.web.async_client import AsyncWebClient

from tests.contract.fakes.slack.apps import Connect
from tests.fakes.slack import FakeSlack

EMBED = "application/vnd.slack-embed"


def entity(**preview: Any) -> dict[str, Any]:
    attributes: dict[str, Any] = {"title": {"text": "Robin: live"}}
    if preview:
        attributes["full_size_preview"] = {"is_supported": True, "mime_type": EMBED, **preview}
    return {
        "url": "https://avatar.example.com/1",
        "external_ref": {"id": "1", "type": "avatar"},
        "entity_type": "slack#/entities/item",
        "entity_payload": {"attributes": attributes},
    }


async def post(client: AsyncWebClient, twin: FakeSlack, **more: Any) -> Any:
    metadata = EventAndEntityMetadata(entities=[EntityMetadata(**(entity(is_supported=True) | more))])
    return await client.chat_postMessage(channel=twin.channel("general").id, text="Robin", metadata=metadata)


async def test_click_on_a_card_is_answered_with_a_page(
    twin: FakeSlack, client: AsyncWebClient, app: AsyncApp, connect: Connect
) -> None:
    seen: list[dict[str, Any]] = []

    @app.event("entity_details_requested")
    async def on_click(event: dict[str, Any]) -> None:
        seen.append(event)
        page = entity(preview_url="https://avatar.example.com/page")
        await client.entity_presentDetails(trigger_id=event["trigger_id"], metadata=EntityMetadata(**page))

    await connect(app)
    answer = await post(client, twin)
    assert "warning" not in answer.data
    details = await twin.open_card(twin.message(answer["ts"]), "ana")
    await twin.until(lambda: details.is_presented)
    assert details.preview_url == "https://avatar.example.com/page"
    assert seen[0]["external_ref"] == {"id": "1", "type": "avatar"}
    assert (seen[0]["channel"], seen[0]["message_ts"]) == (twin.channel("general").id, answer["ts"])


async def presented(twin: FakeSlack, client: AsyncWebClient, **arguments: Any) -> str:
    """What `entity.presentDetails` is refused with, for a fresh click."""
    twin.subscriptions.discard("entity_details_requested")
    details = await twin.open_card(twin.message((await post(client, twin))["ts"]), "ana")
    with pytest.raises(SlackApiError) as refused:
        await client.api_call("entity.presentDetails", json={"trigger_id": details.trigger_id} | arguments)
    return str(refused.value.response["error"])


async def test_answer_must_be_about_what_was_clicked(twin: FakeSlack, client: AsyncWebClient) -> None:
    other = entity() | {"external_ref": {"id": "2", "type": "avatar"}}
    assert await presented(twin, client, metadata=other) == "entity_metadata_does_not_match_trigger"
    twin.forgive("is not what was clicked")


@pytest.mark.parametrize(
    ("arguments", "error", "violation"),
    [
        ({}, "invalid_arguments", "either metadata or error"),
        ({"metadata": {"url": "https://a.example.com"}}, "invalid_metadata", "is a required property"),
        ({"error": {"status": "no idea"}}, "invalid_arguments", "error.status"),
        ({"error": {"status": "custom"}}, "invalid_arguments", "custom_title"),
        ({"error": {"status": "restricted", "custom_message": "No."}}, "invalid_arguments", "only with a custom"),
    ],
    ids=str,
)
async def test_answer_that_is_no_answer_is_refused(
    twin: FakeSlack, client: AsyncWebClient, arguments: dict[str, Any], error: str, violation: str
) -> None:
    assert await presented(twin, client, **arguments) == error
    while twin.violations:
        twin.forgive(violation if any(violation in line for line in twin.violations) else "entity.presentDetails")


async def test_answer_in_time_only(twin: FakeSlack, client: AsyncWebClient) -> None:
    details = await twin.open_card(twin.message((await post(client, twin))["ts"]), "ana")
    twin.pass_time(4)
    for trigger in (details.trigger_id, "1.2.none"):
        with pytest.raises(SlackApiError, match="invalid_trigger_id"):
            await client.entity_presentDetails(trigger_id=trigger, metadata=entity())


async def test_metadata_that_slack_does_not_take_is_dropped_with_a_warning(
    twin: FakeSlack, client: AsyncWebClient
) -> None:
    answer = await post(client, twin, entity_payload={"attributes": {}})
    assert answer["ok"] is True
    assert answer["warning"] == "invalid_metadata_schema"
    assert "title" in answer["response_metadata"]["messages"][0]
    assert twin.message(answer["ts"]).metadata is None
    twin.forgive("title")
    twin.takes_entities = False
    answer = await post(client, twin)
    assert answer["warning"] == "invalid_metadata_schema"
    with pytest.raises(LookupError):
        await twin.open_card(twin.message(answer["ts"]), "ana")


async def test_card_is_taken_away_by_an_empty_object(twin: FakeSlack, client: AsyncWebClient) -> None:
    ts = (await post(client, twin))["ts"]
    place = {"channel": twin.channel("general").id, "ts": ts}
    await client.api_call("chat.update", json=place | {"text": "still there"})
    assert twin.message(ts).metadata
    await client.api_call("chat.update", json=place | {"text": "plain", "metadata": {}})
    assert not twin.message(ts).metadata


async def test_page_of_a_host_that_is_not_allowed_is_silently_not_framed(
    twin: FakeSlack, client: AsyncWebClient
) -> None:
    twin.embed_domains = ["else.example.com"]
    details = await twin.open_card(twin.message((await post(client, twin))["ts"]), "ana")
    page = entity(preview_url="https://avatar.example.com/page")
    answer = await client.entity_presentDetails(trigger_id=details.trigger_id, metadata=page)
    await asyncio.sleep(0)
    assert answer["ok"] is True
    assert (details.is_presented, details.preview_url) == (True, None)
