"""The Web API of the local Slack, called by the real slack_sdk."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from tests.contract.fakes.slack.apps import button, section
from tests.fakes.slack import Dropped, FakeSlack, Garbage, Held, RateLimited, Refused, ServerError, Slow


async def test_the_bot_posts_updates_reacts_and_deletes(twin: FakeSlack, client: AsyncWebClient) -> None:
    general = twin.channel("general")
    posted = await client.chat_postMessage(channel=general.id, text="one", blocks=[section("one")])
    ts = posted["ts"]
    await client.chat_update(channel=general.id, ts=ts, text="two", blocks=[section("two")])
    await client.reactions_add(channel=general.id, timestamp=ts, name="eyes")
    with pytest.raises(SlackApiError, match="already_reacted"):
        await client.reactions_add(channel=general.id, timestamp=ts, name="eyes")
    message = twin.message(ts)
    assert (message.text, message.edits, message.reactions) == ("two", 1, {"eyes": [twin.bot.id]})
    assert message.blocks[0]["text"]["text"] == "two"
    await client.reactions_remove(channel=general.id, timestamp=ts, name="eyes")
    with pytest.raises(SlackApiError, match="no_reaction"):
        await client.reactions_remove(channel=general.id, timestamp=ts, name="eyes")
    await client.chat_delete(channel=general.id, ts=ts)
    with pytest.raises(SlackApiError, match="message_not_found"):
        await client.chat_update(channel=general.id, ts=ts, text="three")


async def test_an_ephemeral_message_is_seen_by_one_person(twin: FakeSlack, client: AsyncWebClient) -> None:
    bea = twin.add_user("bea")
    general, ana = twin.channel("general"), twin.user("ana")
    await client.chat_postEphemeral(channel=general.id, user=ana.id, text="only you")
    assert [seen.text for seen in twin.ephemerals(general, ana)] == ["only you"]
    assert twin.ephemerals(general, bea) == []
    assert twin.messages(general) == []
    with pytest.raises(SlackApiError, match="user_not_in_channel"):
        await client.chat_postEphemeral(channel=general.id, user=bea.id, text="not here")


async def test_ratelimited_is_repeated_after_the_time_that_slack_names(twin: FakeSlack, client: AsyncWebClient) -> None:
    general = twin.channel("general").id
    twin.fail_next("chat.postMessage", RateLimited(0), times=2)
    with pytest.raises(SlackApiError) as refused:
        await client.chat_postMessage(channel=general, text="without the handler")
    assert (refused.value.response.status_code, refused.value.response["error"]) == (429, "ratelimited")
    client.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=1))
    await client.chat_postMessage(channel=general, text="with the handler")
    assert [message.text for message in twin.messages(general)] == ["with the handler"]


async def test_a_dropped_connection_posts_twice_with_the_default_handler_of_slack_sdk(
    twin: FakeSlack, client: AsyncWebClient
) -> None:
    general = twin.channel("general").id
    twin.fail_next("chat.postMessage", Dropped(after_effect=True))
    await client.chat_postMessage(channel=general, text="twice")
    assert [message.text for message in twin.messages(general)] == ["twice", "twice"]
    client.retry_handlers.clear()
    twin.fail_next("chat.postMessage", Dropped())
    with pytest.raises(aiohttp.ClientError):
        await client.chat_postMessage(channel=general, text="never")
    assert len(twin.messages(general)) == 2


async def test_a_server_error_may_hide_an_effect(twin: FakeSlack, client: AsyncWebClient) -> None:
    general = twin.channel("general").id
    for after_effect in (False, True):
        twin.fail_next("chat.postMessage", ServerError(after_effect))
        with pytest.raises(SlackApiError):
            await client.chat_postMessage(channel=general, text=f"{after_effect}")
    assert [message.text for message in twin.messages(general)] == ["True"]


async def _post(client: AsyncWebClient, channel: str) -> None:
    await client.chat_postMessage(channel=channel, text="x")


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda twin: twin.remove_bot("secret"), "channel_not_found"),
        (lambda twin: twin.remove_bot("general"), "not_in_channel"),
        (lambda twin: twin.archive("general"), "is_archived"),
        (lambda twin: twin.delete_channel("general"), "channel_not_found"),
        (lambda twin: twin.revoke_tokens(), "token_revoked"),
    ],
)
async def test_what_people_change_decides_what_the_bot_may_do(
    twin: FakeSlack, client: AsyncWebClient, spoil: Callable[[FakeSlack], Awaitable[Any]], error: str
) -> None:
    secret = twin.add_channel("secret", ["ana"], kind="private")
    twin.scopes.discard("chat:write.public")
    twin.team.scopes.discard("chat:write.public")
    await _post(client, secret.id)
    await spoil(twin)
    place = secret if not secret.with_bot else twin.channel("general")
    with pytest.raises(SlackApiError) as refused:
        await _post(client, place.id)
    assert refused.value.response["error"] == error


async def test_tokens_are_checked(twin: FakeSlack, client: AsyncWebClient) -> None:
    general = twin.channel("general")
    for token, error in (
        (None, "not_authed"),
        ("xoxb-guess", "invalid_auth"),
        (twin.app_token, "not_allowed_token_type"),
    ):
        with pytest.raises(SlackApiError) as refused:
            await _post(AsyncWebClient(token=token, base_url=twin.api_url), general.id)
        assert refused.value.response["error"] == error
    twin.restrict(general)
    with pytest.raises(SlackApiError, match="restricted_action"):
        await _post(client, general.id)
    twin.fail_next("chat.postMessage", Refused("fatal_error"))
    with pytest.raises(SlackApiError, match="fatal_error"):
        await _post(client, general.id)
    twin.deactivate()
    with pytest.raises(SlackApiError, match="account_inactive"):
        await _post(client, general.id)


async def test_a_missing_scope_is_named(twin: FakeSlack, client: AsyncWebClient) -> None:
    twin.team.scopes = {"chat:write"}
    with pytest.raises(SlackApiError) as refused:
        await client.users_info(user=twin.user("ana").id)
    answer = refused.value.response
    assert (answer["error"], answer["needed"], answer["provided"]) == ("missing_scope", "users:read", "chat:write")
    twin.forgive("users.info: the token does not hold users:read")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"blocks": [section("")]}, "at least one character"),
        ({"blocks": [section("x" * 3001)]}, "3001 characters"),
        ({"blocks": [{"type": "actions", "elements": [button("Go", "a") | {"style": "red"}]}]}, "'red'"),
        ({"blocks": [{"type": "actions", "elements": [button("Go", "a"), button("Go", "a")]}]}, "'a' twice"),
        ({"blocks": [{"type": "sextion"}]}, "'sextion'"),
        ({"blocks": [section("x")] * 51}, "50 are allowed"),
        ({"json": {"colour": "red"}}, "no argument 'colour'"),
        ({"json": {"unfurl_links": "perhaps"}}, "unfurl_links"),
    ],
)
async def test_a_call_that_slack_would_not_take_is_noted(
    twin: FakeSlack, client: AsyncWebClient, arguments: dict[str, Any], part: str
) -> None:
    call = {"channel": twin.channel("general").id, "text": "x", **arguments.get("json", arguments)}
    with suppress(SlackApiError):
        await client.api_call("chat.postMessage", json=call)
    with pytest.raises(AssertionError, match=part):
        twin.check()
    twin.forgive(part)


async def test_an_unknown_method_is_noted(twin: FakeSlack, client: AsyncWebClient) -> None:
    for method in ("chat.shout", "files.list"):
        with pytest.raises(SlackApiError, match="unknown_method"):
            await client.api_call(method)
        twin.forgive(method)


async def test_a_held_call_waits_and_a_garbled_answer_hides_an_effect(twin: FakeSlack, client: AsyncWebClient) -> None:
    general = twin.channel("general").id
    held = Held()
    twin.fail_next("chat.postMessage", held)
    async with asyncio.TaskGroup() as group:
        posting = group.create_task(_post(client, general))
        await held.arrived.wait()
        assert twin.messages(general) == []
        held.release()
        await posting
    twin.fail_next("chat.postMessage", Garbage())
    with pytest.raises(SlackApiError):
        await _post(client, general)
    assert len(twin.messages(general)) == 2


async def test_a_slow_call_is_answered_once_its_time_has_passed(twin: FakeSlack, client: AsyncWebClient) -> None:
    general = twin.channel("general").id
    twin.fail_next("chat.postMessage", Slow(600))
    async with asyncio.TaskGroup() as group:
        group.create_task(_post(client, general))
        await twin.until(lambda: twin.calls("chat.postMessage"))
        assert twin.messages(general) == []
        twin.pass_time(600)
    assert len(twin.messages(general)) == 1


async def test_a_user_group_and_its_members_can_be_asked_for(twin: FakeSlack, client: AsyncWebClient) -> None:
    group, ana = twin.add_usergroup("directors", ["ana"]), twin.user("ana")
    listed = await client.usergroups_list(include_users=True)
    assert [(shown["handle"], shown["users"]) for shown in listed["usergroups"]] == [("directors", [ana.id])]
    await twin.change_usergroup(group, [])
    assert (await client.usergroups_users_list(usergroup=group.id))["users"] == []
    assert (await client.users_info(user=ana.id, include_locale=True))["user"]["locale"] == "en-US"
    assert (await client.conversations_members(channel=twin.channel("general").id))["members"] == [ana.id, twin.bot.id]
