"""Every call that the program makes to a provider fails in every way: what people read, and what the service sees.

A worker takes one call: a program of its own, with a simulator and a fault proxy (`fault_proxy`), that lives through
all ways in which the call can fail, one session each. The workers of a provider run side by side; they mostly wait. In
an ordinary run each worker lives through every second way, another half than its neighbour; with `--every-point` or
`--hypothesis-profile=thorough` through all of them.
"""

import re
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot import sentences
from bot.core.errors import AnswerError, AnswerTrouble, RateLimited, Transient, Trouble
from bot.core.models import UtteranceState
from tests.harness.fault_proxy import FaultProxy, Talk, Worker, stride
from tests.harness.programs import KEY, Service, wait_until
from tests.scenario.expected_texts import trouble_in, words

pytestmark = [pytest.mark.slow, pytest.mark.long]

SILENT, REFUSED, BUSY_ONCE, BUSY, SLOW = "silent", "refused", "429 once", "429 for long", "slow"
WAYS: Mapping[str, Mapping[str, Any]] = {
    # First, so that all workers wait together: the program gives a call 30 s.
    SILENT: {"effect": "hang"},
    REFUSED: {},
    "reset before the effect": {"effect": "refused_before", "times": None},
    "reset after the effect": {"effect": "lost_reply", "times": None},
    BUSY_ONCE: {"effect": "status", "status": 429, "retry_after": 1, "times": 1},
    BUSY: {"effect": "status", "status": 429, "retry_after": 1, "times": None},
    "500 before the effect": {"effect": "status", "times": None},
    "500 after the effect": {"effect": "status", "times": None, "after_work": True},
    SLOW: {"effect": "latency", "times": None},
    "garbage": {"effect": "garbage", "times": None},
    "empty": {"effect": "empty", "times": None},
    "wrong type": {"effect": "wrong_type", "times": None},
}
"""What the simulator is asked for; `refused` is the business of the proxy."""

SURELY_WITHOUT_EFFECT = (REFUSED, BUSY_ONCE, BUSY)
WITH_EFFECT = ("reset after the effect", "500 after the effect", "garbage", "empty", "wrong type")

NEXT_MINUTES = 100
"""Seconds of a `Retry-After` that a message does not wait out."""

SLOWNESS = 1.0
"""Seconds of real time of a slow answer."""


# --- what is told ----------------------------------------------------------------------------------------------------


TROUBLES = {
    "silent": Trouble.TIMEOUT,
    "refused": Trouble.REFUSED,
    "reset": Trouble.RESET,
    "500": Trouble.SERVER_ERROR,
    "garbage": Trouble.MALFORMED,
    "empty": Trouble.MALFORMED,
    "wrong": Trouble.MALFORMED,
}
"""What people are told it is, by the first word of a way."""

LIMITED = RateLimited("", retry_after=1)
LIMITED_FOR_LONG = RateLimited("", retry_after=NEXT_MINUTES)

Sentence = str | Callable[[str], str]
"""A sentence, or what makes it of a way to fail."""

Told = Mapping[str, Sequence[str]]
"""The sentences that are told of each way to fail, in their order."""


def each(usual: Sentence | None, **others: Sentence | None) -> Told:
    """`others` are by the first word of a way, 429 being `busy`; None for nothing."""
    sentence = {way: others.get(way.partition(" ")[0], usual) for way in WAYS}
    sentence |= {BUSY: others.get("busy", usual), BUSY_ONCE: None, SLOW: None}
    return {
        way: [] if said is None else [said if isinstance(said, str) else said(way)] for way, said in sentence.items()
    }


def no_reply(way: str) -> Transient:
    return Transient("", may_have_taken_effect=True, trouble=TROUBLES.get(way.partition(" ")[0], Trouble.UNREACHABLE))


def unanswered(way: str) -> str:
    return words(sentences.failure(no_reply(way)))


def without_effect(way: str) -> str:
    return words(sentences.failure(no_reply(way).without_effect()))


def maybe_said(way: str) -> str:
    return words(sentences.not_said(UtteranceState.UNKNOWN, no_reply(way)))


def not_cut(way: str) -> str:
    return words(sentences.interrupt_failed(no_reply(way)))


def not_reached(way: str) -> str:
    network = TROUBLES[way.partition(" ")[0]]
    return words(sentences.failure(AnswerError("", why=AnswerTrouble.UNREACHABLE, network=network)))


NOBODY = without_effect(REFUSED)
UNREACHABLE = words(sentences.failure(Transient("", may_have_taken_effect=False)))
SLOW_DOWN = words(sentences.failure(LIMITED))
NOT_SAID = words(sentences.not_said(UtteranceState.FAILED, LIMITED_FOR_LONG))
NOT_CUT_LIMITED = words(sentences.interrupt_failed(LIMITED_FOR_LONG))
NOT_CONFIRMED = sentences.close_not_confirmed()

