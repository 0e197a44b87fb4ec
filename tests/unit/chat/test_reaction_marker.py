"""Marks on messages, counted as the requests that each platform gets: two for a message at most, none in vain."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import discord
import pytest

from adapters.chat.discord.reactions import PER_MINUTE as DISCORD_PER_MINUTE
from adapters.chat.discord.reactions import PER_SECOND as DISCORD_PER_SECOND
from adapters.chat.discord.reactions import Reactions as DiscordReactions
from adapters.chat.reaction_marker import LINGER, ReactionMarker
from adapters.chat.slack.client import SlackError
from adapters.chat.slack.reactions import PER_MINUTE as SLACK_PER_MINUTE
from adapters.chat.slack.reactions import Reactions as SlackReactions
from bot.core.events import Delivery
from bot.core.models import Channel, Utterance, UtteranceState
from bot.core.precedence import CROWD, Precedence
from tests.builders import an_utterance
from tests.harness.clock import ManualClock
from tests.harness.crowd import crowd

WAITS, SPOKEN, NOT_SPOKEN = "👂⏳", "✅", "🔇❌"
"""What the platforms put."""

_SLACK_EMOJI = {"hourglass_flowing_sand": "⏳", "white_check_mark": "✅", "x": "❌"}
ENDS = [UtteranceState.DROPPED, UtteranceState.FAILED, UtteranceState.INTERRUPTED, UtteranceState.UNKNOWN]
BURST = 300


class Platform:
    """One platform that notes each request it gets, as the message and the emoji."""

    def __init__(self, name: str, clock: ManualClock) -> None:
        self.clock = clock
        self.requests: list[tuple[str, str]] = []
        self.gone: set[str] = set()
        self.channel = Channel(name, "1", "2")
        self.per_minute = SLACK_PER_MINUTE if name == "slack" else DISCORD_PER_MINUTE
        self.precedence = Precedence(clock)
        made: Any = SlackReactions if name == "slack" else DiscordReactions
        self.reactions: ReactionMarker = made(self, clock, self.precedence)

    # Slack's workspaces and their calls

    async def of(self, _team_id: str) -> "Platform":
        return self

    async def call(self, method: str, *, channel: str, timestamp: str, name: str) -> None:
        self.requests.append((timestamp, _SLACK_EMOJI[name] if method == "reactions.add" else method))
        if timestamp in self.gone:
            raise SlackError(method, "message_not_found")

    # Discord's requests and what they are made with

    async def request(self, _what: str, work: Callable[[Any], Awaitable[None]]) -> None:
        def message(message_id: int) -> SimpleNamespace:
            async def add_reaction(emoji: str) -> None:
                self.requests.append((str(message_id), emoji))
                if str(message_id) in self.gone:
                    answer = SimpleNamespace(status=404, reason="Not Found")
                    raise discord.NotFound(answer, "Unknown Message")  # type: ignore[arg-type]

            return SimpleNamespace(add_reaction=add_reaction)

        await work(
            SimpleNamespace(get_partial_messageable=lambda _channel: SimpleNamespace(get_partial_message=message))
        )

    def becomes(self, utterance: Utterance, *states: UtteranceState) -> None:
        """The core tells of states of an utterance, one right after the other."""
        for state in states:
            self.reactions.show(self.channel, utterance._replace(state=state))

    async def pass_time(self, seconds: float = 2 * LINGER) -> None:
        await self.clock.advance(seconds)

    def marks_of(self, utterance: Utterance) -> list[str]:
        return [mark for message_id, mark in self.requests if message_id == utterance.message_id]


@pytest.fixture(params=["slack", "discord"])
async def platform(request: pytest.FixtureRequest) -> AsyncIterator[Platform]:
    made = Platform(request.param, ManualClock())
    yield made
    await made.reactions.close()


def a_message(number: int = 7) -> Utterance:
    return an_utterance()._replace(message_id=str(number), state=UtteranceState.QUEUED)


def are(marks: list[str], *wanted: str) -> bool:
    return len(marks) == len(wanted) and all(mark in names for mark, names in zip(marks, wanted, strict=True))


async def test_message_that_is_said_at_once_costs_one_request(platform: Platform) -> None:
    message = a_message()
    platform.reactions.accepted(platform.channel, message)
    platform.becomes(message, UtteranceState.SENDING, UtteranceState.SPEAKING)
    await platform.pass_time()
    platform.becomes(message, UtteranceState.SPOKEN)
    await platform.pass_time()
    assert are(platform.marks_of(message), SPOKEN)


@pytest.mark.parametrize("accepted_as", [UtteranceState.QUEUED, UtteranceState.SENDING])
async def test_message_that_is_not_said_at_once_is_shown_as_waiting(
    platform: Platform, accepted_as: UtteranceState
) -> None:
    message = a_message()._replace(state=accepted_as)
    platform.reactions.accepted(platform.channel, message)
    await platform.pass_time()
    assert are(platform.marks_of(message), WAITS)


async def test_message_that_was_said_before_its_receipt_is_not_shown_as_waiting(platform: Platform) -> None:
    message = a_message()
    platform.becomes(message, UtteranceState.SENDING, UtteranceState.SPEAKING)
    platform.reactions.accepted(platform.channel, message)
    await platform.pass_time()
    assert platform.requests == []


async def test_message_that_waits_costs_two_requests_however_often_it_is_told(platform: Platform) -> None:
    message = a_message()
    platform.reactions.accepted(platform.channel, message)
    await platform.pass_time()
    for states in [
        (UtteranceState.QUEUED,),
        (UtteranceState.SENDING, UtteranceState.QUEUED),
        (UtteranceState.SPEAKING,),
    ]:
        platform.becomes(message, *states)
        await platform.pass_time()
    platform.becomes(message, UtteranceState.SPOKEN, UtteranceState.SPOKEN)
    await platform.pass_time()
    platform.becomes(message, UtteranceState.SPOKEN)
    await platform.pass_time()
    assert are(platform.marks_of(message), WAITS, SPOKEN)


async def test_what_must_reach_people_has_done_so_once_its_mark_is_put_or_cannot_be(platform: Platform) -> None:
    here, gone, command = a_message(1), a_message(2), a_message(3)._replace(message_id=None)
    platform.gone = {"2"}
    delivered: list[str | None] = []
    for message in (here, gone, command):
        delivery = Delivery(partial(delivered.append, message.message_id)).hold()
        platform.reactions.show(platform.channel, message._replace(state=UtteranceState.UNKNOWN), delivery)
        # As whoever asked for it does once `show` has returned.
        delivery.release()
    assert delivered == [None]
    await platform.pass_time()
    assert delivered == [None, "1", "2"]


async def test_what_is_left_out_for_too_much_else_has_reached_nobody(platform: Platform) -> None:
    delivered: list[str | None] = []
    messages = [a_message(number) for number in range(1, BURST)]
    for message in messages:
        delivery = Delivery(partial(delivered.append, message.message_id))
        platform.reactions.show(platform.channel, message._replace(state=UtteranceState.UNKNOWN), delivery)
    await platform.pass_time(120)
    assert delivered == [message_id for message_id, _ in platform.requests]
    assert 0 < len(delivered) < len(messages)


@pytest.mark.parametrize("end", ENDS)
async def test_message_that_is_not_said_costs_one_request_and_two_if_it_waited(
    platform: Platform, end: UtteranceState
) -> None:
    at_once, later = a_message(1), a_message(2)
    platform.becomes(at_once, UtteranceState.QUEUED, end)
    platform.becomes(later, UtteranceState.QUEUED)
    await platform.pass_time()
    platform.becomes(later, end)
    await platform.pass_time()
    assert are(platform.marks_of(at_once), NOT_SPOKEN)
    assert are(platform.marks_of(later), WAITS, NOT_SPOKEN)


async def test_message_that_was_not_taken_costs_one_request(platform: Platform) -> None:
    platform.reactions.mark_not_spoken(platform.channel, "7")
    platform.reactions.mark_not_spoken(platform.channel, "7")
    await platform.pass_time()
    assert are(platform.marks_of(a_message()), NOT_SPOKEN)


async def test_message_that_is_deleted_while_it_waits_costs_nothing_more(platform: Platform) -> None:
    shown, not_yet = a_message(1), a_message(2)
    platform.becomes(shown, UtteranceState.QUEUED)
    await platform.pass_time()
    platform.becomes(not_yet, UtteranceState.QUEUED)
    for message in (shown, not_yet):
        platform.reactions.forget(platform.channel, message.message_id or "")
        platform.becomes(message, UtteranceState.DROPPED)
    await platform.pass_time()
    assert are(platform.marks_of(shown), WAITS)
    assert platform.marks_of(not_yet) == []


async def test_message_whose_deletion_nobody_told_is_asked_for_once(platform: Platform) -> None:
    message = a_message()
    platform.gone.add("7")
    platform.becomes(message, UtteranceState.QUEUED)
    await platform.pass_time()
    platform.becomes(message, UtteranceState.DROPPED)
    await platform.pass_time()
    assert are(platform.marks_of(message), WAITS)


async def test_burst_is_marked_as_far_as_the_limit_goes_and_its_ends_before_its_waiting(platform: Platform) -> None:
    burst = [a_message(number) for number in range(1, BURST + 1)]
    for message in burst:
        platform.becomes(message, UtteranceState.QUEUED)
    await platform.pass_time(5.0)
    assert len(platform.requests) == platform.per_minute // 2
    assert all(mark in WAITS for _, mark in platform.requests)
    for message in burst:
        platform.becomes(message, UtteranceState.SPEAKING, UtteranceState.SPOKEN)
    await platform.pass_time(5.0)
    assert len(platform.requests) == platform.per_minute
    assert all(mark in SPOKEN for _, mark in platform.requests[platform.per_minute // 2 :])

    await platform.pass_time(60.0)
    late = a_message(BURST + 1)
    platform.becomes(late, UtteranceState.SPOKEN)
    await platform.pass_time()
    assert are(platform.marks_of(late), SPOKEN)


async def test_marks_of_many_channels_come_no_faster_than_discord_allows_a_bot() -> None:
    platform = Platform("discord", ManualClock())
    said = [a_message(number) for number in range(1, 3 * DISCORD_PER_SECOND + 1)]
    for number, message in enumerate(said):
        channel = Channel("discord", "1", str(number))
        platform.reactions.show(channel, message._replace(state=UtteranceState.SPOKEN))
    await platform.pass_time(LINGER)
    assert len(platform.requests) == DISCORD_PER_SECOND
    await platform.pass_time(0.9)
    assert len(platform.requests) == DISCORD_PER_SECOND
    await platform.pass_time(2.0)
    assert len(platform.requests) == len(said)
    await platform.reactions.close()


async def test_where_too_many_messages_come_in_only_what_was_not_said_is_marked(platform: Platform) -> None:
    waits, said, cut = a_message(1), a_message(2), a_message(3)
    with crowd(platform.precedence):
        platform.becomes(waits, UtteranceState.QUEUED)
        platform.becomes(said, UtteranceState.SPOKEN)
        platform.becomes(cut, UtteranceState.INTERRUPTED)
        await platform.pass_time()
    await platform.pass_time()
    assert are(platform.marks_of(cut), NOT_SPOKEN)
    assert len(platform.requests) == 1

    with crowd(platform.precedence, CROWD - 1):
        platform.becomes(a_message(4), UtteranceState.SPOKEN)
        await platform.pass_time()
    assert are(platform.marks_of(a_message(4)), SPOKEN)


class CountingClock(ManualClock):
    """How often somebody began to wait."""

    waits = 0

    async def sleep(self, seconds: float) -> None:
        self.waits += 1
        await super().sleep(seconds)


async def test_each_mark_waits_for_its_turn_once_however_many_channels_have_one() -> None:
    clock = CountingClock()
    platform = Platform("discord", clock)
    channels = 10 * DISCORD_PER_SECOND
    for number in range(channels):
        channel = Channel("discord", "1", str(number))
        platform.reactions.show(channel, a_message(number + 1)._replace(state=UtteranceState.SPOKEN))
    await platform.pass_time(12.0)
    assert len(platform.requests) == channels
    assert clock.waits <= 2 * channels
    await platform.reactions.close()


async def test_a_command_has_no_mark(platform: Platform) -> None:
    platform.becomes(a_message()._replace(message_id=None), UtteranceState.QUEUED, UtteranceState.SPOKEN)
    await platform.pass_time()
    assert platform.requests == []
