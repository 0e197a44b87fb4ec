"""The log: one line per event on stderr, as text for people or JSON for machines, without a secret in it.

Everything takes the same way, structlog's events and what libraries tell the standard `logging`: context is merged,
exceptions become text, secrets are masked, the line is written. A line that cannot be written is reported by its kind
alone, since its values may be what must not be seen.
"""

import contextlib
import logging
import sys
from collections.abc import Iterable

import structlog
from pydantic import SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

from bot.telemetry.redaction import Redactor

_QUIET = ("httpx", "httpcore", "aiohttp.access", "aiosqlite", "alembic", "asyncio", "stamina")
"""Loggers of libraries that tell every request at INFO or DEBUG, some with its whole URL."""

_FROM_ANYWHERE: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.format_exc_info,
    structlog.processors.UnicodeDecoder(),
]
# The same list object in every call of `configure`, so that loggers which were made before follow it.
_FROM_STRUCTLOG: list[Processor] = [
    structlog.stdlib.filter_by_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    *_FROM_ANYWHERE,
    structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
]


def configure(level: str, fmt: str, secrets: Iterable[SecretStr]) -> None:
    """Set up all logging of the process; a second call replaces the first.

    level: the least important lines that are written, `debug`, `info`, `warning` or `error`. fmt: `text` or `json`.
    secrets: what is masked wherever it turns up, besides what looks like a secret.
    """
    redactor = Redactor(secrets)
    handler = _Handler()
    handler.setFormatter(_Formatter(_renderer(fmt), redactor))
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    least = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(least)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(least, logging.WARNING))
    structlog.configure(
        processors=_FROM_STRUCTLOG,
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


class _Formatter(structlog.stdlib.ProcessorFormatter):
    def __init__(self, renderer: Processor, redactor: Redactor) -> None:
        def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
            return {key: redactor.value(value, key) for key, value in event.items()}

        remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
        super().__init__(foreign_pre_chain=_FROM_ANYWHERE, processors=[remove_meta, redact, renderer])
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        # Once more over the finished line, for what only the renderer turned into text.
        return self._redactor.line(super().format(record))


class _Handler(logging.Handler):
    """Writes to what is stderr at that moment, so that a replaced stderr is followed."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001  # a log call must not break what it tells about, whatever is in it
            line = f"A log line of {record.name} could not be written: {type(error).__name__}"
        with contextlib.suppress(OSError, ValueError):  # stderr is closed: there is nowhere left to say so
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()


def _renderer(fmt: str) -> Processor:
    if fmt == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False, default=repr)
    return structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0, pad_level=False)
