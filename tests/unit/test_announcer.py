"""A session tells its channel and its panels what is news."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from bot.announcer import KEEP, Announcer
from bot.core.errors import Transient
from bot.core.events import (
    EventBus,
    LeftUnsaid,
    Notice,
    NoticeKind,
    SessionChanged,
    SessionEvent,
    Subscription,
    UtteranceChanged,
)
from bot.core.models import UtteranceState
from bot.core.views import Phase
from tests.builders import CHANNEL, a_session, a_session_view, an_utterance

VIEW = a_session_view()
WAITING = replace(VIEW, phase=Phase.WAITING_FOR_VIEWER)


@pytest.fixture
def event_bus() -> EventBus:
    return EventBus()


@pytest.fixture
def announcer(event_bus: EventBus) -> Announcer:
    return Announcer("session", CHANNEL, event_bus)


@pytest.fixture
def following(event_bus: EventBus) -> Iterator[Subscription]:
    with event_bus.subscribe("session") as following:
        yield following


async def read(following: Subscription) -> list[SessionEvent]:
    following.close()
    return [event async for event in following]


async def test_a_view_is_shown_when_it_is_another_one(announcer: Announcer, following: Subscription) -> None:
    longer = replace(VIEW, queue_length=1)
    for view in (VIEW, VIEW, longer, longer, VIEW):
        announcer.show(view)
    assert await read(following) == [SessionChanged(VIEW), SessionChanged(longer), SessionChanged(VIEW)]


async def test_people_are_asked_to_watch_once_for_each_wait(announcer: Announcer, following: Subscription) -> None:
    for view in (WAITING, replace(WAITING, queue_length=1), VIEW, WAITING):
        announcer.show(view)
    notices = [event for event in await read(following) if isinstance(event, Notice)]
    assert [notice.occasion for notice in notices] == [NoticeKind.WAITING] * 2
    assert {notice.reply.link for notice in notices} == {VIEW.watch_url}


@pytest.mark.parametrize(("is_unwatched", "why"), [(False, "Nobody has written"), (True, "Nobody is watching")])
async def test_a_warning_can_be_answered_with_a_button(
    announcer: Announcer, following: Subscription, is_unwatched: bool, why: str
) -> None:
    announcer.warn_of_idle_end(60.0, is_unwatched)
    (notice,) = await read(following)
    assert isinstance(notice, Notice)
    assert notice.reply.text.startswith(why)
    assert (notice.channel, notice.session_id, notice.occasion) == (CHANNEL, "session", NoticeKind.WARNING)
    assert notice.reply.buttons == (KEEP,)


async def test_a_complaint_has_the_reference_that_is_in_the_log(announcer: Announcer, following: Subscription) -> None:
    error = Transient("the connection was cut", may_have_taken_effect=False)
    with capture_logs() as entries:
        announcer.report_error(("That was not said (ref abcd1234).", "abcd1234"), error)
    assert [(entry["reference"], entry["error"]) for entry in entries] == [("abcd1234", "the connection was cut")]
    (notice,) = await read(following)
    assert isinstance(notice, Notice)
    assert notice.reply.text == "That was not said (ref abcd1234)."
    assert notice.occasion is NoticeKind.TROUBLE


async def test_an_utterance_is_told_with_the_answer_to_it(announcer: Announcer, event_bus: EventBus) -> None:
    utterance = an_utterance(a_session())
    with event_bus.subscribe() as following:
        announcer.utterance_changed(utterance, "Good morning.")
        assert await read(following) == [UtteranceChanged(CHANNEL, utterance, "Good morning.")]


async def test_only_words_that_the_end_leaves_unsaid_are_told_of(announcer: Announcer, event_bus: EventBus) -> None:
    cleared, left = (an_utterance(a_session(), state=UtteranceState.DROPPED) for _ in range(2))
    with event_bus.subscribe() as following:
        for utterance in (cleared, left):
            announcer.promise(utterance.id)
        announcer.utterance_changed(cleared, None)
        announcer.tell_left_unsaid()
        announcer.is_closing = True
        announcer.utterance_changed(left, None)
        announcer.tell_left_unsaid()
        (told,) = [event for event in await read(following) if isinstance(event, LeftUnsaid)]
    assert [words.person for words in told.people] == [left.author]
    assert left.text in told.people[0].reply.text


async def test_a_goodbye_is_shown_before_it_is_said(announcer: Announcer, following: Subscription) -> None:
    over = replace(VIEW, phase=Phase.ENDED, ended="The avatar left.")
    announcer.announce_end(over, "The avatar left.")
    shown, said = await read(following)
    assert shown == SessionChanged(over)
    assert isinstance(said, Notice)
    assert (said.reply.text, said.occasion) == ("The avatar left.", NoticeKind.ENDED)
