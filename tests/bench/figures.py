"""What a benchmark finds, the bounds it is held against, and the table of both."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Bound:
    """What a figure has to keep to, and what it should come to. `of_ratio`: the ratio to the bare client library is
    bound, else the bot's own value. `at_least`: the bound is the least there may be, else the most."""

    limit: float
    aim: float | None = None
    of_ratio: bool = True
    at_least: bool = False

    def keeps(self, value: float) -> bool:
        """Whether a value is within the bound."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        aim = f", aim {self.aim:g}" if self.aim is not None else ""
        return f"at {'least' if self.at_least else 'most'} {self.limit:g}{aim}"


@dataclass(frozen=True)
class Figure:
    """One value of the bot for each round and, where there is a comparison, one of the bare client in the same round.
    Both in `unit`; the rest is made of the medians."""

    name: str
    unit: str
    ours: Sequence[float]
    bare: Sequence[float] = ()
    bound: Bound | None = None

    @property
    def ratios(self) -> list[float]:
        """The bot's value over the bare client's, round by round."""
        return [ours / bare for ours, bare in zip(self.ours, self.bare, strict=True)] if self.bare else []

    @property
    def is_kept(self) -> bool | None:
        """Whether the figure keeps to its bound; None without one."""
        if self.bound is None:
            return None
        return self.bound.keeps(statistics.median(self.ratios if self.bound.of_ratio else self.ours))

    def cells(self) -> list[str]:
        """The row of the table."""
        verdict = {True: "kept", False: "MISSED", None: ""}[self.is_kept]
        spread = self.ratios or self.ours
        return [
            self.name,
            f"{statistics.median(self.ours):.4g} {self.unit}".strip(),
            f"{statistics.median(self.bare):.4g} {self.unit}".strip() if self.bare else "",
            f"{statistics.median(self.ratios):.2f}" if self.bare else "",
            f"{min(spread):.3g} to {max(spread):.3g}" if len(spread) > 1 else "",
            f"{'' if self.bound is None or self.bound.of_ratio else 'bot '}{self.bound or ''}",
            verdict,
        ]


HEADINGS = ["figure", "bot", "bare client", "ratio", "least to most", "bound", ""]


def table(figures: Iterable[Figure]) -> str:
    """All figures, one a line, in columns."""
    return columns(HEADINGS, [figure.cells() for figure in figures])


def columns(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows under their headings, one a line."""
    lines = [headings, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
