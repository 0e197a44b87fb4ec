"""What discord.py writes into the log about a connection that fails: one line, not a page of traceback each time.

Only expected trouble of the network is shortened; whatever else the library reports stays as it is.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import discord

from adapters.chat.discord.connection import PASSING

_LOGGERS = ("discord.client", "discord.gateway", "discord.shard")
_EXPECTED = (*PASSING, discord.ConnectionClosed, discord.GatewayNotFound)


class _OneLine(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, _EXPECTED):
            record.msg = f"{record.getMessage()} ({error!r})".replace("\n", " ")
            record.args, record.exc_info = (), None
        return True


@contextmanager
def shortened() -> Iterator[None]:
    """Shorten the library's reports of network trouble while the block runs."""
    one_line = _OneLine()
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(one_line)
    try:
        yield
    finally:
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(one_line)
