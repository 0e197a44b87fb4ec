"""Slack's bad days: limits, lost replies, silent and cut sockets, tokens that stop working, channels that go away."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from adapters.chat.slack.strings import DIRECT_MESSAGE
from bot import sentences
from bot.core.errors import SettingsError
from tests.fakes.slack import Channel, Dropped, Garbage, Held, RateLimited, Refused, ServerError
from tests.fakes.slack.faults import Fault
from tests.platforms.platform_driver import ANA, BEN
from tests.platforms.slack import SlackDriver, buttons_of, is_panel, text_of


def posts_in(slack: SlackDriver, place: Channel) -> int:
    """How often the app has tried to write in a channel."""
    return sum(
        request.method == "chat.postMessage" and request.args.get("channel") == place.id
        for request in slack.twin.requests
    )


async def started(slack: SlackDriver) -> None:
    await slack.command("/avatar start")
    await slack.until_read("live")


@pytest.fixture
async def four_sockets(tmp_path: Path) -> AsyncIterator[SlackDriver]:
    async with SlackDriver(tmp_path, environment={"SLACK_SOCKETS": "4"}) as driver:
        yield driver


async def test_a_command_is_acknowledged_although_slack_itself_is_slow(slack: SlackDriver) -> None:
    held = Held()
    slack.twin.fail_next("users.info", held)
    command = await slack.twin.slash(slack.channel, slack.people[ANA], "/avatar", "start")
    await command.acknowledged()
    assert command.replies == []
    held.release()
    await slack.bot.until(lambda: command.replies)


async def test_limits_of_slack_are_waited_out_and_nothing_is_lost(slack: SlackDriver) -> None:
    slack.twin.fail_next("chat.postMessage", RateLimited(1))
    slack.twin.fail_next("response_url", RateLimited(1))
    assert "Starting" in await slack.command("/avatar start")
    await slack.until_read("Stop")
    refused = next(request for request in slack.twin.calls("chat.postMessage"))
    posted = slack.twin.calls("chat.postMessage")[1]
    assert posted.time - refused.time >= 1


@pytest.mark.parametrize("trouble", [Dropped(after_effect=True), ServerError(after_effect=True)])
async def test_a_lost_reply_never_posts_a_panel_twice_and_the_panel_lives_on(
    slack: SlackDriver, trouble: Dropped | ServerError
) -> None:
    slack.twin.fail_next("chat.postMessage", trouble)
    await slack.command("/avatar start")
    await slack.until_read("live")
    await slack.command("/avatar stop")
    await slack.until_read("The avatar has left")
    panels = [message for message in slack.twin.messages(slack.channel) if is_panel(message)]
    assert len(panels) == 1
    await slack.bot.until(lambda: not buttons_of(panels[0]))


async def test_an_answer_whose_receipt_is_lost_is_given_once(slack: SlackDriver) -> None:
    slack.twin.fail_next("response_url", Dropped(after_effect=True))
    await slack.command("/avatar start")
    await slack.until_read("live")
    await slack.command("/avatar status")
    answers = [text_of(seen) for seen in slack.twin.ephemerals(slack.channel, slack.people[ANA])]
    assert sum("Starting the avatar" in answer for answer in answers) == 1


async def test_a_command_that_is_not_taken_because_so_much_waits_is_told(
    slack: SlackDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack.bot.adapter._incoming, "_max_queued", 0)
    await slack.command("/avatar start")
    answers = [text_of(seen) for seen in slack.twin.ephemerals(slack.channel, slack.people[ANA])]
    assert answers == [sentences.too_much_waits()]


async def test_panel_drawings_are_collapsed(slack: SlackDriver) -> None:
    await started(slack)
    before, at = len(slack.twin.calls("chat.update")), slack.bot.clock.monotonic()
    for number in range(12):
        await slack.write(f"number {number}")
    await slack.bot.until(lambda: len(slack.bot.spoken) == 12)
    drawn = len(slack.twin.calls("chat.update")) - before
    assert drawn <= (slack.bot.clock.monotonic() - at) / 2 + 2


async def test_a_cut_socket_is_replaced_and_nothing_is_lost(slack: SlackDriver) -> None:
    await started(slack)
    await slack.twin.connections[0].cut()
    await slack.write("good morning")
    await slack.bot.until(lambda: slack.bot.spoken == ["good morning"])


async def test_a_refresh_loses_no_command(slack: SlackDriver) -> None:
    await started(slack)
    old, held = slack.twin.connections[0], Held()
    slack.twin.fail_next("users.info", held)
    status = partial(slack.twin.slash, slack.channel, command="/avatar", text="status")
    before = await status(slack.people[BEN])
    await asyncio.wait_for(held.arrived.wait(), 10)
    await old.disconnect("refresh_requested")
    meanwhile = [await status(slack.people[ANA]) for _ in range(5)]
    await slack.twin.until(lambda: any(other is not old for other in slack.twin.connections))
    after = await status(slack.people[ANA])
    held.release()
    for command in (before, *meanwhile, after):
        assert "The avatar in this channel" in await slack.answer(command)
        assert len(command.attempts) == len(command.replies) == 1


async def test_a_silent_socket_is_noticed_and_replaced(slack: SlackDriver) -> None:
    old = slack.twin.connections[0]
    old.silence()
    at = slack.bot.clock.monotonic()
    await slack.bot.until(lambda: slack.bot.adapter.unhealthy_reason is not None)
    assert slack.bot.clock.monotonic() - at <= 30
    await slack.bot.until(lambda: slack.bot.adapter.unhealthy_reason is None)
    assert "Starting" in await slack.command("/avatar start")


async def test_several_sockets_share_the_work(four_sockets: SlackDriver) -> None:
    slack = four_sockets
    assert len(slack.twin.connections) == 4
    await started(slack)
    for number in range(8):
        await slack.write(f"number {number}")
    await slack.bot.until(lambda: len(slack.bot.spoken) == 8)
    assert all(connection.deliveries for connection in slack.twin.connections)


@pytest.mark.parametrize(
    ("method", "error", "says"),
    [
        ("auth.test", "invalid_auth", "SLACK_BOT_TOKEN is not accepted"),
        ("auth.test", "account_inactive", "install it again"),
        ("auth.test", "token_revoked", "SLACK_BOT_TOKEN was revoked"),
        ("auth.test", "missing_scope", "lacks a scope"),
        ("apps.connections.open", "invalid_auth", "SLACK_APP_TOKEN is not accepted"),
        ("apps.connections.open", "missing_scope", "connections:write"),
        ("apps.connections.open", "not_allowed_token_type", "xapp-"),
    ],
)
async def test_what_only_the_operator_can_mend_ends_the_program(
    slack: SlackDriver, method: str, error: str, says: str
) -> None:
    await slack.bot.stop()
    slack.twin.fail_next(method, Refused(error))
    await slack.bot.start()
    with pytest.raises(SettingsError, match=says):
        await slack.bot.serving
    await slack.bot.kill()


async def test_an_uninstalled_app_ends_the_program(slack: SlackDriver) -> None:
    await started(slack)
    await slack.twin.uninstall()
    with pytest.raises(SettingsError, match="install it again"):
        await slack.bot.serving
    assert slack.bot.open_streams == 0
    await slack.bot.kill()


async def test_trouble_that_may_pass_is_waited_out(slack: SlackDriver) -> None:
    await slack.bot.stop()
    slack.twin.fail_next("auth.test", ServerError())
    slack.twin.fail_next("apps.connections.open", Refused("internal_error"))
    await slack.bot.start()
    await slack.bot.until(lambda: slack.bot.adapter.unhealthy_reason is None)
    assert "Starting" in await slack.command("/avatar start")


async def test_without_an_invitation_no_avatar_starts_and_the_person_learns_what_to_do(slack: SlackDriver) -> None:
    for kind in ("public", "private"):
        elsewhere = slack.twin.add_channel(f"elsewhere-{kind}", [slack.people[ANA]], kind=kind, with_bot=False)
        command = await slack.twin.slash(elsewhere, slack.people[ANA], "/avatar", "start")
        assert "/invite @" in await slack.answer(command)
    assert slack.bot.open_streams == 0


async def test_an_archived_channel_is_named_as_such(slack: SlackDriver) -> None:
    slack.channel.archived = True
    assert "archived" in await slack.command("/avatar start")
    assert slack.bot.open_streams == 0


async def test_a_channel_where_only_some_may_post_is_named_to_who_started(slack: SlackDriver) -> None:
    slack.twin.restrict(slack.channel)
    await slack.command("/avatar start")
    await slack.until_read("Only some people may post")
    await slack.bot.until(lambda: len(slack.bot.bot.sessions) == 0 and slack.bot.open_streams == 0)


async def test_group_messages_are_no_place_for_an_avatar(slack: SlackDriver) -> None:
    several = slack.twin.add_channel("several", [slack.people[ANA], slack.people[BEN]], kind="mpim", with_bot=False)
    command = await slack.twin.slash(several, slack.people[ANA], "/avatar", "start")
    assert await slack.answer(command) == DIRECT_MESSAGE
    # The app asks about it with a scope that it does not have, which is the answer.
    slack.twin.violations.clear()
    assert slack.bot.simulator.streams() == []


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Refused("missing_scope"), "The app lacks a permission here"),
        (Refused("internal_error"), "so I opened nothing"),
        (Refused("team_access_not_granted"), "so I opened nothing"),
        (ServerError(), "so I opened nothing"),
        (Garbage(), "so I opened nothing"),
        (Dropped(), "so I opened nothing"),
    ],
)
async def test_nothing_is_opened_where_slack_does_not_say_that_the_app_is_there(
    slack: SlackDriver, fault: Fault, says: str
) -> None:
    slack.twin.fail_next("conversations.info", fault, times=5)
    assert says in await slack.command("/avatar start")
    assert slack.bot.simulator.streams() == []


@pytest.mark.parametrize("how", ["archive", "delete_channel", "remove_bot"])
@pytest.mark.parametrize("kind", ["public", "private"])
async def test_the_avatar_leaves_a_channel_that_goes_away(slack: SlackDriver, how: str, kind: str) -> None:
    place = slack.twin.add_channel("gone", [slack.people[ANA], slack.people[BEN]], kind=kind)
    await slack.answer(await slack.twin.slash(place, slack.people[ANA], "/avatar", "start"))
    await slack.bot.until(lambda: slack.bot.open_streams == 1)
    await slack.bot.until(lambda: any(is_panel(message) for message in slack.twin.messages(place)))
    await getattr(slack.twin, how)(place)
    before = posts_in(slack, place)
    await slack.bot.until(lambda: len(slack.bot.bot.sessions) == 0 and slack.bot.open_streams == 0)
    await slack.bot.stop()
    assert posts_in(slack, place) == before


async def test_the_panel_works_after_a_crash_and_closes_with_the_reason(slack: SlackDriver) -> None:
    await started(slack)
    panel = slack.newest_panel()
    await slack.restart()
    assert "Stopping" in await slack.press("Stop", by=BEN)
    await slack.bot.until(lambda: "The avatar has left" in text_of(panel) and not buttons_of(panel))
    assert [message for message in slack.twin.messages(slack.channel) if is_panel(message)] == [panel]


async def test_a_shutdown_closes_the_panel(slack: SlackDriver) -> None:
    await started(slack)
    panel = slack.newest_panel()
    await slack.bot.stop()
    assert "shutting down" in text_of(panel)
    assert buttons_of(panel) == []
