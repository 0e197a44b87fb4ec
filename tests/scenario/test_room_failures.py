"""Every frame between the program and the avatar in its room fails in every way: what people read, and what is said.

LiveAvatar alone: v3 has no rooms, and v1 takes its commands over HTTP and gets no fake room from the simulator.

A worker is a program of its own, with a simulator and a fault proxy (`websocket_fault_proxy`), that lives through one
session for each of its failures. The workers run side by side; they mostly wait. In an ordinary run every second way is
lived through; with `--every-point` or `--hypothesis-profile=thorough` all of them.
"""

import re
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.simulator.liveavatar.catalogue import DEMO_CONTEXT
from adapters.simulator.llm.answers import answer_to
from tests.harness.fault_proxy import Talk, Worker, stride
from tests.harness.programs import Service, wait_until
from tests.harness.websocket_fault_proxy import ROOM, WELCOME, Way, WebSocketFaultProxy
from tests.scenario.expected_texts import MAYBE_SAID, NOT_CUT, trouble_in

pytestmark = [pytest.mark.slow, pytest.mark.long]

WORKERS = 6

SPEED = 5
"""How fast the simulator is."""

SETTINGS = {"AVATAR_PROVIDER": "liveavatar", "LIVEAVATAR_CONTEXT_ID": DEMO_CONTEXT}

SLOWNESS = 1.5
"""Seconds of real time that the way back into the room takes where it is slow."""

LONG = ["and on it goes until somebody cuts it"] * 9

TO_THE_ROOM = (Way.CUT, Way.CUT_AFTER, Way.SWALLOWED, Way.LATE)
TO_THE_BOT = tuple(way for way in Way if way is not Way.CUT_AFTER)
NOT_ARRIVING = (Way.CUT, Way.SWALLOWED)
COMPLETE = (Way.LATE, Way.TWICE)
"""Nothing is lost."""
BREAKING = (Way.CUT, Way.CUT_AFTER, Way.NOT_TEXT)
"""The connection is lost, and the room is entered again."""

END = re.compile(r"^  (said|answered|cut|not sure it was said|failed|dropped): (.*)$", re.MULTILINE)
"""The line that tells what became of a message, or of the question before an answer."""


# --- the frames ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frame:
    """A kind of frame, and the turn of the talk in which it comes.

    told: the sentences that people read. answer: the kind of frame that tells that this one took effect.
    may_be_doubted: whether the program may be left without a word that a message was begun, and then says so.
    is_alone: the end of a message is waited for before another is written. meanwhile: what is typed while the bot, cut
    off, is on its way back into the room.
    """

    event_type: str
    turn: str
    ways: Sequence[Way] = TO_THE_BOT
    told: Sequence[str] = ()
    answer: str = ""
    may_be_doubted: bool = False
    is_alone: bool = False
    meanwhile: str | None = None


TURNS = {"start": "/avatar start", "say": "{}", "ask": "/avatar ask {}", "interrupt": "/avatar interrupt"}
"""What is typed for the frame to be sent. `listen`: nothing, with a long message being said. `drop`: nothing, and the
service ends the session in the middle of it."""

