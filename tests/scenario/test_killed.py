"""The program is killed at every step that writes or calls, on every provider: what the next start makes of it.

A story is told once to the end to learn its steps, then once for each step with a program that dies there. The steps
are printed (`-s`). In an ordinary run every so many-th is walked, another set for each provider; with
`--every-point` or `--hypothesis-profile=thorough` all of them are.
"""

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests import options
from tests.harness.forkserver import ForkServer, KillableProcess
from tests.harness.page_thread import PageThread
from tests.harness.programs import wait_until
from tests.harness.watchers import SETTINGS
from tests.scenario.killed_programs import (
    AHEAD,
    HELD,
    IDLE_AT_PROVIDER,
    IN_DOUBT,
    LONG,
    PROVIDERS,
    SLACK,
    Place,
    accepted,
    all_is_well_again,
    check_the_books,
    converse,
    killed_while_it_speaks,
    simulator,
    walk_through,
)

pytestmark = pytest.mark.slow

EVERY_STEP = options.is_every_point()

CUT = " ".join(
    f"This is part {number} of what is said until somebody loses patience and cuts it off." for number in range(8)
)

DOLLARS_A_SECOND = {
    "heygen-realtime": Decimal("0.05"),
    "heygen-streaming": Decimal("0.2") / 60,
    "liveavatar": Decimal("0.24") / 60,
}
OPENING = {
    "heygen-realtime": "/v3/avatar-realtime",
    "heygen-streaming": "/v1/streaming.new",
    "liveavatar": "/v1/sessions/start",
}
"""The call from which on a stream costs money. LiveAvatar has told the id of it one call earlier."""


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    with ForkServer() as fork_server:
        yield fork_server


@pytest.fixture(params=PROVIDERS)
def place(request: pytest.FixtureRequest, fork_server: ForkServer, tmp_path: Path) -> Iterator[Place]:
    with simulator(fork_server, tmp_path / "service") as service:
        yield Place(fork_server, tmp_path, request.param, service)


# --- the stories -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Story:
    """What a bot lives through; `tell` returns False if it died before the end. `prepare` is what was before.

    some: of so many steps one is walked in an ordinary run. settings: of its bots. is_watched: somebody watches the
    next bot, which says nothing to nobody.
    """

    tell: Callable[[KillableProcess, Place], bool]
    prepare: Callable[[Place], None] = lambda _: None
    some: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)
    is_watched: bool = False

    @property
    def walked(self) -> int:
        """Of so many steps one is walked now."""
        return 1 if EVERY_STEP else self.some


def tell_the_story(bot: KillableProcess, _: Place) -> bool:
    """An avatar that speaks, is cut, goes on and is stopped; then one that nobody talks to."""
    return converse(
        bot,
        ("/avatar start", "The avatar is live.", 1),
        (f"{LONG}\n{AHEAD}\n{CUT}\n{HELD}", f"saying: {CUT[:40]}", 1),
        ("/avatar interrupt", "cut: ", 1),
        ("/avatar skip", f"said: {HELD}", 1),
        ("/avatar stop", "has left after", 1),
        ("/avatar start", "The avatar is live.", 2),
        ("", "has left after", 2),
    )


def sleep_and_wake(bot: KillableProcess, place: Place) -> bool:
    """An avatar that says nothing to nobody, falls asleep between two messages, and is woken; then everybody leaves,
    and comes back."""
    heard = converse(
        bot, ("/avatar start", "The avatar is here.", 1), (LONG, "as soon as somebody opens", 1), ends=False
    )
    with PageThread(lambda: bot.output):
        heard = heard and bot.hears(f"said: {LONG}")
        wait_until(lambda: place.service.open_streams == 0 or not bot.is_there())
        heard = heard and converse(bot, (AHEAD, f"said: {AHEAD}", 1), ends=False)
    wait_until(lambda: place.service.open_streams == 0 or not bot.is_there())
    heard = heard and converse(bot, (HELD, "as soon as somebody opens", 2), ends=False)
    with PageThread(lambda: bot.output):
        heard = heard and bot.hears(f"said: {HELD}")
    return converse(bot, ("/avatar stop", "has left after", 1)) and heard


def recover(bot: KillableProcess, _: Place) -> bool:
    """Go on with what an earlier bot left."""
    return converse(bot, ("/avatar skip", f"said: {HELD}", 1), ("/avatar stop", "has left after", 1))


def sweep(bot: KillableProcess, place: Place) -> bool:
    """Stay until the service has nothing open."""
    if bot.hears("Web: "):
        wait_until(lambda: place.service.open_streams == 0 or not bot.is_there())
    bot.close_input()
    return bot.hears("Everything is closed.")


def killed_before_it_knew_the_stream(place: Place) -> None:
    """A bot that dies between the create and the write of its reply."""
    with place.bot("before writing Stream.bind (1)") as bot:
        bot.until("Web: ")
        bot.tell("/avatar start")
        assert bot.end() == -signal.SIGKILL


def meet_death(place: Place, story: Story, last: str) -> bool:
    """Tell the story with a bot that dies at the step `last`, and see what the next one makes of it. False if the
    step did not come this time."""
    story.prepare(place)
    with place.bot(last, **story.settings) as bot:
        story.tell(bot, place)
        died = bot.end() == -signal.SIGKILL
    with place.bot(**story.settings) as heir:
        with PageThread(lambda: heir.output) if story.is_watched else nullcontext():
            all_is_well_again(heir)
        wait_until(lambda: place.service.open_streams == 0)
        heir.close_input()
        assert heir.end() == 0
    check_the_books(place, accepted(bot, heir))
    return died


# --- the walk --------------------------------------------------------------------------------------------------------


