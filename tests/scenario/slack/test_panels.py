"""The panel of a session on Slack when Slack does not take it: tried again where that may help, by the next run too."""

import asyncio

import pytest

from adapters.chat.slack.client import MAX_RATE_LIMIT_RETRIES
from bot.core.errors import StoreUnavailable
from bot.core.models import PanelMessage
from bot.store.panels import PanelRepository
from tests.fakes.slack import Dropped, Garbage, Message, RateLimited, Refused, ServerError
from tests.fakes.slack.faults import Fault
from tests.platforms.running_bot import PATIENCE
from tests.platforms.slack import SlackDriver, buttons_of, is_panel, text_of

FOR_EVER = 10**4
"""Faults that are called off in the end."""

PASSING = [
    (RateLimited(0), MAX_RATE_LIMIT_RETRIES + 2),
    (ServerError(), 3),
    (Dropped(), 5),
    (Garbage(), 2),
    (Refused("ratelimited"), 5),
    (Refused("internal_error"), 5),
    (Refused("service_unavailable"), 5),
    (Refused("fatal_error"), 5),
]
FINAL = [
    "message_not_found",
    "channel_not_found",
    "is_archived",
    "cant_update_message",
    "not_in_channel",
    "no_such",
]


async def started(slack: SlackDriver) -> Message:
    await slack.command("/avatar start")
    await slack.until_read("live")
    return slack.newest_panel()


def is_over(panel: Message) -> bool:
    return "The avatar has left" in text_of(panel) and not buttons_of(panel)


def panels(slack: SlackDriver) -> list[Message]:
    return [message for message in slack.twin.messages(slack.channel) if is_panel(message)]


async def until_forgotten(slack: SlackDriver) -> None:
    async with asyncio.timeout(PATIENCE):
        while await slack.bot.bot.sessions.services.store.panels.placed_on("slack"):  # noqa: ASYNC110 - a database tells nobody
            await asyncio.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "times"), PASSING, ids=str)
async def test_last_drawing_is_tried_until_slack_takes_it(
    slack: SlackDriver, monkeypatch: pytest.MonkeyPatch, fault: Fault, times: int
) -> None:
    # slack_sdk adds up to a second of real time to each wait that Slack asks for.
    monkeypatch.setattr("random.random", lambda: 0.0)
    panel = await started(slack)
    slack.twin.fail_next("chat.update", fault, times=times)
    await slack.command("/avatar stop")
    await slack.bot.until(lambda: is_over(panel))
    await until_forgotten(slack)
    assert panels(slack) == [panel]


async def test_people_are_told_of_the_end_even_though_the_panel_cannot_be_drawn(slack: SlackDriver) -> None:
    panel = await started(slack)
    slack.twin.fail_next("chat.update", Refused("ratelimited"), times=FOR_EVER)
    await slack.command("/avatar stop")
    await slack.until_read("The avatar has left")
    assert not is_over(panel)


@pytest.mark.parametrize("how", ["shut down", "killed"])
async def test_last_drawing_is_made_by_the_next_run_where_this_one_could_not(slack: SlackDriver, how: str) -> None:
    panel = await started(slack)
    slack.twin.fail_next("chat.update", Refused("ratelimited"), times=FOR_EVER)
    await slack.command("/avatar stop")
    await slack.until_read("The avatar has left")
    await (slack.bot.stop() if how == "shut down" else slack.bot.kill())
    assert not is_over(panel)
    slack.twin.faults._waiting.clear()
    await slack.twin.until(lambda: not slack.twin.connections)
    await slack._start()
    await slack.bot.until(lambda: is_over(panel))
    assert panels(slack) == [panel]


@pytest.mark.parametrize("error", FINAL)
async def test_last_drawing_that_is_refused_for_good_is_not_tried_again(slack: SlackDriver, error: str) -> None:
    await started(slack)
    await slack.bot.until(lambda: not slack.bot.adapter._outgoing._waiting)
    await slack.bot.clock.sleep(3)
    before = len(slack.twin.calls("chat.update"))
    slack.twin.fail_next("chat.update", Refused(error), times=FOR_EVER)
    await slack.bot.bot.sessions.end_in_channels(lambda _: True, "the test wants it")
    await until_forgotten(slack)
    await slack.bot.clock.sleep(15)
    # One while it closes, one at the end.
    assert len(slack.twin.calls("chat.update")) - before <= 2


async def test_first_panel_that_slack_is_too_busy_for_is_posted_later(slack: SlackDriver) -> None:
    slack.twin.fail_next("chat.postMessage", Refused("ratelimited"), times=3)
    await slack.command("/avatar start")
    await slack.until_read("live")
    assert len(panels(slack)) == 1


async def test_panel_that_could_not_be_remembered_is_not_posted_again(
    slack: SlackDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, times = slack.bot.bot.sessions.services.store, iter([True, True])
    place = store.panels.place

    async def place_once_it_works(platform: str, panel: PanelMessage) -> None:
        if next(times, False):
            raise StoreUnavailable("its disk is full")
        await place(platform, panel)

    monkeypatch.setattr(store.panels, "place", place_once_it_works)
    await started(slack)
    await slack.bot.until(lambda: next(iter(slack.bot.adapter._panels._panels.values())).is_kept)
    assert len(panels(slack)) == len(await store.panels.placed_on("slack")) == 1


@pytest.mark.parametrize("error", [StoreUnavailable("its disk is full"), KeyError("a mistake of ours")], ids=repr)
async def test_no_panel_is_posted_before_those_of_the_run_before_are_known(
    slack: SlackDriver, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    panel = await started(slack)
    await slack.bot.kill()
    kept, times = PanelRepository.placed_on, iter([True, True])

    async def fail(panels: PanelRepository, platform: str) -> list[PanelMessage]:
        if next(times, False):
            raise error
        return await kept(panels, platform)

    monkeypatch.setattr(PanelRepository, "placed_on", fail)
    await slack.twin.until(lambda: not slack.twin.connections)
    await slack._start()
    await slack.command("/avatar mode chat")
    await slack.bot.until(lambda: "chat" in text_of(panel))
    assert panels(slack) == [panel]


async def test_panel_that_cannot_be_found_again_is_replaced_and_keeps_no_other_back(slack: SlackDriver) -> None:
    lost = await started(slack)
    store = slack.bot.bot.sessions.services.store
    [kept] = await store.panels.placed_on("slack")
    await store.panels.place("slack", PanelMessage(kept.session_id, "not a message"))
    await slack.bot.kill()
    await slack.twin.until(lambda: not slack.twin.connections)
    await slack._start()
    await slack.command("/avatar mode chat")
    await slack.bot.until(lambda: slack.newest_panel() != lost and "chat" in text_of(slack.newest_panel()))
    assert len(panels(slack)) == 2
    [kept] = await slack.bot.bot.sessions.services.store.panels.placed_on("slack")
    assert kept.reference.endswith(slack.newest_panel().ts)


async def test_installation_that_cannot_be_read_is_no_reason_to_forget_a_panel(
    slack: SlackDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = await started(slack)
    adapter, times = slack.bot.adapter._panels, iter([True, True])
    find = adapter._workspace_of

    async def fail(team_id: str) -> object:
        if next(times, False):
            raise StoreUnavailable("its disk is full")
        return await find(team_id)

    monkeypatch.setattr(adapter, "_workspace_of", fail)
    await slack.command("/avatar stop")
    await slack.bot.until(lambda: is_over(panel))
