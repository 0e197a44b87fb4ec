"""Commands, response URLs, views and clicks of the local Slack, answered by small apps on the real slack-bolt."""

from typing import Any

import aiohttp
import pytest
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.contract.fakes.slack.apps import Connect, button, section
from tests.fakes.slack import FakeSlack


async def test_a_command_is_acknowledged_and_answered_in_private(
    twin: FakeSlack, app: AsyncApp, connect: Connect
) -> None:
    @app.command("/avatar")
    async def avatar(ack: Any, command: Any) -> None:
        await ack(text=f"heard {command['text']}")

    await connect(app)
    command = await twin.slash("general", "ana", "/avatar", "say @ana <b> in #general")
    assert await command.acknowledged() is not None
    ana, general = twin.user("ana"), twin.channel("general")
    heard = f"heard say <@{ana.id}|ana> &lt;b&gt; in <#{general.id}|general>"
    assert [seen.text for seen in twin.ephemerals("general", "ana")] == [heard]
    assert twin.messages("general") == []


async def test_a_command_that_asks_for_no_escapes_comes_as_it_was_typed(
    twin: FakeSlack, app: AsyncApp, connect: Connect
) -> None:
    @app.command("/avatar")
    async def avatar(ack: Any, command: Any) -> None:
        await ack(command["text"])

    twin.commands = {"/avatar": False}
    await connect(app)
    await (await twin.slash("general", "ana", "/avatar", "say @ana <b>")).acknowledged()
    assert twin.ephemerals("general", "ana")[0].text == "say @ana <b>"
    with pytest.raises(ValueError, match="not installed"):
        await twin.slash("general", "ana", "/other")


async def test_a_response_url_takes_five_messages(twin: FakeSlack, app: AsyncApp, connect: Connect) -> None:
    statuses: list[int] = []

    @app.command("/avatar")
    async def avatar(ack: Any, respond: Any) -> None:
        await ack()
        await respond("first")
        await respond("second", replace_original=True)
        await respond("loud", response_type="in_channel")
        statuses.extend([(await respond(f"more {number}")).status_code for number in range(3)])

    await connect(app)
    command = await twin.slash("general", "ana", "/avatar", "start")
    await twin.until(lambda: len(statuses) == 3)
    assert statuses == [200, 200, 404]
    assert [seen.text for seen in twin.ephemerals("general", "ana")] == ["second", "more 0", "more 1"]
    assert [message.text for message in twin.messages("general")] == ["loud"]
    assert len(command.replies) == 4


async def test_a_response_url_dies_after_half_an_hour(twin: FakeSlack, app: AsyncApp, connect: Connect) -> None:
    @app.command("/avatar")
    async def avatar(ack: Any) -> None:
        await ack()

    await connect(app)
    command = await twin.slash("general", "ana", "/avatar")
    await command.acknowledged()
    twin.pass_time(1801)
    async with aiohttp.ClientSession() as session, session.post(command.response_url, json={"text": "late"}) as late:
        assert (late.status, (await late.json())["error"]) == (404, "expired_url")


MODAL: dict[str, Any] = {
    "type": "modal",
    "callback_id": "start",
    "title": {"type": "plain_text", "text": "Start"},
    "submit": {"type": "plain_text", "text": "Start"},
    "blocks": [
        {
            "type": "input",
            "block_id": "words",
            "label": {"type": "plain_text", "text": "Words"},
            "element": {"type": "plain_text_input", "action_id": "words"},
        }
    ],
}


async def test_a_trigger_id_opens_one_view_within_three_seconds(
    twin: FakeSlack, app: AsyncApp, client: AsyncWebClient, connect: Connect
) -> None:
    @app.command("/avatar")
    async def avatar(ack: Any) -> None:
        await ack()

    await connect(app)
    late = await twin.slash("general", "ana", "/avatar")
    twin.pass_time(3.1)
    with pytest.raises(SlackApiError, match="expired_trigger_id"):
        await client.views_open(trigger_id=late.trigger_id, view=MODAL)
    early = await twin.slash("general", "ana", "/avatar")
    await client.views_open(trigger_id=early.trigger_id, view=MODAL)
    with pytest.raises(SlackApiError, match="exchanged_trigger_id"):
        await client.views_open(trigger_id=early.trigger_id, view=MODAL)
    assert [view.callback_id for view in twin.views] == ["start"]


async def test_a_modal_shows_errors_and_closes_when_it_is_right(
    twin: FakeSlack, app: AsyncApp, connect: Connect
) -> None:
    @app.shortcut("open")
    async def show(ack: Any, client: Any, shortcut: Any) -> None:
        await ack()
        await client.views_open(trigger_id=shortcut["trigger_id"], view=MODAL)

    @app.view("start")
    async def submitted(ack: Any, view: Any) -> None:
        words = view["state"]["values"]["words"]["words"]["value"]
        await (ack() if words == "hello" else ack(response_action="errors", errors={"words": "Say hello."}))

    await connect(app)
    await twin.global_shortcut("open", "ana")
    (view,) = await twin.until(lambda: twin.views)
    wrong = await twin.submit_view(view, {"words": "goodbye"})
    assert await wrong.acknowledged() == {"response_action": "errors", "errors": {"words": "Say hello."}}
    assert view.open
    await (await twin.submit_view(view, {"words": "hello"})).acknowledged()
    assert not view.open


async def test_a_click_on_a_button_and_a_message_shortcut_reach_the_app(
    twin: FakeSlack, app: AsyncApp, client: AsyncWebClient, connect: Connect
) -> None:
    @app.action("stop")
    async def stop(ack: Any, respond: Any) -> None:
        await ack()
        await respond("stopped", replace_original=True)

    @app.shortcut("say")
    async def say(ack: Any, respond: Any, shortcut: Any) -> None:
        await ack()
        await respond(shortcut["message"]["text"])

    await connect(app)
    blocks = [{"type": "actions", "elements": [button("Stop", "stop")]}]
    posted = await client.chat_postMessage(channel=twin.channel("general").id, text="panel", blocks=blocks)
    panel = twin.message(posted["ts"])
    await (await twin.click(panel, "stop", "ana")).acknowledged()
    await twin.until(lambda: panel.text == "stopped")
    with pytest.raises(LookupError):
        await twin.click(panel, "stop", "ana")
    message = await twin.write("general", "ana", "a <word>")
    await (await twin.shortcut(message, "say", "ana")).acknowledged()
    (seen,) = await twin.until(lambda: twin.ephemerals("general", "ana"))
    assert seen.text == "a &lt;word&gt;"


async def test_app_home_shows_what_was_published(twin: FakeSlack, app: AsyncApp, connect: Connect) -> None:
    @app.event("app_home_opened")
    async def opened(client: Any, event: Any) -> None:
        home = {"type": "home", "blocks": [section("Sessions")]}
        await client.views_publish(user_id=event["user"], view=home)

    await connect(app)
    await twin.open_home("ana")
    home = await twin.until(lambda: twin.home("ana"))
    assert home is not None
    assert home.blocks[0]["text"]["text"] == "Sessions"
