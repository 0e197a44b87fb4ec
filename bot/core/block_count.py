"""How many blocks of code are running at the moment, in one event loop. Knows nothing of what they do."""

from collections.abc import Callable
from types import TracebackType


class BlockCount:
    """Enter it around each block, again and again, also inside one another. value: how many are inside.

    A class and no generator (`contextlib.contextmanager`), which takes four times as long for every message (measured).
    """

    __slots__ = ("_on_first", "_on_none", "value")

    def __init__(self, *, on_first: Callable[[], None] = lambda: None, on_none: Callable[[], None]) -> None:
        """on_first: called as somebody enters where nobody was. on_none: as the last one leaves."""
        self._on_first = on_first
        self._on_none = on_none
        self.value = 0

    def __enter__(self) -> None:
        self.value += 1
        if self.value == 1:
            self._on_first()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.value -= 1
        if not self.value:
            self._on_none()
