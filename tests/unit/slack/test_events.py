"""Deliveries that come late: what is remembered of a message that was changed meanwhile."""

from typing import Any

import pytest

from adapters.chat.slack.events import MAX_REMEMBERED_EDITS, RETRY_HEADER, RecentEdits, delivery_of
from bot.core.models import Channel

HERE = Channel("slack", "T1", "C1")


def edit(text: str, at: str, ts: str = "1.000001") -> dict[str, Any]:
    return {"ts": ts, "text": text, "edited": {"user": "U1", "ts": at}}


@pytest.mark.parametrize(("number", "is_last"), [("", False), ("0", False), ("2", False), ("3", True), ("soon", False)])
def test_the_third_retry_is_the_last(number: str, is_last: bool) -> None:
    assert delivery_of({"event_id": "Ev1"}, {RETRY_HEADER: number}).is_last is is_last


def test_a_request_without_a_number_is_the_first_delivery() -> None:
    delivery = delivery_of({"event_id": "Ev1"}, {})
    assert (delivery.event_id, delivery.is_last) == ("Ev1", False)


def test_an_older_edit_does_not_count_and_the_newest_counts_again() -> None:
    changes = RecentEdits()
    assert changes.edited(HERE, edit("two", "3.0"))
    assert not changes.edited(HERE, edit("one", "2.0"))
    assert changes.edited(HERE, edit("two", "3.0"))
    assert changes.text_now(HERE, "1.000001", "zero") == "two"


def test_after_a_deletion_nothing_is_left_to_say_or_to_edit() -> None:
    changes = RecentEdits()
    changes.deleted(HERE, {"ts": "1.000001"})
    assert changes.text_now(HERE, "1.000001", "zero") is None
    assert not changes.edited(HERE, edit("one", "2.0"))


def test_an_edit_whose_words_are_in_its_blocks_says_them() -> None:
    changes = RecentEdits()
    blocks = [{"type": "section", "text": {"type": "plain_text", "text": "two"}}]
    assert changes.edited(HERE, {**edit("", "3.0"), "blocks": blocks})
    assert changes.text_now(HERE, "1.000001", "zero") == "two"


def test_a_message_that_nobody_changed_says_what_it_says() -> None:
    assert RecentEdits().text_now(HERE, "1.000001", "zero") == "zero"


def test_memory_is_bounded_and_forgets_the_oldest() -> None:
    changes = RecentEdits()
    for number in range(MAX_REMEMBERED_EDITS + 1):
        changes.deleted(HERE, {"ts": f"{number}"})
    assert changes.text_now(HERE, "0", "zero") == "zero"
    assert changes.text_now(HERE, f"{MAX_REMEMBERED_EDITS}", "zero") is None
