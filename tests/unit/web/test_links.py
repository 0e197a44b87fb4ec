"""Signed watch links: what they open, and when they stop."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from adapters.web import SignedWatchLinks
from bot.core.errors import LinkInvalid
from tests.harness.clock import ManualClock

HOUR = 3600.0
SECRET = "a secret of some length"


def links(clock: ManualClock, secret: str = SECRET, public_url: str | None = "https://w.example") -> SignedWatchLinks:
    return SignedWatchLinks(SecretStr(secret), public_url, HOUR, clock)


def signed(of: SignedWatchLinks, nonce: str = "Zm9vYmFyYmF6") -> str:
    url = of.url(nonce)
    assert url is not None
    return url.removeprefix("https://w.example/w/")


def why(of: SignedWatchLinks, text: str) -> str:
    with pytest.raises(LinkInvalid) as caught:
        of.nonce_of(text)
    return caught.value.why


def test_a_link_gives_back_its_nonce() -> None:
    made = links(ManualClock())
    assert made.nonce_of(signed(made)) == "Zm9vYmFyYmF6"


def test_a_link_is_short_and_safe_in_a_path() -> None:
    path = f"/w/{signed(links(ManualClock()))}"
    assert len(path) < 80
    assert all(character.isascii() and (character.isalnum() or character in "/-_.") for character in path)


def test_without_a_public_url_there_is_no_link() -> None:
    assert links(ManualClock(), public_url=None).url("nonce") is None


async def test_a_link_stays_the_same_for_a_while() -> None:
    clock = ManualClock()
    made = links(clock)
    first = signed(made)
    await clock.advance(HOUR / 10 - 1)
    assert signed(made) == first
    await clock.advance(1)
    assert signed(made) != first


async def test_a_link_expires_after_its_lifetime() -> None:
    clock = ManualClock()
    made = links(clock)
    link = signed(made)
    await clock.advance(HOUR * 0.9 - 1)
    assert made.nonce_of(link) == "Zm9vYmFyYmF6"
    await clock.advance(HOUR * 0.1 + 1)
    assert why(made, link) == "expired"


async def test_a_link_that_was_read_before_is_read_as_if_it_was_not() -> None:
    clock = ManualClock()
    made = links(clock)
    text = signed(made)
    assert [made.nonce_of(text) for _ in range(2)] == ["Zm9vYmFyYmF6"] * 2
    changed = text[:20] + ("A" if text[20] != "A" else "B") + text[21:]
    assert [why(made, changed) for _ in range(2)] == ["forged"] * 2
    await clock.advance(HOUR)
    assert why(made, text) == "expired"


def test_another_secret_opens_nothing() -> None:
    clock = ManualClock()
    assert why(links(clock, "another secret, as long"), signed(links(clock))) == "forged"


def test_a_link_that_was_made_for_something_else_opens_nothing() -> None:
    from itsdangerous import TimestampSigner

    other = TimestampSigner("a secret of some length", salt="another purpose").sign("Zm9vYmFyYmF6").decode()
    assert why(links(ManualClock()), other) == "forged"


def test_any_changed_character_makes_it_forged() -> None:
    made = links(ManualClock())
    link = signed(made)
    for place in range(len(link) - 1):  # the last character holds two bits that mean nothing in base64
        tampered = link[:place] + ("A" if link[place] != "A" else "B") + link[place + 1 :]
        assert why(made, tampered) == "forged"


@given(st.text(max_size=300))
def test_whatever_comes_it_is_forged_and_nothing_else_is_raised(text: str) -> None:
    assert why(links(ManualClock()), text) == "forged"


async def test_an_expired_link_that_was_tampered_with_is_forged() -> None:
    clock = ManualClock()
    made = links(clock)
    link = signed(made)
    await clock.advance(2 * HOUR)
    assert why(made, "X" + link) == "forged"


def test_the_secret_is_in_no_representation() -> None:
    made = links(ManualClock(), "do-not-show-this-secret")
    assert "do-not-show" not in repr(made) + str(vars(made))
