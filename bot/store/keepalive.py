"""libpq's `keepalives*` and `tcp_user_timeout`, which asyncpg has no argument for: set on the socket of a connection.

asyncpg is an extra and is imported only where it is needed.
"""

import asyncio
import socket
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any

_OPTIONS = {
    "keepalives_idle": "TCP_KEEPIDLE",
    "keepalives_interval": "TCP_KEEPINTVL",
    "keepalives_count": "TCP_KEEPCNT",
    "tcp_user_timeout": "TCP_USER_TIMEOUT",
}
"""Units are the same on both sides: seconds, a number, and milliseconds for the last one."""


@cache
def connection_class(**wished: str) -> type[Any] | None:
    """The class of connections to give to `asyncpg.connect`; None if nothing is wished, or asyncpg is not there."""
    if not wished or find_spec("asyncpg") is None:
        return None
    import asyncpg  # type: ignore[import-untyped]  # it ships no types

    class KeptAlive(asyncpg.Connection):  # type: ignore[misc]  # it ships no types
        __slots__ = ()

        def __init__(self, protocol: Any, transport: asyncio.Transport, *rest: Any) -> None:
            super().__init__(protocol, transport, *rest)
            keep_alive(transport.get_extra_info("socket"), wished)

    return KeptAlive


def keep_alive(connected: Any, wished: Mapping[str, str]) -> None:
    """Set what is wished. What this system does not know is left out, as in libpq; 0 and less mean its own default."""
    if connected is None or connected.family not in (socket.AF_INET, socket.AF_INET6):
        return
    if wished.get("keepalives") != "0":
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, option in _OPTIONS.items():
        value = int(wished.get(name, "0"))
        is_off = name != "tcp_user_timeout" and wished.get("keepalives") == "0"
        if value > 0 and not is_off and hasattr(socket, option):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
