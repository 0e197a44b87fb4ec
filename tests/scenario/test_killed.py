"""The program is killed at every step that writes or calls, on every provider: what the next start makes of it.

A story is told once to the end to learn its steps, then once for each step with a program that dies there. The steps
are printed (`-s`). In an ordinary run every so many-th is walked, another set for each provider; with
`--every-point` or `--hypothesis-profile=thorough` all of them are.
"""

import contextlib
import signal
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot.core.models import UtteranceState
from tests import options
from tests.harness.forkserver import ForkServer, KillableProcess
from tests.harness.page_thread import PageThread
from tests.harness.programs import KEY, Service, wait_until
from tests.harness.watchers import SETTINGS

pytestmark = pytest.mark.slow

PROVIDERS = ("heygen-realtime", "heygen-streaming", "liveavatar")
EVERY_STEP = options.is_every_point()
AT_ONCE = 4
"""Stories that are told side by side, each with a simulator of its own; they mostly wait."""

LONG = "the first message takes quite a while to be said and is followed by another one that was sent ahead of it"
AHEAD = "short, and sent ahead"
CUT = " ".join(
    f"This is part {number} of what is said until somebody loses patience and cuts it off." for number in range(8)
)
HELD = "held by the cut and told afterwards to everybody who has been waiting for it as patiently as anybody could"
"""Longer than `NO_WORD_YET`, so that a bot that hears late of its beginning has not missed all of it."""

AGAIN = "all is well again"
IDLE = 40
"""Seconds of `SESSION_IDLE_TIMEOUT`."""

IDLE_AT_PROVIDER = {"heygen-realtime": 30.0, "heygen-streaming": IDLE + 60.0, "liveavatar": 300.0}
"""Seconds after which a provider ends a stream that nobody uses: the bound of what a dead bot costs."""

SLACK = 3.0
"""Seconds between a look at the service and the moment it was meant for."""

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

NO_WORD_YET = 5.0
"""Seconds into a text in which the bot need not know that it began: the clock runs 20 times as fast, so a report that a
busy machine delivers within a quarter of a second is so late."""


@dataclass(frozen=True)
class Place:
    """Where one bot lives: its folder, the provider, and a service that nobody else uses."""

    fork_server: ForkServer
    folder: Path
    provider: str
    service: Service

    def bot(self, last: str | None = None, **settings: str) -> KillableProcess:
        """A bot that dies at the step `last`."""
        settings = {
            "AVATAR_PROVIDER": self.provider,
            "AVATAR_KEY_EXCLUSIVE": "true",
            "SESSION_IDLE_TIMEOUT": f"{IDLE}",
            "SESSION_IDLE_WARNING": f"{IDLE // 2}",
            "LIVEAVATAR_API_URL": self.service.url,
            "LIVEAVATAR_API_KEY": KEY,
        } | settings
        return KillableProcess(
            self.fork_server,
            self.folder,
            "run",
            "--console",
            last=last,
            **self.service.settings(self.folder, **settings),
        )

    def rows(self, query: str) -> list[Any]:
        """What is in the database; nothing where there is none yet."""
        with contextlib.closing(sqlite3.connect(self.folder / "bot.sqlite3")) as connection:
            try:
                return connection.execute(query).fetchall()
            except sqlite3.OperationalError:
                return []


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    with ForkServer() as fork_server:
        yield fork_server


@contextmanager
def simulator(fork_server: ForkServer, folder: Path) -> Iterator[Service]:
    folder.mkdir()
    with KillableProcess(
        fork_server, folder, "simulator", "--port", "0", "--concurrency", "50", "--auto-viewer"
    ) as program:
        program.until("The simulator runs at")
        yield Service.found_in(program.output)


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
    settings: Mapping[str, str] = field(default_factory=dict)
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


