"""Names for new things."""

import itertools
import re
from datetime import UTC, datetime

import pytest

from bot.core import ids
from bot.core.ids import READABLE, new_nonce, new_reference, new_session_id, new_stream_id, new_utterance_id
from tests.harness.clock import ManualClock


@pytest.mark.parametrize(("make", "length"), [(new_session_id, 6), (new_reference, 8)])
def test_what_people_read_aloud_has_no_letters_that_look_alike(make: object, length: int) -> None:
    assert callable(make)
    for _ in range(200):
        name = make()
        assert len(name) == length
        assert set(name) <= set(READABLE)
    assert not set("0o1li") & set(READABLE)


def test_names_do_not_repeat() -> None:
    for make in (new_reference, new_stream_id, new_nonce):
        assert len({make() for _ in range(1000)}) == 1000


def test_nonce_fits_into_a_link_and_holds_72_bits() -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{12}", new_nonce())


async def test_utterances_sort_in_the_order_of_acceptance() -> None:
    clock = ManualClock()
    made = [new_utterance_id(clock) for _ in range(100)]
    await clock.advance(0.001)
    made += [new_utterance_id(clock) for _ in range(100)]
    await clock.advance(86_400 * 365)
    made += [new_utterance_id(clock)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {len(name) for name in made} == {18}


def test_utterances_sort_behind_those_of_an_earlier_process_whose_clock_was_ahead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ids, "_latest", 0)
    earlier = ids.new_utterance_id(ManualClock(datetime(2027, 1, 1, tzinfo=UTC)))
    monkeypatch.setattr(ids, "_latest", 0)
    monkeypatch.setattr(ids, "_count", itertools.count())
    ids.continue_after(earlier)
    assert ids.new_utterance_id(ManualClock(datetime(2026, 1, 1, tzinfo=UTC))) > earlier