NOTHING = each(None)
ASKED_BEFORE_CREATE = each(without_effect, silent=None, busy=SLOW_DOWN)
CREATED = each(unanswered, refused=without_effect, busy=SLOW_DOWN)
# Where the service cannot be reached at all, the stream cannot be closed either, which is told first.
STARTED = {**CREATED, REFUSED: [NOT_CONFIRMED, NOBODY]}
# LiveAvatar tells a room once: what was started in vain is stopped, and another session started.
STARTED_ANEW = {**NOTHING, REFUSED: [NOT_CONFIRMED, NOBODY]}
ENTERED = {way: [UNREACHABLE] for way in WAYS} | {REFUSED: [NOT_CONFIRMED, UNREACHABLE], SLOW: []}
SAID = each(maybe_said, refused=None, busy=NOT_SAID)
CUT = each(not_cut, busy=NOT_CUT_LIMITED)
CLOSED = each(NOT_CONFIRMED, silent=None)
UNANSWERED = each(
    words(sentences.failure(AnswerError(""))),
    refused=not_reached,
    reset=not_reached,
    silent=words(sentences.failure(AnswerError("", why=AnswerTrouble.TIME))),
    busy=words(sentences.failure(AnswerError("", why=AnswerTrouble.BUSY))),
    garbage=words(sentences.failure(AnswerError("", why=AnswerTrouble.ADDRESS))),
    empty=words(sentences.failure(AnswerError("", why=AnswerTrouble.ADDRESS))),
)

# --- the calls -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """A call, as `METHOD PATH`, and the turn of the talk in which it is made.

    after: the request that comes right before it in that turn. fresh: it is remembered for a while, so that each way
    needs a program that has just started. is_streamed: what comes after its effect comes too late. retry_after: what a
    429 that lasts tells, seconds. times: how often it fails, where it is not until it is told.
    """

    request: str
    turn: str
    told: Told
    after: str = ""
    fresh: bool = False
    is_streamed: bool = False
    retry_after: int = 1
    times: int | None = None


CREATE = {
    "heygen-streaming": "POST /v1/streaming.new",
    "heygen-realtime": "POST /v3/avatar-realtime",
    "liveavatar": "POST /v1/sessions/start",
}
TURNS = {
    "start": "/avatar start",
    "say": "{}",
    "ask": "/avatar ask {}",
    "interrupt": "/avatar interrupt",
    "keep": "/avatar idle 800",
    "list": "/avatar-admin cleanup",
    "stop": "/avatar stop",
}
"""What is typed for the call to be made. `cut` breaks every connection instead, so that words are read again, and rooms
entered again."""

SPEED = {"heygen-streaming": 2, "heygen-realtime": 2, "liveavatar": 5}
"""How fast the simulator is. v3 ends a stream after 30 s without text, LiveAvatar one after 300 s with nobody in its
room, v1 one after 90 s without a keep-alive, which comes every 30 s of the bot's own time."""

STREAM = "/v3/avatar-realtime/*[0-9a-f]"
CALLS: Mapping[str, Sequence[Call]] = {
    "heygen-streaming": [
        Call("POST /v1/streaming.create_token", "start", ASKED_BEFORE_CREATE),
        Call("POST /v1/streaming.new", "start", CREATED, after="POST /v1/streaming.create_token"),
        Call("POST /v1/streaming.start", "start", STARTED, after="POST /v1/streaming.new"),
        Call("POST /v1/streaming.task", "say", SAID, retry_after=NEXT_MINUTES),
        Call("POST /v1/streaming.task", "ask", SAID, retry_after=NEXT_MINUTES),
        Call("POST /v1/streaming.interrupt", "interrupt", CUT, retry_after=NEXT_MINUTES),
        Call("POST /v1/streaming.keep_alive", "keep", NOTHING),
        Call("GET /v1/streaming.list", "list", NOTHING),
        Call("POST /v1/streaming.stop", "stop", CLOSED),
    ],
    "heygen-realtime": [
        Call("GET /v3/avatars/looks", "start", ASKED_BEFORE_CREATE, fresh=True),
        Call("POST /v3/avatar-realtime", "start", CREATED),
        Call(f"GET {STREAM}", "start", {**STARTED, SILENT: []}, after="POST /v3/avatar-realtime"),
        Call("GET /v3/avatar-realtime/*/words", "cut", NOTHING, is_streamed=True, times=2),
        Call("POST /v3/avatar-realtime/*/text", "say", SAID, retry_after=NEXT_MINUTES),
        Call("POST /v1/chat/completions", "ask", UNANSWERED, is_streamed=True),
        Call("POST /v3/avatar-realtime/*/cancel", "interrupt", CLOSED),
        Call("POST /v3/avatar-realtime/*/cancel", "stop", CLOSED),
    ],
    "liveavatar": [
        Call("GET /v1/avatars", "start", ASKED_BEFORE_CREATE, fresh=True),
        Call("POST /v1/sessions/token", "start", CREATED, after="GET /v1/avatars"),
        Call("POST /v1/sessions/start", "start", STARTED_ANEW, after="POST /v1/sessions/token", times=1),
        Call("GET /simulator/rooms/*", "start", ENTERED, after="POST /v1/sessions/start", is_streamed=True),
        Call("GET /v1/sessions/*[0-9a-f]", "cut", NOTHING, times=2),
        Call("POST /v1/sessions/keep-alive", "keep", NOTHING),
        Call("GET /v1/sessions", "list", NOTHING),
        Call("POST /v1/sessions/stop", "stop", CLOSED),
    ],
}


