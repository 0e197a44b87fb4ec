"""One program with a console, between an avatar service of its own and its database, that is killed and started again:
what is told to it, and what must be so once the last one has ended. Knows no story.
"""

import asyncio
import contextlib
import signal
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it ships no types

from bot.core.models import UtteranceState
from tests.harness.forkserver import ForkServer, KillableProcess
from tests.harness.programs import KEY, Service

PROVIDERS = ("heygen-realtime", "heygen-streaming", "liveavatar")
LONG = "the first message takes quite a while to be said and is followed by another one that was sent ahead of it"
AHEAD = "short, and sent ahead"
HELD = "held by the cut and told afterwards to everybody who has been waiting for it as patiently as anybody could"
"""Longer than `NO_WORD_YET`, so that a bot that hears late of its beginning has not missed all of it."""

AGAIN = "all is well again"
IDLE = 40
"""Seconds of `SESSION_IDLE_TIMEOUT`."""

IDLE_AT_PROVIDER = {"heygen-realtime": 30.0, "heygen-streaming": IDLE + 60.0, "liveavatar": 300.0}
"""Seconds after which a provider ends a stream that nobody uses: the bound of what a dead bot costs."""

SLACK = 3.0
"""Seconds between a look at the service and the moment it was meant for."""

NO_WORD_YET = 5.0
"""Seconds into a text in which the bot need not know that it began: the clock runs 20 times as fast, so a report that a
busy machine delivers within a quarter of a second is so late."""

IN_DOUBT = "may not have been said before the restart"
"""What the shell reads of messages that a dead bot left in the middle."""

AT_ONCE = 4
"""Deaths that are met side by side, each with a simulator of its own; they mostly wait."""


@dataclass(frozen=True)
class Place:
    """Where one bot lives: its folder, the provider, a service that nobody else uses, and the URL of its database where
    that is on PostgreSQL."""

    fork_server: ForkServer
    folder: Path
    provider: str
    service: Service
    url: str | None = None

    def bot(self, last: str | None = None, *, takes_over: bool = False, **settings: str) -> KillableProcess:
        """A bot that dies at the step `last`. takes_over: steps are those with which it takes over from another one."""
        settings = {
            "AVATAR_PROVIDER": self.provider,
            "AVATAR_KEY_EXCLUSIVE": "true",
            "SESSION_IDLE_TIMEOUT": f"{IDLE}",
            "SESSION_IDLE_WARNING": f"{IDLE // 2}",
            "LIVEAVATAR_API_URL": self.service.url,
            "LIVEAVATAR_API_KEY": KEY,
        } | settings
        if self.url is not None:
            settings |= {"DATABASE_URL": self.url, "WEB_SECRET": "0123456789abcdef" * 2}
        return KillableProcess(
            self.fork_server,
            self.folder,
            "run",
            "--console",
            last=last,
            takes_over=takes_over,
            **self.service.settings(self.folder, **settings),
        )

    def rows(self, query: str) -> list[Any]:
        """What is in the database; nothing where there is none yet."""
        if self.url is not None:
            return asyncio.run(_rows_of(self.url, query))
        with contextlib.closing(sqlite3.connect(self.folder / "bot.sqlite3")) as connection:
            try:
                return connection.execute(query).fetchall()
            except sqlite3.OperationalError:
                return []


async def _rows_of(url: str, query: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    except asyncpg.UndefinedTableError:
        return []
    finally:
        await connection.close()


@contextmanager
def simulator(fork_server: ForkServer, folder: Path) -> Iterator[Service]:
    folder.mkdir()
    with KillableProcess(
        fork_server, folder, "simulator", "--port", "0", "--concurrency", "50", "--auto-viewer"
    ) as program:
        program.until("The simulator runs at")
        yield Service.found_in(program.output)


# --- what somebody writes ------------------------------------------------------------------------------------------


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
    assert place.rows("SELECT utterance_id FROM doubts") == [], "people do not know of some that are in doubt"
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


# --- the walk --------------------------------------------------------------------------------------------------------


def walk_through(steps: Sequence[str], meet_death: Callable[[int, str], bool]) -> None:
    """Have a program die at each of the steps: `meet_death` gets its number and its name, and returns False if the step
    did not come this time. Raises `AssertionError` with all that went wrong, and where too few of them came."""

    def live_through(number: int, last: str) -> tuple[bool, AssertionError | None]:
        try:
            return meet_death(number, last), None
        except AssertionError as error:
            return True, error

    with ThreadPoolExecutor(AT_ONCE) as pool:
        lives = list(pool.map(live_through, range(len(steps)), steps))
    failed = [f"killed {step}: {error}" for step, (_, error) in zip(steps, lives, strict=True) if error is not None]
    assert not failed, "\n\n".join(failed)
    missed = [step for step, (died, _) in zip(steps, lives, strict=True) if not died]
    # What is asked every second comes as often as the machine is slow.
    assert len(missed) <= len(steps) // 2, f"these steps did not come again: {missed}"
