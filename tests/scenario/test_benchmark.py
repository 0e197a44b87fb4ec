"""The benchmark runs: each of its parts once, as small as it can be. How long anything takes is not asked here."""

import math

import pytest

from tests.bench.figures import Bound, Figure, table
from tests.bench.media import parts as media
from tests.bench.media import scale as media_scale
from tests.bench.parts import PARTS
from tests.bench.scale import SHORT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("name", [name for name in PARTS if name != "kill"])
def test_every_part_finds_figures(name: str) -> None:
    figures = PARTS[name].measure(SHORT)
    assert figures
    for figure in figures:
        assert all(value > 0 and math.isfinite(value) for value in figure.bare), figure
        # A difference of two that are next to nothing may be on either side of it.
        may_be_less = "more than" in figure.name
        assert all(math.isfinite(value) and (value >= 0 or may_be_less) for value in figure.ours), figure


@pytest.mark.parametrize("name", media.PARTS)
def test_every_part_of_the_picture_finds_figures(name: str) -> None:
    figures = media.PARTS[name].measure(media_scale.SHORT)
    assert figures
    assert all(math.isfinite(value) for figure in figures for value in (*figure.ours, *figure.bare))


def test_a_kill_in_a_flood_loses_nothing_repeats_nothing_and_keeps_the_order() -> None:
    figures = PARTS["kill"].measure(SHORT)
    acknowledged = [figure.ours[0] for figure in figures if "acknowledged" in figure.name]
    assert all(acknowledged), "nothing was acknowledged before the kill"
    bound = [figure for figure in figures if figure.bound]
    assert len(bound) == 3 * len(acknowledged) == 6
    assert all(figure.is_kept for figure in bound), bound


def test_a_missed_bound_is_told_and_a_ratio_is_one_of_the_same_round() -> None:
    slow = Figure("slow", "ms", [2.0, 9.0, 4.0], [1.0, 3.0, 1.0], Bound(2.5, aim=1.5))
    quick = Figure("quick", "/s", [2.0], [4.0], Bound(0.4, at_least=True))
    _, _, missed, kept = table([slow, quick]).splitlines()
    assert " ".join(missed.split()) == "slow 4 ms 1 ms 3.00 2 to 4 at most 2.5, aim 1.5 MISSED"
    assert " ".join(kept.split()) == "quick 2 /s 4 /s 0.50 at least 0.4 kept"
