"""Tickets for the side pane: ten minutes, one page, and nobody else's."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from adapters.chat.slack import tickets as module
from adapters.chat.slack.tickets import LIFETIME, MAX_TICKET_LENGTH, InMemory, Tickets
from bot.core.errors import LinkInvalid
from tests.harness.clock import ManualClock

SECRET = SecretStr("secret-of-the-web-server")
HOUR = 3600.0


def tickets_of(clock: ManualClock, secret: SecretStr = SECRET) -> Tickets:
    return Tickets(secret, clock, InMemory(clock, HOUR))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def tickets(clock: ManualClock) -> Tickets:
    return tickets_of(clock)


async def refusal(tickets: Tickets, text: str) -> str:
    with pytest.raises(LinkInvalid) as refused:
        await tickets.page_for(tickets.read(text))
    return refused.value.why


async def test_first_page_that_calls_has_the_ticket(tickets: Tickets) -> None:
    issued = tickets.issue("k3v9qa", "U0123")
    ticket = tickets.read(issued.text)
    assert (ticket.session_id, ticket.viewer) == ("k3v9qa", "U0123")
    first, second = await tickets.page_for(ticket), await tickets.page_for(ticket)
    assert first != second
    # Both were loaded, and neither is surely in a frame.
    assert not issued.opened.is_set()
    await tickets.call(ticket.nonce, second)
    assert issued.opened.is_set()
    await tickets.call(ticket.nonce, second)
    assert await refusal(tickets, issued.text) == "used"
    with pytest.raises(LinkInvalid, match="used"):
        await tickets.call(ticket.nonce, first)


async def test_of_many_pages_at_once_one_gets_in(tickets: Tickets) -> None:
    ticket = tickets.read(tickets.issue("k3v9qa", "U0123").text)
    pages = [await tickets.page_for(ticket) for _ in range(20)]
    results = await asyncio.gather(*(tickets.call(ticket.nonce, page) for page in pages), return_exceptions=True)
    assert sum(result is None for result in results) == 1


async def test_ticket_is_good_for_ten_minutes(tickets: Tickets, clock: ManualClock) -> None:
    early, late = tickets.issue("k3v9qa", "U0123").text, tickets.issue("k3v9qa", "U0123").text
    await clock.advance(LIFETIME.total_seconds() - 1)
    await tickets.page_for(tickets.read(early))
    await clock.advance(1)
    assert await refusal(tickets, late) == "expired"


async def test_ticket_of_another_secret_or_of_another_kind_is_none(tickets: Tickets, clock: ManualClock) -> None:
    other = tickets_of(clock, SecretStr("another-secret-of-16-characters")).issue("k3v9qa", "U0123").text
    assert await refusal(tickets, other) == "forged"
    from adapters.web.links import SignedWatchLinks

    link = SignedWatchLinks(SECRET, "https://watch.test", 3600, clock).url("nonce")
    assert link is not None
    assert await refusal(tickets, link.rpartition("/")[2]) == "forged"


@given(st.integers(0, 500), st.characters(codec="ascii"))
def test_ticket_that_was_changed_is_none_or_the_same(place: int, character: str) -> None:
    tickets = tickets_of(ManualClock())
    text = tickets.issue("k3v9qa", "U0123").text
    at = place % len(text)
    changed = text[:at] + character + text[at + 1 :]
    try:
        ticket = tickets.read(changed)
    except LinkInvalid:
        return
    assert ticket == tickets.read(text)


@given(st.text(max_size=MAX_TICKET_LENGTH + 10))
def test_no_text_is_a_ticket(text: str) -> None:
    with pytest.raises(LinkInvalid):
        tickets_of(ManualClock()).read(text)


def test_real_ticket_is_short_enough_to_be_read(tickets: Tickets) -> None:
    text = tickets.issue("k3v9qa", "W" + "0" * 20).text
    assert len(text) < MAX_TICKET_LENGTH / 2


async def called(tickets: Tickets) -> str:
    """The nonce of a ticket with which a page has called."""
    ticket = tickets.read(tickets.issue("k3v9qa", "U0123").text)
    await tickets.call(ticket.nonce, await tickets.page_for(ticket))
    return ticket.nonce


async def test_what_is_remembered_is_bounded_and_forgotten_in_time(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_REMEMBERED", 3)
    memory = InMemory(clock, HOUR)
    crowded = Tickets(SECRET, clock, memory)
    first, _, _ = [await called(crowded) for _ in range(3)]
    # Rather nobody than somebody twice.
    with pytest.raises(LinkInvalid, match="used"):
        await called(crowded)
    await clock.advance(HOUR - 1)
    assert await memory.holder(first) is not None
    await clock.advance(1)
    await called(crowded)
    assert len(memory) == 1
