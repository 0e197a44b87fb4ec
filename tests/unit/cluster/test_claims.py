"""How many of the sessions that nobody owns a process takes."""

import pytest

from bot.cluster.claims import AT_LEAST, share_of


@pytest.mark.parametrize(
    ("free", "sharers", "own", "share"),
    [
        (0, 2, 0, 0),
        (1, 3, 0, 1),
        (10, 2, 0, 5),
        (11, 2, 0, 6),
        (10, 3, 50, 4),
        # A process that falls behind must not bury the next one.
        (1000, 2, 0, AT_LEAST),
        (1000, 2, 300, 300),
        (1000, 2, 800, 500),
        # Nobody else can have them.
        (1000, 1, 0, None),
    ],
)
def test_each_takes_its_share_and_not_more_than_it_can_bear(
    free: int, sharers: int, own: int, share: int | None
) -> None:
    assert share_of(free, sharers, own) == share
