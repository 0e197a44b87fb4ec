"""What nobody foresaw on Slack: a delivery costs that delivery, whatever else ends the connections costs a pause."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from bot.core.errors import SettingsError
from bot.platforms import Platforms
from tests.fakes.slack import Garbage, Refused
from tests.platforms.platform_driver import ANA
from tests.platforms.slack import SlackDriver, buttons_of, is_panel, local_address, text_of

TOO_DEEP = Garbage("[" * 200_000)
"""An answer that Python's JSON reader gives up on with an error of its own."""


def platforms_of(slack: SlackDriver) -> Platforms:
    assert slack.bot._application is not None
    return slack.bot._application._platforms


def trouble_of(slack: SlackDriver) -> str:
    return str(platforms_of(slack).unhealthy_reasons["slack"])


async def started(slack: SlackDriver) -> None:
    await slack.command("/avatar start")
    await slack.until_read("live")


@pytest.mark.parametrize("answer", [Garbage('{"ok": true}'), TOO_DEEP], ids=["empty", "deep"])
async def test_a_sign_in_that_nobody_foresaw_is_tried_again(slack: SlackDriver, answer: Garbage) -> None:
    await slack.bot.stop()
    slack.twin.fail_next("auth.test", answer)
    await slack.bot.start()
    await slack.bot.until(lambda: "starts again" in trouble_of(slack))
    await slack.bot.until(lambda: trouble_of(slack) == "None")
    await started(slack)


async def test_connections_that_end_in_an_unforeseen_way_are_made_anew(slack: SlackDriver) -> None:
    await started(slack)
    panel = slack.newest_panel()
    slack.twin.fail_next("apps.connections.open", TOO_DEEP)
    for connection in slack.twin.connections:
        await connection.cut()
    await slack.bot.until(lambda: "starts again" in trouble_of(slack))
    # Slack brings what it could not deliver again, and it is said once.
    await slack.write("meanwhile")
    assert len(slack.bot.bot.sessions) == 1
    await slack.bot.until(lambda: trouble_of(slack) == "None")
    await slack.write("after")
    await slack.bot.until(lambda: slack.bot.spoken == ["meanwhile", "after"])
    assert "Stopping" in await slack.press("Stop")
    await slack.bot.until(lambda: "The avatar has left" in text_of(panel) and not buttons_of(panel))
    assert [message for message in slack.twin.messages(slack.channel) if is_panel(message)] == [panel]


async def test_a_frame_that_is_no_message_costs_nothing(slack: SlackDriver) -> None:
    await started(slack)
    for frame in ("this is no JSON", "[]", "7", "[" * 200_000, '{"type": 7}', '{"envelope_id": "e", "payload": []}'):
        for connection in slack.twin.connections:
            await connection.ws.send_str(frame)
    slack.twin.violations.clear()
    await slack.write("after")
    await slack.bot.until(lambda: slack.bot.spoken == ["after"])
    assert trouble_of(slack) == "None"
    slack.twin.violations.clear()


ODD_EVENTS: list[dict[str, Any]] = [
    {},
    {"type": ["message"]},
    {"type": "message"},
    {"type": "message", "channel": 7, "user": [], "text": {}},
    {"type": "message", "channel": "C1", "subtype": "message_changed", "message": 7},
    {"type": "app_mention"},
    {"type": "app_mention", "user": "U1", "channel": "C1"},
    {"type": "channel_archive"},
    {"type": "app_home_opened", "tab": "home"},
    {"type": "member_left_channel"},
]


async def test_listeners_that_fail_take_nothing_with_them_and_are_logged_whole_once(slack: SlackDriver) -> None:
    await started(slack)
    adapter: Any = slack.bot.adapter
    with capture_logs() as logs:
        for _ in range(3):
            for event in ODD_EVENTS:
                body = {"team_id": slack.twin.team.id, "type": "event_callback", "event_id": "Ev1", "event": event}
                # A delivery that nobody understands is acknowledged: it would fail again and again.
                assert await adapter._answer_envelope({"type": "events_api", "payload": body}) == {}
        failed = [entry for entry in logs if entry["event"] == "something from Slack was not understood"]
    assert failed
    assert sum("exc_info" in entry for entry in failed) == len({entry["reference"] for entry in failed})
    assert len(failed) % 3 == 0
    await slack.write("after")
    await slack.bot.until(lambda: slack.bot.spoken == ["after"])
    assert "The avatar in this channel" in await slack.command("/avatar status", by=ANA)


async def test_who_is_not_served_is_not_told_that_it_was_heard(tmp_path: Any) -> None:
    async with SlackDriver(tmp_path, http=True) as slack:
        await slack.bot.stop()
        slack.twin.fail_next("auth.test", Garbage('{"ok": true}'), times=10**4)
        await slack.bot.start()
        slack.twin.request_url = f"{local_address(slack.bot)}/slack/events"
        await slack.bot.until(lambda: "starts again" in trouble_of(slack))
        await slack.write("meanwhile")
        slack.twin.faults._waiting.clear()
        await slack.bot.until(lambda: trouble_of(slack) == "None")


async def test_a_token_that_is_refused_is_tried_no_more(slack: SlackDriver) -> None:
    await slack.bot.stop()
    slack.twin.fail_next("auth.test", Refused("invalid_auth"), times=10)
    before = len(slack.twin.calls("auth.test"))
    await slack.bot.start()
    with pytest.raises(SettingsError, match="SLACK_BOT_TOKEN is not accepted"):
        await slack.bot.serving
    assert len(slack.twin.calls("auth.test")) == before + 1
    await slack.bot.kill()
