"""What to do with an unexpected error: the log has it whole once, with a reference, then a line each time.

One event that a library cannot parse may come a hundred times a minute; a hundred tracebacks would hide all the rest.
Decides nothing about what goes on after the error, and tells nobody but the log.
"""

import traceback

import structlog
from cachetools import LRUCache

from bot.core.ids import new_reference

log = structlog.get_logger(__name__)

MAX_KNOWN = 256
"""Errors that count as known; the one that was seen longest ago is logged whole again."""

MAX_ERROR_LENGTH = 200
"""Characters of an error that is known already."""

Place = tuple[type[BaseException], str, int]


class _Known:
    def __init__(self) -> None:
        self.reference = new_reference()
        self.times = 0


_known: LRUCache[Place, _Known] = LRUCache(MAX_KNOWN)


def report_unexpected(what: str, error: BaseException, **where: object) -> str:
    """Log `error` and return its reference, which is the same whenever it comes from the same place.

    what: the sentence of the log line. where: what else belongs on it, such as the platform; no secret.
    """
    place = _place_of(error)
    known = _known.setdefault(place, _Known())
    known.times += 1
    if known.times == 1:
        log.error(what, reference=known.reference, **where, exc_info=error)
    else:
        log.error(what, reference=known.reference, **where, error=repr(error)[:MAX_ERROR_LENGTH], times=known.times)
    return known.reference


def forget() -> None:
    """Know no error any more; for tests, which share a process."""
    _known.clear()


def _place_of(error: BaseException) -> Place:
    """What makes two errors the same: their kind, and the line they come from."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frames = list(traceback.walk_tb(error.__traceback__))
    if not frames:
        return type(error), "", 0
    frame, line = frames[-1]
    return type(error), frame.f_code.co_filename, line
