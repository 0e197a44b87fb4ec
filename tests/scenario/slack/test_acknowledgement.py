"""When Slack gets its acknowledgement: commands at once, messages when they are stored, not for what may be lost."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Self

import pytest

from adapters.chat.slack import listeners
from bot.core.errors import StoreUnavailable
from bot.core.models import Utterance
from bot.store.installations import InstallationRepository
from tests.fakes.slack import Delivery, Message
from tests.platforms.platform_driver import ANA
from tests.platforms.slack import SlackDriver, text_of

EVER = 10**6


class Trouble:
    """A database that takes no message in for a while: it hangs until `over`, or refuses the next `failures`."""

    def __init__(self, slack: SlackDriver, monkeypatch: pytest.MonkeyPatch) -> None:
        self.over = asyncio.Event()
        self.over.set()
        self.failures = 0
        self.asked = 0
        self._accept = slack.bot.bot.sessions.services.store.utterances.accept
        monkeypatch.setattr(slack.bot.bot.sessions.services.store.utterances, "accept", self.accept)

    def hang(self) -> Self:
        self.over.clear()
        return self

    async def accept(self, keys: Sequence[str], utterance: Utterance | None) -> bool:
        self.asked += 1
        await self.over.wait()
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("The disk is full.")
        return await self._accept(keys, utterance)


@pytest.fixture(params=["socket", "http"])
async def slack(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SlackDriver]:
    async with SlackDriver(tmp_path, http=request.param == "http") as driver:
        await driver.command("/avatar start")
        await driver.until_read("live")
        yield driver


@pytest.fixture
def trouble(slack: SlackDriver, monkeypatch: pytest.MonkeyPatch) -> Trouble:
    return Trouble(slack, monkeypatch)


def mention_of(message: Message) -> Delivery:
    return next(delivery for delivery in message.deliveries if delivery.event["type"] == "app_mention")


async def say(slack: SlackDriver, text: str) -> Delivery:
    return mention_of(await slack.twin.write(slack.channel, slack.people[ANA], f"@Avatar {text}"))


async def test_a_message_is_acknowledged_once_it_is_stored_and_not_before(slack: SlackDriver, trouble: Trouble) -> None:
    trouble.hang()
    delivery = await say(slack, "good morning")
    await slack.bot.until(lambda: trouble.asked)
    assert not delivery.done
    trouble.over.set()
    await delivery.acknowledged()
    assert len(delivery.attempts) == 1
    await slack.bot.until(lambda: slack.bot.spoken == ["good morning"])


async def test_a_message_that_is_not_stored_in_time_comes_again_and_is_said_once(
    slack: SlackDriver, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(listeners, "STORED_WITHIN", 0.05)
        trouble.hang()
        delivery = await say(slack, "good morning")
        await slack.bot.until(lambda: trouble.asked)
        await again(slack, delivery)
    trouble.over.set()
    while not delivery.done:
        await again(slack, delivery)
    await say(slack, "good night")
    await slack.bot.until(lambda: len(slack.bot.spoken) == 2)
    assert slack.bot.spoken == ["good morning", "good night"]


async def test_a_crash_before_a_message_is_stored_loses_nothing(slack: SlackDriver, trouble: Trouble) -> None:
    trouble.hang()
    delivery = await say(slack, "good morning")
    await slack.bot.until(lambda: trouble.asked)
    await slack.restart()
    await again(slack, delivery)
    await delivery.acknowledged()
    await slack.bot.until(lambda: slack.bot.spoken == ["good morning"])


async def test_a_crash_after_a_message_is_stored_says_it_once(slack: SlackDriver) -> None:
    delivery = await say(slack, "good morning")
    await delivery.acknowledged()
    await slack.restart()
    await (await slack.twin.redeliver(delivery)).acknowledged()
    await say(slack, "good night")
    await slack.bot.until(lambda: "good night" in slack.bot.spoken)
    assert slack.bot.spoken.count("good morning") <= 1


async def test_what_the_database_refuses_is_taken_from_the_next_delivery_in_silence(
    slack: SlackDriver, trouble: Trouble
) -> None:
    trouble.failures = 1
    delivery = await say(slack, "good morning")
    await again(slack, delivery)
    await delivery.acknowledged()
    await slack.bot.until(lambda: slack.bot.spoken == ["good morning"])
    assert not any("database" in text_of(seen) for seen in slack.seen())


async def test_what_the_database_never_takes_is_told_after_the_last_delivery(
    slack: SlackDriver, trouble: Trouble
) -> None:
    trouble.failures = EVER
    delivery = await say(slack, "good morning")
    while not delivery.lost:
        await again(slack, delivery)
    await slack.until_read("The bot cannot write to its database, so that was not taken.")
    assert sum("database" in text_of(seen) for seen in slack.seen()) == 1
    assert not delivery.done


async def test_a_command_in_a_mention_that_the_database_refuses_runs_from_the_next_delivery(
    slack: SlackDriver, trouble: Trouble
) -> None:
    trouble.failures = 1
    delivery = await say(slack, "status")
    await again(slack, delivery)
    await delivery.acknowledged()
    await slack.until_read("The avatar in this channel")


async def test_a_command_is_acknowledged_although_the_database_hangs(slack: SlackDriver, trouble: Trouble) -> None:
    trouble.hang()
    command = await slack.twin.slash(slack.channel, slack.people[ANA], "/avatar", "status")
    await command.acknowledged()
    assert command.replies == []
    trouble.over.set()
    await slack.bot.until(lambda: command.replies)


async def test_an_edit_and_a_deletion_that_come_again_late_undo_nothing(slack: SlackDriver, trouble: Trouble) -> None:
    trouble.hang()
    message = await slack.twin.write(slack.channel, slack.people[ANA], "@Avatar one")
    # Requests of their own keep no order: what comes second must not be the one that is on its way into the database.
    await slack.bot.until(lambda: trouble.asked)
    deleted = await slack.twin.write(slack.channel, slack.people[ANA], "@Avatar nothing")
    await slack.twin.edit_message(message, "@Avatar two")
    first = slack.twin.deliveries[-1]
    await slack.twin.edit_message(message, "@Avatar three")
    second = slack.twin.deliveries[-1]
    await slack.twin.delete_message(deleted)
    await (await slack.twin.redeliver(first)).acknowledged()
    trouble.over.set()
    for delivery in (second, *deleted.deliveries):
        await delivery.acknowledged()
    await say(slack, "the end")
    await slack.bot.until(lambda: "the end" in slack.bot.spoken)
    assert not {"two", "nothing"} & set(slack.bot.spoken)


async def test_of_an_unknown_workspace_nothing_is_acknowledged_while_the_database_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"SLACK_CLIENT_ID": "1111.2222", "SLACK_CLIENT_SECRET": "client-secret-of-the-twin"}
    async with SlackDriver(tmp_path, environment=environment) as slack:
        asked = asyncio.Event()

        async def refuse(_: InstallationRepository, _platform: str, _workspace: str) -> str | None:
            asked.set()
            raise StoreUnavailable("The disk is full.")

        elsewhere = slack.twin.add_team("Elsewhere", installed=True)
        zoe = slack.twin.add_user("zoe", team=elsewhere)
        place = slack.twin.add_channel("there", [zoe], team=elsewhere)
        with monkeypatch.context() as patch:
            patch.setattr(InstallationRepository, "get", refuse)
            delivery = mention_of(await slack.twin.write(place, zoe, "@Avatar good morning"))
            await asyncio.wait_for(asked.wait(), 10)
            await again(slack, delivery)
            assert not delivery.done


async def again(slack: SlackDriver, delivery: Delivery) -> None:
    """Have time pass until Slack's next attempt begins, unless one before is acknowledged after all."""
    attempts = len(delivery.attempts)

    def is_next() -> bool:
        if len(delivery.attempts) > attempts or delivery.done or delivery.lost:
            return True
        slack.twin.pass_time(60)
        return False

    await slack.twin.until(is_next)
