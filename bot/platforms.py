"""The chat platforms at work, each by itself: what happens to one must not be felt on another, nor end a session.

A platform that fails unexpectedly connects again after a pause (`bot.supervision`), with what it had to show
still in hand. One that only the operator can help is left out until the next start, and its avatars leave, since nobody
could stop them; where no other platform is left, the program ends with its sentence.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

import structlog

from bot.core.errors import SettingsError
from bot.core.events import LeftUnsaid, Notice, SessionChanged, Subscription, UtteranceChanged, WordsSpoken
from bot.core.ports import Clock, Echo
from bot.core.unexpected import report_unexpected
from bot.facade import ChatAdapter
from bot.sessions.registry import SessionRegistry
from bot.supervision import Supervised

log = structlog.get_logger(__name__)

LEFT_OUT = "left out until the next start, as only the operator can help; the log says why"
"""What `/readyz`, which anybody may read, tells of such a platform."""

CANNOT_BE_USED = "the bot cannot work on this platform until its operator has looked at the log"

_DELIVERED = (UtteranceChanged, LeftUnsaid)
"""Events that may have to reach people."""


class _Platform:
    """One platform, and why it is left out where it is."""

    def __init__(self, adapter: ChatAdapter, clock: Clock) -> None:
        self.adapter = adapter
        self.supervised = Supervised(adapter.name, adapter.run, clock, may_end_program=SettingsError)
        self.is_entered = False
        self.left_out: str | None = None

    @property
    def unhealthy_reason(self) -> str | None:
        return self.left_out or self.supervised.unhealthy_reason or self.adapter.unhealthy_reason


class Platforms:
    """Every chat platform of this process."""

    def __init__(self, adapters: Sequence[ChatAdapter], sessions: SessionRegistry, clock: Clock, echo: Echo) -> None:
        self._sessions = sessions
        self._echo = echo
        self._platforms = {adapter.name: _Platform(adapter, clock) for adapter in adapters}

    @property
    def unhealthy_reasons(self) -> Mapping[str, str | None]:
        """Of each platform why messages cannot come in; None if they can."""
        return {name: platform.unhealthy_reason for name, platform in self._platforms.items()}

    async def enter(self, stack: AsyncExitStack) -> None:
        """Enter every adapter; the leaving is left to `stack`. Raises what the last one failed with, if none is in."""
        for platform in self._platforms.values():
            try:
                await stack.enter_async_context(platform.adapter)
            except Exception as error:
                platform.left_out = LEFT_OUT
                if not self._in_use:
                    raise
                name = platform.adapter.name
                reference = report_unexpected("a platform could not be set up: unexpected error", error, platform=name)
                await self._leave_out(name, f"it could not be set up (ref {reference})")
            else:
                platform.is_entered = True

    def start(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Run each platform that was entered, as a task of `group`. Raises `SettingsError` there once the last platform
        can only be helped by the operator."""
        return [group.create_task(self._run(platform), name=platform.adapter.name) for platform in self._in_use]

    async def show(self, following: Subscription) -> None:
        """Hand every event to the platform whose channel it is about, to the end of `following`."""
        async for event in following:
            match event:
                case SessionChanged(view):
                    channel = view.channel
                case UtteranceChanged(channel) | Notice(channel) | LeftUnsaid(channel):
                    pass
                case WordsSpoken():
                    # Captions are for the watch page alone.
                    continue
            platform = self._platforms.get(channel.platform)
            if platform is None or not platform.is_entered:
                continue
            try:
                await platform.adapter.show(event)
                if isinstance(event, _DELIVERED) and event.delivery is not None:
                    event.delivery.release()
            except Exception as error:  # noqa: BLE001 - what one event is to show must not keep all others from being shown
                report_unexpected("an event was not shown: unexpected error", error, platform=channel.platform)

    @property
    def _in_use(self) -> list[_Platform]:
        return [platform for platform in self._platforms.values() if platform.left_out is None]

    async def _run(self, platform: _Platform) -> None:
        try:
            await platform.supervised.run()
        except SettingsError as error:
            platform.left_out = LEFT_OUT
            if not self._in_use:
                raise
            await self._leave_out(platform.adapter.name, str(error))

    async def _leave_out(self, name: str, sentence: str) -> None:
        log.error("a chat platform is left out until the next start", platform=name, why=sentence)
        self._echo(f"{name.capitalize()}: left out until the next start; {sentence}")
        try:
            await self._sessions.end_in_channels(lambda channel: channel.platform == name, CANNOT_BE_USED)
        except Exception as error:  # noqa: BLE001 - this runs beside the other platforms, and outside of every supervision
            report_unexpected("the avatars of a platform did not leave: unexpected error", error, platform=name)
