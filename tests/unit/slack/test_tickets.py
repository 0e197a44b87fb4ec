"""Tickets for the side pane: ten minutes, one page, and nobody else's."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from adapters.chat.slack.tickets import LIFETIME, MAX_TICKET_LENGTH, Tickets
from bot.core.errors import LinkInvalid
from tests.fakes.processes import Processes
from tests.harness.clock import ManualClock, settle

SECRET = SecretStr("secret-of-the-web-server")
HOUR = 3600.0


class MemoryTickets:
    """`ExchangedTickets` that all processes of a test share. asked: how often it was."""

    def __init__(self) -> None:
        self.holders: dict[str, str] = {}
        self.asked = 0

    async def holder(self, nonce: str) -> str | None:
        self.asked += 1
        return self.holders.get(nonce)

    async def take(self, nonce: str, page: str) -> bool:
        self.asked += 1
        return self.holders.setdefault(nonce, page) == page


def tickets_of(clock: ManualClock, secret: SecretStr = SECRET) -> Tickets:
    return Tickets(secret, clock, MemoryTickets(), Processes().join("alone").bus)


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


async def test_page_has_its_ticket_at_every_process_and_whoever_made_it_hears_of_the_call(clock: ManualClock) -> None:
    processes, exchanged = Processes(), MemoryTickets()
    making, here, there = [
        Tickets(SECRET, clock, exchanged, processes.join(name).bus) for name in ("making", "here", "there")
    ]
    issued = making.issue("k3v9qa", "U0123")
    ticket = here.read(issued.text)
    first, second = await here.page_for(ticket), await there.page_for(ticket)
    await there.call(ticket.nonce, second)
    await settle()
    assert issued.opened.is_set()
    with pytest.raises(LinkInvalid, match="used"):
        await here.call(ticket.nonce, first)
    assert await refusal(here, issued.text) == "used"
    await here.call(ticket.nonce, second)
    await processes.close()


async def test_database_is_not_asked_again_for_a_page_that_has_its_ticket(clock: ManualClock) -> None:
    exchanged = MemoryTickets()
    tickets = Tickets(SECRET, clock, exchanged, Processes().join("alone").bus)
    ticket = tickets.read(tickets.issue("k3v9qa", "U0123").text)
    page = await tickets.page_for(ticket)
    await tickets.call(ticket.nonce, page)
    before = exchanged.asked
    for _ in range(10):
        await tickets.call(ticket.nonce, page)
        with pytest.raises(LinkInvalid, match="used"):
            await tickets.call(ticket.nonce, "another page")
    assert exchanged.asked == before