# --- a session in which a call fails ---------------------------------------------------------------------------------


@dataclass
class Session:
    """One session of a program that talks to a simulator through a fault proxy. `call` fails in it, once in a `way`."""

    provider: str
    folder: Path
    service: Service
    proxy: FaultProxy
    bot: Talk
    call: Call
    way: str

    def __post_init__(self) -> None:
        self.told = self.call.told[self.way]
        self.first, self.second = f"{self.way}, the first", f"{self.way}, the second"
        self.streams_before = len(self.service.streams)
        self.entered = self.proxy.requests_of("GET /simulator/rooms/*") + 1
        self.bot.turn()

    def live(self) -> None:
        """From the start to the stop, and what must be so afterwards."""
        self._lead_up()
        asked = self.proxy.requests_of(self.call.request)
        creates = self.proxy.requests_of(CREATE[self.provider])
        self._break()
        self._take_the_turn()
        self._wait_for_the_failure(asked)
        creates = self.proxy.requests_of(CREATE[self.provider]) - creates
        assert creates <= 1 or self.way in SURELY_WITHOUT_EFFECT, "created twice"
        if self.way != SLOW:
            self._mend()
        self._go_on()
        self._mend()
        self._check_what_is_told()
        self._check_what_is_heard()

    def _lead_up(self) -> None:
        if self.call.turn == "start":
            return
        self.bot.type("/avatar start")
        self.bot.hear("The avatar is live.")
        if self.call.turn == "interrupt":
            self.bot.type(" ".join([self.way] + ["and on it goes until somebody cuts it"] * 12))
            self.bot.hear(f"saying: {self.way}")

    def _break(self) -> None:
        if self.way == REFUSED:
            if self.call.after:
                self.proxy.shut_after(self.call.after)
            else:
                self.proxy.shut()
            return
        method, _, path = self.call.request.partition(" ")
        fault = {"method": method, "path": path, **WAYS[self.way]}
        if self.call.times is not None and fault.get("times", 1) is None:
            fault["times"] = self.call.times
        if self.call.is_streamed:
            fault["after_work"] = False
        if self.way == BUSY:
            fault["retry_after"] = self.call.retry_after
        if self.way == SLOW:
            fault["seconds"] = SLOWNESS * SPEED[self.provider]
        self.service.break_with(**fault)

    def _mend(self) -> None:
        self.service.mend()
        self.proxy.open()

    def _take_the_turn(self) -> None:
        if self.call.turn == "cut":
            self.proxy.cut()
        else:
            self.bot.type(TURNS[self.call.turn].format(self.first))

    def _wait_for_the_failure(self, asked: int) -> None:
        if self.told:
            self.bot.hear(self.told[0])
        elif self.call.turn == "list":
            self.bot.hear("Closed no sessions.")
        elif self.way != REFUSED:
            self.proxy.wait_for(self.call.request, asked + 1)
        elif self.call.turn in ("say", "ask"):
            self._wait_until_held_back(self.first)
        elif self.call.turn == "keep":
            # Nothing tells of it; the next message is looked at after it.
            self.bot.type(self.second)
            if self.provider == "liveavatar":
                self.bot.hear(f"said: {self.second}")
            else:
                self._wait_until_held_back(self.second)

    def _wait_until_held_back(self, text: str) -> None:
        """Until the program has tried to send a message, and has put it back into its queue."""

        def state() -> str:
            with closing(sqlite3.connect(self.folder / "bot.sqlite3")) as connection:
                row = connection.execute("SELECT state FROM utterances WHERE text = ?", (text,)).fetchone()
            return row[0] if row else ""

        wait_until(lambda: state() == UtteranceState.SENDING)
        wait_until(lambda: state() == UtteranceState.QUEUED)

    def _go_on(self) -> None:
        """All is well again: a message is said, and the avatar leaves."""
        if self.call.turn == "stop":
            self.bot.hear("The avatar has left after")
            return
        if self.call.turn == "start":
            if self.told:
                self.bot.hear(self.told[-1])
                self.bot.type("/avatar start")
            self.bot.hear("The avatar is live.")
        elif self.call.turn == "cut" and self.provider == "liveavatar":
            self.proxy.wait_for("GET /simulator/rooms/*", self.entered + 1)
        elif self.call.turn == "say" and not self.told:
            self.bot.hear(f"said: {self.first}")
        elif self.call.turn == "ask" and not self.told:
            self.bot.hear(f"answering: {self.first}")
            self.bot.type("/avatar skip")
        if not (self.call.turn == "keep" and self.way == REFUSED):
            self.bot.type(self.second)
        self.bot.hear(f"said: {self.second}")
        self.bot.type("/avatar stop")
        self.bot.hear("The avatar has left after")

    def _check_what_is_told(self) -> None:
        assert trouble_in(self.bot.new) == self.told, self.bot.new

    def _check_what_is_heard(self) -> None:
        streams = self.service.streams[self.streams_before :]
        # One more than there are starts, where a failed one has to be made good for or a cut closes the stream.
        assert len(streams) <= 2, streams
        heard = [
            text["asked"].strip()
            for stream in streams
            for text in stream["spoken"]
            if text["state"] in ("speaking", "spoken", "interrupted") and text["asked"].strip() != "Hi."
        ]
        assert len(heard) == len(set(heard)), f"said twice: {heard}"
        said = re.findall(r"^  said: (.*)$", self.bot.new, re.MULTILINE)
        assert set(said) <= set(heard), f"not said: {said} {heard}"


