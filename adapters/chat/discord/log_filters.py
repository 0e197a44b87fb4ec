"""What discord.py writes into the log: one line about a connection that fails, not a page of traceback each time, and
no request or event whole.

Only expected trouble of the network is shortened; whatever else the library reports stays as it is.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import discord

from adapters.chat.discord.rest import TRANSIENT_ERRORS

_LOGGERS = ("discord.client", "discord.gateway", "discord.shard", "discord.voice_state", "discord.player")
_TELLING_ALL = ("discord.gateway", "discord.http", "discord.webhook.async_")
"""Loggers that tell requests and events whole at DEBUG: people's words, and in addresses the tokens of interactions,
with which anybody can answer in the bot's name for 15 minutes (docs.discord.com, receiving and responding)."""

_EXPECTED = (*TRANSIENT_ERRORS, discord.ConnectionClosed, discord.GatewayNotFound)


def _is_no_payload(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


# Permanently, and not by a level: that would let through what LOG_LEVEL leaves out.
for _name in _TELLING_ALL:
    logging.getLogger(_name).addFilter(_is_no_payload)


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
