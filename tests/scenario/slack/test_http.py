"""HTTP mode: the same job over signed requests, and nothing that is not Slack's gets in."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.fakes.slack import Held
from tests.platforms.platform_driver import ANA
from tests.platforms.slack import SlackDriver


@pytest.fixture
async def slack(tmp_path: Path) -> AsyncIterator[SlackDriver]:
    async with SlackDriver(tmp_path, http=True) as driver:
        yield driver


async def test_the_main_job_works_over_http(slack: SlackDriver) -> None:
    assert "Starting" in await slack.command("/avatar start")
    await slack.until_read("live")
    await slack.write("good morning")
    await slack.bot.until(lambda: slack.bot.spoken == ["good morning"])
    assert "Stopping" in await slack.press("Stop")
    await slack.until_read("The avatar has left")


async def test_slack_can_check_the_address(slack: SlackDriver) -> None:
    answer = await slack.twin.verify_url()
    assert answer.status == 200


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ("send_forged", {}),
        ("send_old", {}),
        ("send_unsigned", {}),
        ("send_malformed", {"what": "timestamp"}),
        ("send_malformed", {"what": "signature"}),
        ("send_malformed", {"what": "half a body"}),
        ("send_malformed", {"what": "bytes"}),
    ],
)
async def test_what_is_not_from_slack_is_refused_and_touches_nothing(
    slack: SlackDriver, how: str, what: dict[str, str]
) -> None:
    await slack.command("/avatar start")
    await slack.until_read("live")
    calls = len(slack.twin.requests)
    event = {
        "type": "app_mention",
        "user": slack.people[ANA].id,
        "text": f"<@{slack.twin.bot.id}> say something bad",
        "ts": "1.000001",
        "channel": slack.channel.id,
    }
    answer = await getattr(slack.twin, how)(event=event, **what)
    assert answer.status == 401
    await slack.write("say something good")
    await slack.bot.until(lambda: slack.bot.spoken == ["something good"])
    assert all(request.method != "users.info" for request in slack.twin.requests[calls:])


CLOCKS_DIFFER = "a request from Slack is refused because of its time"
NOT_SIGNED = "a request to Slack's address is not signed"


async def test_request_that_is_too_old_says_by_how_much_the_clocks_differ_and_once(slack: SlackDriver) -> None:
    with capture_logs() as log:
        for _ in range(5):
            assert (await slack.twin.send_old()).status == 401
    (line,) = [entry for entry in log if entry["event"].startswith(CLOCKS_DIFFER)]
    assert line["log_level"] == "warning"
    assert 595 <= line["clock_is_ahead_by_seconds"] <= 640
    assert not [entry for entry in log if entry["event"].startswith(NOT_SIGNED)]


async def test_forgeries_fill_no_log_and_say_nothing_of_the_clock(slack: SlackDriver) -> None:
    with capture_logs() as log:
        for _ in range(3):
            for how in (slack.twin.send_forged, slack.twin.send_unsigned, slack.twin.send_malformed):
                assert (await how()).status == 401
    lines = [entry["event"] for entry in log if "Slack" in entry["event"]]
    assert len(lines) == 1
    assert lines[0].startswith(NOT_SIGNED)


async def test_an_event_that_slack_repeats_is_taken_once(slack: SlackDriver) -> None:
    await slack.command("/avatar start")
    await slack.until_read("live")
    message = await slack.twin.write(slack.channel, slack.people[ANA], "@Avatar good morning")
    for delivery in message.deliveries:
        await delivery.acknowledged()
        await (await slack.twin.redeliver(delivery)).acknowledged()
    await slack.write("good night")
    await slack.bot.until(lambda: len(slack.bot.spoken) == 2)
    assert slack.bot.spoken == ["good morning", "good night"]


async def test_a_command_is_acknowledged_whatever_else_is_slow(slack: SlackDriver) -> None:
    held = Held()
    slack.twin.fail_next("users.info", held)
    command = await slack.twin.slash(slack.channel, slack.people[ANA], "/avatar", "start")
    await command.acknowledged()
    held.release()
    await slack.bot.until(lambda: command.replies)