BEGIN, END_OF_IT = "avatar.speak_started", "avatar.speak_ended"
FRAMES = [
    # First, so that the workers wait together: the program gives an end that is not told 15 s.
    Frame(END_OF_IT, "say", NOT_ARRIVING, is_alone=True),
    Frame(BEGIN, "say", NOT_ARRIVING, may_be_doubted=True, is_alone=True),
    Frame(END_OF_IT, "ask", [Way.SWALLOWED, Way.NOT_TEXT, Way.LATE]),
    Frame(BEGIN, "ask", [Way.TWICE, Way.CUT, Way.WRONG_FIELDS], may_be_doubted=True),
    Frame("avatar.speak_text", "say", [Way.CUT_AFTER, Way.LATE], answer=BEGIN, may_be_doubted=True),
    Frame("avatar.speak_response", "ask", [Way.CUT_AFTER, Way.LATE], answer=BEGIN, may_be_doubted=True),
    Frame("avatar.interrupt", "interrupt", TO_THE_ROOM, answer=END_OF_IT),
    Frame("session.stopped", "drop", told=[MAYBE_SAID]),
    Frame(WELCOME, "start"),
    Frame(BEGIN, "say", may_be_doubted=True),
    Frame("avatar.transcription.chunk", "listen"),
    Frame("avatar.transcription", "say"),
    Frame(END_OF_IT, "say"),
    Frame("avatar.transcription.chunk", "ask"),
    Frame("avatar.transcription", "ask"),
    Frame(END_OF_IT, "interrupt"),
    # Nothing ever told of them.
    Frame("avatar.speak_text", "say", [Way.SWALLOWED], [MAYBE_SAID], is_alone=True),
    Frame("avatar.speak_text", "say", NOT_ARRIVING, [MAYBE_SAID]),
    Frame("avatar.speak_response", "ask", NOT_ARRIVING, [MAYBE_SAID]),
    # People write while the bot is on its way back into the room.
    Frame(BEGIN, "say", [Way.CUT], may_be_doubted=True, meanwhile="{}"),
    Frame("avatar.transcription.chunk", "listen", [Way.CUT], [NOT_CUT], meanwhile="/avatar interrupt"),
    Frame("avatar.transcription.chunk", "listen", [Way.CUT], [NOT_CUT], meanwhile="/avatar skip"),
]


# --- a session in which a frame fails --------------------------------------------------------------------------------


@dataclass
class Session:
    """One session of a program that is in the room through a fault proxy. A `frame` fails in it, in one `way`."""

    service: Service
    proxy: WebSocketFaultProxy
    bot: Talk
    frame: Frame
    way: Way

    def __post_init__(self) -> None:
        self.first, self.second = f"{self.way}, the first", f"{self.way}, the second"
        self.is_long = self.frame.turn in ("interrupt", "listen", "drop")
        if self.is_long:
            self.first = " ".join([self.first, *LONG])
        self.streams_before = len(self.service.streams)
        self.bot.turn()

    def live(self) -> None:
        """From the start to the stop, and what must be so afterwards."""
        self._lead_up()
        entries, requests = self.proxy.entries, self.proxy.requests_of(ROOM)
        if self.frame.meanwhile is not None:
            method, path = ROOM.split()
            self.service.break_with(effect="latency", method=method, path=path, seconds=SLOWNESS * SPEED)
        self.proxy.fail_next(self.frame.event_type, self.way, self.frame.answer)
        self._take_the_turn()
        self.proxy.wait_for_failure()
        if self.frame.turn == "start":
            self.bot.hear("The avatar is live.")
        if self.frame.meanwhile is not None:
            self.proxy.wait_for(ROOM, requests + 1)
            self.bot.type(self.frame.meanwhile.format(self.second))
        elif self.way in BREAKING and self.frame.turn != "drop":
            self.proxy.wait_for_entries(entries + 1 + (self.frame.turn == "start"))
        self._go_on()
        self._check_what_is_heard()
        self._check_what_is_told()

    def _lead_up(self) -> None:
        if self.frame.turn == "start":
            return
        self.bot.type("/avatar start")
        self.bot.hear("The avatar is live.")
        if self.is_long:
            self.bot.type(self.first)
            self.bot.hear("  saying: ")
            wait_until(lambda: self.first in self._heard())

    def _take_the_turn(self) -> None:
        if self.frame.turn == "drop":
            self.service.break_with(drop_stream=self.service.streams[-1]["id"])
        elif self.frame.turn != "listen":
            self.bot.type(TURNS[self.frame.turn].format(self.first))

    def _go_on(self) -> None:
        """All is well again: a message is said, and the avatar leaves."""
        if self.frame.is_alone or self.frame.turn == "drop":
            self.bot.hear("  said: ", "  not sure it was said: ")
        if self.frame.meanwhile != "{}":
            self.bot.type(self.second)
        self.bot.hear(f"  said: {self.second}")
        self.bot.type("/avatar stop")
        self.bot.hear("The avatar has left after")

    def _check_what_is_told(self) -> None:
        told = [*self.frame.told]
        if self.frame.may_be_doubted and self.way not in COMPLETE and "\n  not sure it was said: " in self.bot.new:
            told.append(MAYBE_SAID)
        assert trouble_in(self.bot.new) == told, self.bot.new

    def _check_what_is_heard(self) -> None:
        heard = self._heard()
        assert len(heard) == len(set(heard)), f"said twice: {heard}"
        ends = END.findall(self.bot.new)
        assert len(ends) == (1 if self.frame.turn == "start" else 2), f"not one end each: {ends}"
        said = {text for end, text in ends if end in ("said", "answered")}
        assert said <= {*heard, *map(answer_to, heard)}, f"not said: {said} {heard}"
        streams = self.service.streams[self.streams_before :]
        assert len(streams) == (2 if self.frame.turn == "drop" else 1), f"other streams: {streams}"

    def _heard(self) -> list[str]:
        """What the avatar was heard to say in this session, at least in part; of an answer, the question."""
        return [
            text["asked"].strip()
            for stream in self.service.streams[self.streams_before :]
            for text in stream["spoken"]
            if text["state"] in ("speaking", "spoken", "interrupted")
        ]