# --- the walk --------------------------------------------------------------------------------------------------------


@dataclass
class CallWorker(Worker):
    """Everything that befalls one call."""

    provider: str
    call: Call
    ways: Sequence[str]

    def walk(self) -> list[str]:
        """Live through every way in which the call fails. Returns what went wrong."""
        failed, ways = [], deque(self.ways)
        with self.service(speed=SPEED[self.provider]) as service, FaultProxy(service.url) as proxy:
            while ways:
                # A program that failed may have left a session behind, which is not the business of the next one.
                folder = self.folder / f"{len(ways)}"
                with self.bot(proxy, folder, **self._settings(proxy)) as bot:
                    try:
                        self._live_through(ways, service, proxy, bot, folder)
                    except AssertionError as error:
                        failed.append(f"{self.provider}, {self.call.request}, {error}")
                service.mend()
                proxy.open()
            service.end_streams()
        return failed

    def _live_through(self, ways: deque[str], service: Service, proxy: FaultProxy, bot: Talk, folder: Path) -> None:
        """As many ways as one program can live through."""
        while ways:
            way = ways.popleft()
            try:
                Session(self.provider, folder, service, proxy, bot, self.call, way).live()
                assert service.open_streams <= self._lost_until(way), "a stream is left open"
            except AssertionError as error:
                raise AssertionError(f"{way}: {error}") from None
            if self.call.fresh:
                break
        wait_until(lambda: service.open_streams == 0)
        bot.close_input()
        assert bot.end() == 0

    def _settings(self, proxy: FaultProxy) -> dict[str, str]:
        answers = {"CHAT_API_URL": f"{proxy.url}/v1", "CHAT_API_KEY": KEY, "CHAT_MODEL": "simulator"}
        return {"AVATAR_PROVIDER": self.provider, **answers}

    def _lost_until(self, way: str) -> int:
        """How many creates have taken effect by then without the program knowing of what they opened."""
        if self.call.request != CREATE[self.provider] or self.call.told is not CREATED:
            return 0
        return sum(lived in WITH_EFFECT for lived in self.ways[: self.ways.index(way) + 1])


@pytest.mark.timeout(480)
@pytest.mark.parametrize("provider", CALLS)
def test_a_call_that_fails_is_told_once_and_creates_says_and_leaves_nothing_twice_or_open(
    provider: str, tmp_path: Path
) -> None:
    starting = threading.Semaphore(2)
    workers = [
        CallWorker(tmp_path / f"{number}", starting, provider, call, [*WAYS][number % stride() :: stride()])
        for number, call in enumerate(CALLS[provider])
    ]
    with ThreadPoolExecutor(len(workers)) as pool:
        failed = [line for lines in pool.map(CallWorker.walk, workers) for line in lines]
    assert not failed, "\n\n".join(failed)
