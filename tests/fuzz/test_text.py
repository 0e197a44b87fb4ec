"""Hostile text: the command grammar, what becomes of a message before it is spoken, and signed links."""

import json
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from adapters.web import SignedTickets, SignedWatchLinks
from adapters.web.protocol import parse_message
from bot.commands.parser import ADMIN, AVATAR, Command, Usage, parse
from bot.core.errors import LinkInvalid, Refused
from bot.text import estimate_duration, make_speakable, split
from tests import options
from tests.fuzz.corpus import KINDS, TEXTS, repeated
from tests.fuzz.growth import grows_linearly
from tests.harness.clock import ManualClock

pytestmark = pytest.mark.slow

BOUNDS = settings(max_examples=5_000 if options.is_thorough() else 150, deadline=None)
USAGES = {
    (AVATAR, "start"): Usage(AVATAR, "start", "", options=("avatar", "voice", "mode", "quality")),
    (AVATAR, "say"): Usage(AVATAR, "say", "", "TEXT", required=True),
    (AVATAR, "stop"): Usage(AVATAR, "stop", ""),
    (ADMIN, "sessions"): Usage(ADMIN, "sessions", ""),
}
VERBS = st.sampled_from(["start ", "say ", "stop ", "SAY\t", "start avatar=", 'start voice="', "", "/avatar "])
PARTS = st.sampled_from([*TEXTS, *repeated])
HOSTILE = st.one_of(
    st.text(st.characters(), max_size=200),  # surrogates too
    st.lists(PARTS, max_size=12).map("".join),
    st.lists(st.one_of(PARTS, st.text(max_size=8)), max_size=12).map(" ".join),
)
LONGEST_SENTENCE = 1_000
"""Characters of a refusal, whatever it is about: it quotes what was typed only in part."""

TICKETS = SignedTickets(SecretStr("a secret of some length"), ManualClock())
SIGNED = SignedWatchLinks(SecretStr("a secret of some length"), "https://watch.example", 3600.0, ManualClock())


def every_text(test: Callable[..., None]) -> Callable[..., None]:
    """The corpus, in addition to what hypothesis comes upon."""
    for text in TEXTS:
        test = example(text)(test)
    return test


# --- the grammar -----------------------------------------------------------------------------------------------------


@BOUNDS
@given(VERBS, HOSTILE, st.sampled_from([AVATAR, ADMIN]))
def test_every_line_is_a_command_or_is_refused_in_one_short_sentence(verb: str, rest: str, group: str) -> None:
    command = parsed(verb + rest, group)
    if isinstance(command, Refused):
        assert 0 < len(str(command)) < LONGEST_SENTENCE
        return
    usage = USAGES[group, command.verb]
    assert set(command.options) <= set(usage.options)
    assert bool(command.text) >= usage.required
    assert not command.text or usage.argument


def parsed(line: str, group: str = AVATAR) -> Command | Refused:
    try:
        return parse(line, USAGES, group)
    except Refused as refusal:
        return refusal


@pytest.mark.parametrize("verb", ["", "start ", "say "])
@pytest.mark.parametrize("part", repeated, ids=ascii)
def test_reading_a_command_takes_work_in_proportion_to_its_length(verb: str, part: str) -> None:
    assert grows_linearly(lambda text: parsed(verb + text), repeated[part])


# --- speech ----------------------------------------------------------------------------------------------------------


@BOUNDS
@given(HOSTILE)
@every_text
def test_every_message_becomes_one_line_that_can_be_said(text: str) -> None:
    said = make_speakable(text, {"<@1>": "Ana"})
    assert make_speakable(said) == said
    assert said == " ".join(said.split())
    said.encode("utf-8")
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in said)
    assert estimate_duration(said) >= 0


@BOUNDS
@given(HOSTILE, st.integers(1, 60))
def test_pieces_fit_and_lose_nothing(text: str, limit: int) -> None:
    said = make_speakable(text)
    pieces = split(said, limit)
    assert all(0 < len(piece) <= limit for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(said.split())


@pytest.mark.parametrize("part", repeated, ids=ascii)
def test_making_speech_of_a_message_takes_work_in_proportion_to_its_length(part: str) -> None:
    assert grows_linearly(lambda text: split(make_speakable(text), 900), repeated[part])


@pytest.mark.parametrize("part", repeated, ids=ascii)
def test_cutting_what_was_not_cleaned_takes_work_in_proportion_to_its_length(part: str) -> None:
    assert grows_linearly(lambda text: split(text, 50), repeated[part])


# --- tickets of frames -----------------------------------------------------------------------------------------------


def read(ticket: str) -> object:
    try:
        return TICKETS.read(ticket)
    except LinkInvalid:
        return None


@BOUNDS
@given(HOSTILE)
@every_text
def test_no_text_is_taken_for_a_ticket_of_ours(text: str) -> None:
    assert read(text) is None


@BOUNDS
@given(st.text(st.characters(max_codepoint=127), max_size=300))
def test_ticket_says_what_was_put_into_it(claim: str) -> None:
    ticket = TICKETS.read(TICKETS.make("example", claim, 60.0))
    assert (ticket.host, ticket.claim) == ("example", claim)


# --- signed links ----------------------------------------------------------------------------------------------------


def opened(signed: str) -> str | None:
    try:
        return SIGNED.nonce_of(signed)
    except LinkInvalid:
        return None


@BOUNDS
@given(HOSTILE)
@every_text
def test_no_text_is_taken_for_a_link_of_ours(text: str) -> None:
    assert opened(text) is None


@BOUNDS
@given(st.data())
def test_no_change_to_a_link_opens_anything(data: st.DataObject) -> None:
    url = SIGNED.url("nonce-of-link")
    assert url is not None
    signed = url.rsplit("/", 1)[1]
    at = data.draw(st.integers(0, len(signed)))
    cut = data.draw(st.integers(0, 3))
    changed = signed[:at] + data.draw(st.one_of(HOSTILE, st.text(max_size=3))) + signed[at + cut :]
    # The last character of a signature holds bits that mean nothing.
    assert opened(changed) in (None, "nonce-of-link")
    assert (opened(changed) is None) or changed[:-1] == signed[:-1]


@pytest.mark.parametrize("part", [".", "a.", "-", "é"])
def test_looking_at_a_link_takes_work_in_proportion_to_its_length(part: str) -> None:
    assert grows_linearly(opened, lambda size: part * size)


# --- what a page says ------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | HOSTILE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = ("visitor", "plays", "room", "id", "topic", "data")
SAYINGS = st.builds(
    lambda kind, others: json.dumps({"type": kind, **others}),
    st.sampled_from(KINDS) | JSON,
    st.dictionaries(st.sampled_from(NAMES), JSON, max_size=3),
)


@BOUNDS
@given(st.one_of(SAYINGS, JSON.map(json.dumps), HOSTILE))
@every_text
def test_what_a_page_says_is_understood_or_is_nothing(text: str) -> None:
    parse_message(text)


@pytest.mark.parametrize("part", ["[", '{"a":', '{"type":', '"', "1", "-", "\\", '{"type":"heard","topic":"'])
def test_reading_what_a_page_says_takes_work_in_proportion_to_its_length(part: str) -> None:
    assert grows_linearly(parse_message, lambda size: (part * (size // len(part) + 1))[:size])


# --- the measure itself ----------------------------------------------------------------------------------------------


def test_the_measure_sees_quadratic_work() -> None:
    def quadratic(text: str) -> int:
        # For two characters no processor has a shortcut.
        return sum(text.count("ab", at) for at in range(0, len(text), 2))

    assert not grows_linearly(quadratic, lambda size: "a" * size)