# --- the walk --------------------------------------------------------------------------------------------------------


@dataclass
class RoomWorker(Worker):
    """The failures of frames. `cases` are for all workers: who is done takes the next one."""

    cases: deque[tuple[Frame, Way]]

    def walk(self) -> list[str]:
        """Live through every failure. Returns what went wrong."""
        failed = []
        with self.service(speed=SPEED, auto_viewer=False) as service, WebSocketFaultProxy(service.url) as proxy:
            while self.cases:
                # A program that failed may have left a session behind, which is not the business of the next one.
                with self.bot(proxy, self.folder / f"{len(self.cases)}", **SETTINGS) as bot:
                    try:
                        self._live_through(service, proxy, bot)
                    except AssertionError as error:
                        failed.append(f"{error}")
                service.end_streams()
                service.mend()
                proxy.mend()
        return failed

    def _live_through(self, service: Service, proxy: WebSocketFaultProxy, bot: Talk) -> None:
        """As many failures as one program can live through."""
        while (case := self._next_case()) is not None:
            frame, way = case
            try:
                Session(service, proxy, bot, frame, way).live()
                assert service.open_streams == 0, "a stream is left open"
            except AssertionError as error:
                raise AssertionError(f"{frame.event_type} ({frame.turn}), {way}: {error}") from None
        bot.close_input()
        assert bot.end() == 0

    def _next_case(self) -> tuple[Frame, Way] | None:
        try:
            return self.cases.popleft()
        except IndexError:
            return None


def some_of(ways: Sequence[Way], number: int) -> Sequence[Way]:
    """The ways that are lived through now; of a single one that is always it."""
    step = min(stride(), len(ways))
    return ways[number % step :: step]


@pytest.mark.timeout(480)
def test_a_frame_that_fails_is_told_at_most_once_and_says_nothing_twice_and_leaves_nothing_open(
    tmp_path: Path,
) -> None:
    cases = deque((frame, way) for number, frame in enumerate(FRAMES) for way in some_of(frame.ways, number))
    starting = threading.Semaphore(2)
    workers = [RoomWorker(tmp_path / f"{number}", starting, cases) for number in range(WORKERS)]
    with ThreadPoolExecutor(WORKERS) as pool:
        failed = [line for lines in pool.map(RoomWorker.walk, workers) for line in lines]
    assert not failed, "\n\n".join(failed)