def converse(bot: KillableProcess, *turns: tuple[str, str, int], ends: bool = True) -> bool:
    """Write each line and wait for its answer, the so many-th with these words. False if the bot died meanwhile.
    `ends`: nothing more is written."""
    heard = bot.hears("Web: ")
    for line, answer, times in turns:
        if heard:
            bot.tell(line)
        heard = heard and bot.hears(answer, times)
    if ends:
        bot.close_input()
    return heard


def killed_while_it_speaks(place: Place) -> None:
    """A bot that dies with one message being said and others waiting."""
    with place.bot() as bot:
        bot.until("Web: ")
        bot.type("/avatar start", LONG, AHEAD, HELD)
        bot.until("saying: the first message")
        bot.send(signal.SIGKILL)
        assert bot.end() == -signal.SIGKILL


def killed_before_it_knew_the_stream(place: Place) -> None:
    """A bot that dies between the create and the write of its reply."""
    with place.bot("before writing Stream.bind (1)") as bot:
        bot.until("Web: ")
        bot.tell("/avatar start")
        assert bot.end() == -signal.SIGKILL


def all_is_well_again(bot: KillableProcess) -> None:
    """The next bot goes on with what it found, says one more message, and leaves nothing."""
    bot.until("Web: ")
    bot.type("/avatar skip", "/avatar start", AGAIN)
    bot.until(f"said: {AGAIN}")
    bot.type("/avatar stop")
    bot.until("has left after")


# --- what must be so -------------------------------------------------------------------------------------------------


def heard_in(streams: Sequence[Any]) -> list[str]:
    """Every text that was heard, at least in part, without greetings."""
    return [
        text["asked"].strip()
        for stream in streams
        for text in stream["spoken"]
        if text["asked"].strip() != "Hi."
        and (
            text["state"] in ("speaking", "spoken")
            or (text["state"] == "interrupted" and text["ends_at"] - text["starts_at"] > NO_WORD_YET)
        )
    ]


def check_the_books(place: Place, taken: int) -> None:
    """After the last bot has ended: `taken` messages were accepted of the bots."""
    heard = heard_in(place.service.streams)
    assert len(heard) == len(set(heard)), f"said twice: {heard}"
    utterances = place.rows("SELECT text, state FROM utterances")
    assert len(utterances) >= taken, "something that was accepted is lost"
    assert all(UtteranceState(state).is_final for _, state in utterances), utterances
    # A long one is said in pieces.
    assert all(text in " ".join(heard) for text, state in utterances if state == "spoken")
    assert place.rows("SELECT id FROM sessions WHERE state != 'closed'") == []
    assert place.rows("SELECT id FROM streams WHERE state NOT IN ('closed', 'lost')") == []
    known = {upstream_id for (upstream_id,) in place.rows("SELECT upstream_id FROM streams")}
    for stream in place.service.streams:
        assert stream["id"] in known or stream["seconds"] <= IDLE_AT_PROVIDER[place.provider] + SLACK, stream


def accepted(*bots: KillableProcess) -> int:
    """How many messages the bots have said that they took."""
    return sum(
        line.startswith(("Got it.", "Queued, with", "The avatar is saying it", "The avatar is waking up to say it"))
        for bot in bots
        for line in bot.output.splitlines()
    )


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
    walked = steps[PROVIDERS.index(provider) :: story.walked]

    def live_through(number: int, last: str) -> tuple[bool, AssertionError | None]:
        with somewhere(f"{number}") as place:
            try:
                return meet_death(place, story, last), None
            except AssertionError as error:
                return True, error

    with ThreadPoolExecutor(AT_ONCE) as pool:
        lives = list(pool.map(live_through, range(len(walked)), walked))
    failed = [f"killed {step}: {error}" for step, (_, error) in zip(walked, lives, strict=True) if error is not None]
    assert not failed, "\n\n".join(failed)
    missed = [step for step, (died, _) in zip(walked, lives, strict=True) if not died]
    assert len(missed) <= max(1, len(walked) // 5), f"these steps did not come again: {missed}"


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
