"""PostgreSQL's LISTEN and NOTIFY: what carries the messages between processes (`bot.cluster.bus`).

On connections of its own, with nothing else in their transactions: a notification inside a transaction of data would
hold one lock for the whole server over the wait for the disk. Knows neither processes nor what the payloads mean.
Everything raised here is a `StoreError`.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from bot.store.errors import driver_errors, translate_error
from bot.store.url import DatabaseUrl

CONNECT_LIMIT = 2.0
"""Seconds of real time that connecting may take."""

STATEMENT_LIMIT = 2.0
"""Seconds of real time for a statement."""

MAX_PAYLOAD = 7999
"""Bytes (https://www.postgresql.org/docs/current/sql-notify.html)."""

_NOTIFY = "SELECT pg_notify(channel, payload) FROM unnest($1::text[], $2::text[]) AS sent (channel, payload)"
# Nobody waits for the disk: what was sent is gone with the server in any case.
_NO_WAIT = "SELECT set_config('synchronous_commit', 'off', false)"


class _Connection:
    """One connection of asyncpg, which opens when it is needed."""

    def __init__(self, address: DatabaseUrl, name: str) -> None:
        self._address = address
        self._name = name
        self._driver: Any = None

    async def _open(self) -> Any:
        import asyncpg  # type: ignore[import-untyped]  # 3 MB, and an extra; it ships no types

        said: Any = self._address.arguments.get("server_settings", {})
        arguments = {**self._address.arguments, "server_settings": {**said, "application_name": self._name}}
        return await asyncpg.connect(**{**arguments, "timeout": CONNECT_LIMIT, "command_timeout": STATEMENT_LIMIT})

    def _drop(self) -> None:
        """At once: to say goodbye to a server that does not answer takes its time."""
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.terminate()

    def close(self) -> None:
        """Give the connection back."""
        self._drop()


class Notifier(_Connection):
    """Sends notifications, over a connection that opens with the first of them and again after it was lost."""

    async def notify(self, sent: Sequence[tuple[str, str]]) -> None:
        """Send payloads to channels, all or none of them. They arrive in this order, with nothing in between."""
        try:
            if self._driver is None:
                self._driver = await self._open()
                await self._driver.execute(_NO_WAIT)
            await self._driver.fetch(_NOTIFY, [channel for channel, _ in sent], [payload for _, payload in sent])
        except driver_errors() as error:
            self._drop()
            raise translate_error(error, self._address) from None
        except BaseException:
            self._drop()
            raise


class Listener(_Connection):
    """Hears what is sent to some channels, from `listen` until `is_lost`."""

    def __init__(
        self, address: DatabaseUrl, name: str, channels: Sequence[str], on_payload: Callable[[str], None]
    ) -> None:
        """`name` is what the server knows the connection by. `on_payload` must not raise."""
        super().__init__(address, name)
        self._channels = channels
        self._on_payload = on_payload
        self.is_lost = asyncio.Event()

    async def listen(self) -> None:
        """Connect and begin to listen."""
        self.is_lost = lost = asyncio.Event()
        try:
            self._driver = driver = await self._open()
            driver.add_termination_listener(lambda _: lost.set())
            for channel in self._channels:
                await driver.add_listener(channel, self._heard)
        except driver_errors() as error:
            self._drop()
            raise translate_error(error, self._address) from None
        except BaseException:
            self._drop()
            raise

    async def check(self) -> None:
        """Whether the server still is there: a connection may be dead without a word."""
        try:
            await self._driver.execute("SELECT 1")
        except driver_errors() as error:
            self._drop()
            raise translate_error(error, self._address) from None

    def _heard(self, _connection: object, _server: int, _channel: str, payload: object) -> None:
        self._on_payload(str(payload))