def walk(fork_server: ForkServer, folder: Path, provider: str, story: Story) -> None:
    """Tell the story to its end, then with a bot that dies at each of its steps, or at each that is walked."""

    @contextmanager
    def somewhere(name: str) -> Iterator[Place]:
        (folder / name).mkdir()
        with simulator(fork_server, folder / name / "service") as service:
            yield Place(fork_server, folder / name, provider, service)

    with somewhere("whole") as place:
        story.prepare(place)
        with place.bot(**story.settings) as bot:
            assert story.tell(bot, place)
            assert bot.end() == 0
            steps = bot.steps
        place.service.end_streams()
    print(f"\n{provider}: {len(steps)} steps", *steps, sep="\n  ")  # noqa: T201 - the list of what is walked, for who wants to see it

    def meet(number: int, last: str) -> bool:
        with somewhere(f"{number}") as place:
            return meet_death(place, story, last)

    walk_through(steps[PROVIDERS.index(provider) :: story.walked], meet)


@pytest.mark.timeout(1200 if EVERY_STEP else 120)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_after_a_kill_at_any_step_nothing_leaks_nothing_is_lost_and_nothing_is_said_twice(
    fork_server: ForkServer, tmp_path: Path, provider: str
) -> None:
    walk(fork_server, tmp_path, provider, Story(tell_the_story, some=24))


@pytest.mark.long
@pytest.mark.timeout(1800 if EVERY_STEP else 300)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_kill_while_it_is_asleep_unwatched_or_woken_loses_nothing_and_says_nothing_twice(
    fork_server: ForkServer, tmp_path: Path, provider: str
) -> None:
    settings = {**SETTINGS, "STREAM_LINGER": "0", "SESSION_IDLE_TIMEOUT": "300"}
    walk(fork_server, tmp_path, provider, Story(sleep_and_wake, some=30, settings=settings, is_watched=True))


@pytest.mark.timeout(1200 if EVERY_STEP else 120)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_second_kill_while_the_bot_recovers_from_the_first_makes_nothing_worse(
    fork_server: ForkServer, tmp_path: Path, provider: str
) -> None:
    walk(fork_server, tmp_path, provider, Story(recover, killed_while_it_speaks, some=18))


@pytest.mark.parametrize("place", ["heygen-realtime"], indirect=True)
def test_what_is_in_doubt_is_told_although_the_bot_dies_that_has_just_noted_it(place: Place) -> None:
    killed_while_it_speaks(place)
    with place.bot("after writing Utterance.mark_in_flight_unknown (1)") as bot:
        assert bot.end() == -signal.SIGKILL
    assert place.rows("SELECT text FROM utterances WHERE state = 'unknown'") != []
    assert IN_DOUBT not in bot.output
    with place.bot() as heir:
        all_is_well_again(heir)
        heir.close_input()
        assert heir.end() == 0
    assert IN_DOUBT in heir.output
    assert f"not sure it was said: {LONG}" in heir.output
    check_the_books(place, accepted(bot, heir))


@pytest.mark.timeout(1200 if EVERY_STEP else 120)
def test_a_kill_while_the_sweeper_closes_what_nobody_owns_makes_nothing_worse(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    """On the one provider that lists its open streams and names one only in the reply to the create."""
    walk(fork_server, tmp_path, "heygen-streaming", Story(sweep, killed_before_it_knew_the_stream, some=8))


# --- what it costs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["heygen-streaming"], indirect=True)
def test_a_stream_whose_reply_the_bot_did_not_live_to_see_is_closed_within_two_rounds(place: Place) -> None:
    killed_before_it_knew_the_stream(place)
    with place.bot() as heir:
        assert sweep(heir, place)
        assert heir.end() == 0
    looks = ["GET /v1/streaming.list" in step for step in heir.steps]
    closes = ["before POST" in step for step in heir.steps]
    # One look of the recovery, and the two rounds.
    assert sum(looks[: closes.index(True)]) <= 3


def test_a_bot_that_stays_dead_costs_no_more_than_the_providers_idle_limit(place: Place) -> None:
    with place.bot() as bot:
        bot.until("Web: ")
        bot.type("/avatar start", LONG)
        bot.until("saying: the first message")
        bot.send(signal.SIGKILL)
        assert bot.end() == -signal.SIGKILL
    (stream,) = place.service.streams
    wait_until(lambda: place.service.open_streams == 0)
    (ended,) = place.service.streams
    bound = stream["seconds"] + IDLE_AT_PROVIDER[place.provider] + SLACK
    assert ended["seconds"] <= bound
    # What is charged is rounded up to the minute at the most.
    assert Decimal(ended["dollars"]) <= DOLLARS_A_SECOND[place.provider] * Decimal(bound + 60)


def test_a_stream_nobody_knows_of_costs_no_more_than_the_providers_idle_limit(place: Place) -> None:
    """The reply to the create is under way when the bot dies, and nobody may be sure that the stream is ours."""
    place.service.break_with(effect="hang", method="POST", path=OPENING[place.provider], after_work=True)
    with place.bot() as bot:
        bot.until("Web: ")
        bot.type("/avatar start")
        wait_until(lambda: place.service.streams != [])
        bot.send(signal.SIGKILL)
        assert bot.end() == -signal.SIGKILL
    with place.bot(AVATAR_KEY_EXCLUSIVE="false") as heir:
        all_is_well_again(heir)
        wait_until(lambda: place.service.open_streams == 0)
        heir.close_input()
        assert heir.end() == 0
    lost, _ = place.service.streams
    assert lost["seconds"] <= IDLE_AT_PROVIDER[place.provider] + SLACK
    check_the_books(place, accepted(bot, heir))
