"""A process that has more messages to take in than it can."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from bot.core.precedence import CROWD, Precedence


@contextmanager
def crowd(precedence: Precedence, messages: int = CROWD) -> Iterator[None]:
    """So many are being taken in while the block runs."""
    with ExitStack() as stack:
        for _ in range(messages):
            stack.enter_context(precedence.urgent())
        yield
