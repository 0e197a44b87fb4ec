"""The bus of one of several processes, over LISTEN and NOTIFY.

One connection listens, another one sends whatever waits with one statement. Each process listens to a channel of its
own and to one of all; both names are too long to guess, since PostgreSQL lets everybody listen who may connect.

That a connection stands does not mean that anything arrives over it (a pooler may have taken the LISTEN away), so each
process also sends to itself, and counts as deaf where that does not come back.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Self

import structlog

from bot.cluster.inbox import Inbox
from bot.cluster.packets import Assembler, Message, Verb, payloads_of
from bot.core.backoff import Backoff
from bot.core.bus import ASK_TIMEOUT, NOBODY, Handler
from bot.core.errors import ProcessSilent, ProcessUnreachable, StoreError, StoreUnavailable
from bot.core.ports import Clock
from bot.core.tasks import cancel_and_wait
from bot.core.time_limit import time_limit
from bot.store.notify import Listener, Notifier
from bot.store.processes import bus_name
from bot.store.url import DatabaseUrl
from bot.supervision import Supervised
from bot.telemetry import metrics

log = structlog.get_logger(__name__)

CHECK_EVERY = 2.0
"""Seconds between looks at whether the listening connection still is one, and between echoes."""

DEAF_AFTER = 7.0
"""Seconds without a word, its own echoes included, after which a process counts as one that hears nothing: three
echoes are missing then."""

ECHO = "bus.echo"
"""The kind of what a process sends to itself."""

DEAF = "hears nothing from the other processes: what comes in here for their avatars waits"
"""What `/readyz` tells of such a process."""

RECONNECT = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Seconds before each further attempt to listen again."""

MAX_TOGETHER = 500
"""Payloads in one statement, unless one message alone has more."""


def channel_of(name: str) -> str:
    """The channel of a process, or of the group that all belong to."""
    return f"relay_{name}"


@dataclass(slots=True, eq=False)
class _Parcel:
    """A message on its way: its payloads, and whether it could be sent."""

    channel: str
    payloads: list[str]
    sent: asyncio.Future[None]


