"""A session of HeyGen Streaming API v1: `new -> connecting -> connected -> closing -> closed`.

The state machine with its timers; HTTP is the business of `v1`.
"""

from enum import IntEnum

from adapters.avatars.simulator.options import V1, SimulatorOptions
from adapters.avatars.simulator.streams import LiveStream
from bot.ports import Clock


class SessionState(IntEnum):
    """The values are the last digit of the code `session state wrong: ...` (TSSDK: 10001 to 10005)."""

    NEW = 1
    CONNECTING = 2
    CONNECTED = 3
    CLOSING = 4
    CLOSED = 5

    @property
    def word(self) -> str:
        """The state as the API writes it."""
        return self.name.lower()


class V1Session(LiveStream):
    """One session. `idle_timeout` in seconds; tasks and keep-alives reset it, speech by itself does not."""

    def __init__(
        self, id: str, clock: Clock, options: SimulatorOptions, avatar: str, voice: str, idle_timeout: float  # noqa: A002 - the field's word
    ) -> None:  # fmt: skip
        super().__init__(id, V1, options.v1_price, clock, avatar, voice)
        self._options = options
        self._idle_timeout = idle_timeout
        self._state = SessionState.NEW
        self._active_at = self.opened_at
        self._limit_at = self.opened_at + options.v1_session_limit
        self._viewer_at: float | None = None
        self._closed_by: tuple[float, str] | None = None
        self.arm()

    @property
    def state(self) -> str:
        """The state in the words of the API."""
        return self.phase.word

    @property
    def phase(self) -> SessionState:
        """The state."""
        return self._state

    def deadline(self) -> float:
        """The next of: closed, a simulated viewer, idle, too long."""
        if self._closed_by is not None:
            return self._closed_by[0]
        due = min(self._active_at + self._idle_timeout, self._limit_at)
        return due if self._viewer_at is None else min(due, self._viewer_at)

    def reach_deadline(self) -> None:
        """Do what is due."""
        if self._closed_by is not None:
            self._state = SessionState.CLOSED
            self.end(self._closed_by[1])
        elif self._viewer_at is not None and self._viewer_at <= min(
            self._active_at + self._idle_timeout, self._limit_at
        ):
            self._viewer_at = None
            self.watched()
        else:
            self.close("session_duration_limit" if self.deadline() == self._limit_at else "activity_idle_timeout")

    def start(self) -> None:
        """The avatar joins the room; it waits for a viewer."""
        self._state = SessionState.CONNECTING
        self.start_audio()
        if self._options.auto_viewer:
            self._viewer_at = self.clock.monotonic() + self._options.viewer_delay
            self.arm()

    def watched(self) -> None:
        """A viewer subscribed both tracks; from now on the avatar takes tasks."""
        if self._state is SessionState.CONNECTING:
            self._state = SessionState.CONNECTED
            self.tell()

    def touch(self) -> None:
        """Reset the idle timer."""
        self._active_at = self.clock.monotonic()

    def interrupt(self) -> None:
        """Cut the speech and drop what waits; nothing happens when the avatar is silent."""
        if self.timeline.cut(self.position):
            self.tell()

    def close(self, why: str) -> None:
        """Begin to close; the slot is free once the session is closed."""
        self._state = SessionState.CLOSING
        self.timeline.cut(self.position)
        self._closed_by = (self.clock.monotonic() + self._options.v1_closing, why)
        if self._options.v1_closing == 0:
            self.reach_deadline()
        else:
            self.tell()
            self.arm()

    def fail(self, message: str) -> None:
        """The service drops the session at once."""
        self._state = SessionState.CLOSED
        self.end(message)