class PostgresBus:
    """The bus of one of several processes, inside an `async with` block; entered, it listens if the database answers.

    Leaving it ends what is being handled, and what is being asked fails.
    """

    def __init__(
        self, address: DatabaseUrl, process: str, group: str, clock: Clock, wire: "Wire | None" = None
    ) -> None:
        """`group`: a secret of all processes in letters and digits, 50 characters at the most. `wire` makes the
        connections, where they are not to be those of `address`."""
        self.process = process
        self._clock = clock
        self._group = channel_of(group)
        self._inbox = Inbox()
        self._assembler = Assembler()
        name = bus_name(process)
        channels = (channel_of(process), self._group)
        self._listener, self._notifier = (wire or _to_postgresql)(address, name, channels, self._heard)
        self._numbers = count(1)
        self._asked: dict[int, tuple[str, asyncio.Future[str]]] = {}
        self._waiting: list[_Parcel] = []
        self._is_due = asyncio.Event()
        self._hooks: list[Callable[[], None]] = []
        self._is_connected = False
        self._heard_at = clock.monotonic()
        self._is_closed = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        try:
            await self._begin_to_listen()
        except StoreError as error:
            log.warning("what other processes send is not heard yet", error=str(error))
        for name, work in (("bus: hearing", self._listen), ("bus: sending", self._send)):
            part = Supervised(name, work, self._clock)
            self._tasks.append(asyncio.create_task(part.run(), name=part.part))
        metrics.bus_seconds.set_function(self._since_heard)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_closed = True
        metrics.bus_seconds.set_function(_alone)
        await self._inbox.close()
        for task in self._tasks:
            await cancel_and_wait(task)
        for parcel in self._waiting:
            _fail(parcel, "the program is ending")
        self._waiting.clear()
        self._give_up(list(self._asked.values()), "the program is ending")
        self._listener.close()
        self._notifier.close()

    # --- what others use ---------------------------------------------------------------------------------------------

    @property
    def is_listening(self) -> bool:
        """Whether what others send is heard."""
        return self._is_connected and not self._is_deaf

    @property
    def unhealthy_reason(self) -> str | None:
        """Why this process and the others do not hear each other, for `/readyz`; None while they do, and in the first
        seconds."""
        return DEAF if self._is_deaf else None

    @property
    def _is_deaf(self) -> bool:
        return self._since_heard() >= DEAF_AFTER

    def _since_heard(self) -> float:
        return self._clock.monotonic() - self._heard_at

    def when_listening(self, then: Callable[[], None]) -> None:
        """Call `then` whenever listening begins, and now if it has."""
        self._hooks.append(then)
        if self._is_connected:
            then()

    def handle(self, kind: str, handler: Handler) -> None:
        """Have this kind handled here."""
        self._inbox.handle(kind, handler)

    def unhandle(self, kind: str) -> None:
        """Refuse this kind from now on."""
        self._inbox.unhandle(kind)

    async def ask(self, process: str, kind: str, body: str, *, timeout: float = ASK_TIMEOUT) -> str:
        """The other's answer. Raises `ProcessUnreachable`."""
        if process == self.process:
            return await self._inbox.answer(process, kind, body)
        number = next(self._numbers)
        question: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._asked[number] = process, question
        try:
            async with time_limit(self._clock, timeout):
                await self._hand_over(process, Message(Verb.ASK, self.process, number, kind, body))
                return await question
        except TimeoutError:
            raise ProcessSilent(f"another process did not answer {kind} within {timeout:g} s") from None
        finally:
            del self._asked[number]
            if question.done() and not question.cancelled():
                # It may have been refused in the very moment in which the time was over.
                question.exception()

    async def tell(self, process: str, kind: str, body: str) -> None:
        """Send without an answer. Raises `ProcessUnreachable`."""
        if process == self.process:
            self._inbox.take_news(process, kind, body)
            return
        await self._hand_over(process, Message(Verb.TELL, self.process, next(self._numbers), kind, body))

    async def shout(self, kind: str, body: str) -> None:
        """Tell every other process."""
        message = Message(Verb.TELL, self.process, next(self._numbers), kind, body)
        try:
            await self._put(self._group, message)
        except ProcessUnreachable as error:
            log.warning("the other processes could not be told", kind=kind, error=str(error))

    def process_gone(self, process: str) -> None:
        """A process has ended: nobody waits for its answers any longer."""
        self._give_up([asked for asked in self._asked.values() if asked[0] == process], "it has ended")

    def _give_up(self, asked: Sequence[tuple[str, asyncio.Future[str]]], why: str) -> None:
        for _, question in asked:
            if not question.done():
                question.set_exception(ProcessSilent(f"another process gave no answer: {why}"))

    # --- sending -----------------------------------------------------------------------------------------------------

    async def _hand_over(self, process: str, message: Message) -> None:
        if process == NOBODY:
            raise ProcessUnreachable("the process that had it has ended, and nobody has taken it up yet")
        await self._put(channel_of(process), message)

    async def _put(self, channel: str, message: Message) -> None:
        if self._is_closed:
            raise ProcessUnreachable("the program is ending")
        await self._enqueue(channel, message)

    def _post(self, process: str, message: Message, then: Callable[[asyncio.Future[None]], None]) -> None:
        """Send what nobody waits for: who asked gives up by itself. `then` has to look at what became of it."""
        self._enqueue(channel_of(process), message).add_done_callback(then)

    def _enqueue(self, channel: str, message: Message) -> asyncio.Future[None]:
        parcel = _Parcel(channel, payloads_of(message), asyncio.get_running_loop().create_future())
        self._waiting.append(parcel)
        self._is_due.set()
        return parcel.sent

    async def _send(self) -> None:
        while True:
            await self._is_due.wait()
            together = self._take_what_waits()
            if not together:
                continue
            try:
                await self._notifier.notify([(parcel.channel, one) for parcel in together for one in parcel.payloads])
            except StoreError as error:
                for parcel in together:
                    _fail(parcel, str(error))
            except BaseException:
                for parcel in together:
                    _fail(parcel, "it could not be sent")
                raise
            else:
                for parcel in together:
                    if not parcel.sent.done():
                        parcel.sent.set_result(None)

    def _take_what_waits(self) -> list[_Parcel]:
        number, payloads = 0, 0
        while number < len(self._waiting):
            payloads += len(self._waiting[number].payloads)
            if number and payloads > MAX_TOGETHER:
                break
            number += 1
        together, self._waiting = self._waiting[:number], self._waiting[number:]
        if not self._waiting:
            self._is_due.clear()
        # Whoever has given up meanwhile is not waited for, and what they asked is old.
        return [parcel for parcel in together if not parcel.sent.done()]

    # --- listening ---------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        backoff = Backoff(RECONNECT)
        while True:
            try:
                if not self._is_connected:
                    await self._begin_to_listen()
                    if not self._is_deaf:
                        backoff.reset()
                await self._until_lost()
            except StoreError as error:
                log.warning("what other processes send is not heard", error=str(error))
            finally:
                self._is_connected = False
                self._assembler.forget()
            await self._clock.sleep(backoff.next())

    async def _begin_to_listen(self) -> None:
        await self._listener.listen()
        self._is_connected = True
        for hook in self._hooks:
            hook()

    async def _until_lost(self) -> None:
        """Until the connection is lost, or nothing has come over it for too long. Raises `StoreError` if it turns out
        to be dead."""
        began = self._clock.monotonic()
        while not self._listener.is_lost.is_set():
            self._send_echo()
            try:
                async with time_limit(self._clock, CHECK_EVERY):
                    await self._listener.is_lost.wait()
            except TimeoutError:
                await self._listener.check()
            if self._clock.monotonic() - max(began, self._heard_at) >= DEAF_AFTER:
                self._listener.close()
                raise StoreUnavailable("nothing comes over the connection that listens")
        log.warning("the connection that hears what other processes send was lost")

    def _send_echo(self) -> None:
        self._post(self.process, Message(Verb.TELL, self.process, next(self._numbers), ECHO, ""), _miss)

    def _heard(self, payload: str) -> None:
        self._heard_at = self._clock.monotonic()
        try:
            message = self._assembler.take(payload)
        except ValueError as error:
            log.warning("something was sent here that cannot be read", error=type(error).__name__)
            return
        if message is None or message.sender == self.process or self._is_closed:
            return
        match message.verb:
            case Verb.ASK:
                self._inbox.take_question(message.sender, message.kind, message.body, self._reply_to(message))
            case Verb.TELL:
                self._inbox.take_news(message.sender, message.kind, message.body)
            case Verb.ANSWER | Verb.REFUSE:
                self._take_answer(message)

    def _take_answer(self, message: Message) -> None:
        _, question = self._asked.get(int(message.kind), (None, None))
        if question is None or question.done():
            return
        if message.verb is Verb.ANSWER:
            question.set_result(message.body)
        else:
            question.set_exception(ProcessUnreachable(f"another process gave no answer: {message.body}"))

    def _reply_to(self, asked: Message) -> Callable[[str | None, str], None]:
        def reply(answer: str | None, why: str) -> None:
            verb, body = (Verb.REFUSE, why) if answer is None else (Verb.ANSWER, answer)
            self._post(
                asked.sender, Message(verb, self.process, next(self._numbers), str(asked.number), body), _look_at
            )

        return reply


Wire = Callable[[DatabaseUrl, str, Sequence[str], Callable[[str], None]], tuple[Listener, Notifier]]
"""Gets a database, the name of the connections there, the channels to listen to, and who is told of payloads."""


def _to_postgresql(
    address: DatabaseUrl, name: str, channels: Sequence[str], on_payload: Callable[[str], None]
) -> tuple[Listener, Notifier]:
    return Listener(address, name, channels, on_payload), Notifier(address, name)


def _fail(parcel: _Parcel, why: str) -> None:
    if not parcel.sent.done():
        parcel.sent.set_exception(ProcessUnreachable(f"another process could not be sent anything: {why}"))


def _alone() -> float:
    return 0.0


def _miss(echo: asyncio.Future[None]) -> None:
    """That it does not come back says enough."""
    if not echo.cancelled():
        echo.exception()


def _look_at(sent: asyncio.Future[None]) -> None:
    if not sent.cancelled() and (error := sent.exception()) is not None:
        log.warning("an answer to another process was not sent", error=str(error))
