"""What the relay costs: the bot hands `heygen-realtime`'s HLS on to more and more people, at the bit rate of a real
one.

The messages of other sessions are measured while the most of them watch, and beside that while as many watch the
provider's own HLS: the viewers need the same cores either way.
"""

import asyncio
import time
from contextlib import ExitStack

from tests.bench.figures import Bound, Figure
from tests.bench.media.delay import measure_delay
from tests.bench.media.scale import Scale
from tests.bench.processes import ON_LINUX, Child, cpu_seconds, resident_megabytes

ADDED_DELAY = Bound(300, of_ratio=False)
MESSAGES = Bound(1.2)


def measure_relay(scale: Scale) -> list[Figure]:
    """The figures of the relay."""
    figures: list[Figure] = []
    with ExitStack() as stack:
        origin = stack.enter_context(Child("media.origin"))
        bot = stack.enter_context(Child("media.bot", "heygen-realtime", origin.hear(), str(scale.sessions)))
        direct, link = bot.hear()
        bot.order("messages", rate=scale.rate, seconds=scale.settle)
        at_rest = resident_megabytes(bot.pid) if ON_LINUX else 0.0
        figures += _of_delay(*asyncio.run(measure_delay(direct, link, scale.seconds)))
        for number in scale.viewers:
            with Child("media.viewers", link, str(number)) as viewers:
                viewers.hear()
                figures += _with_viewers(scale, number, origin, bot, viewers, at_rest)
        rounds = [(_messages(scale, link, bot), _messages(scale, direct, bot)) for _ in range(scale.rounds)]
        figures += _of_messages(*map(list, zip(*rounds, strict=True)))
    return figures


def _messages(scale: Scale, address: str, bot: Child) -> list[float]:
    """How long messages take while as many watch as may."""
    with Child("media.viewers", address, str(scale.viewers[-1])) as viewers:
        viewers.hear()
        took: list[float] = bot.order("messages", rate=scale.rate, seconds=scale.seconds)
        return took


def _with_viewers(scale: Scale, number: int, origin: Child, bot: Child, viewers: Child, at_rest: float) -> list[Figure]:
    time.sleep(scale.settle)
    viewers.order("count")
    asked, used, began = origin.order("count"), cpu_seconds(bot.pid) if ON_LINUX else 0.0, time.perf_counter()
    time.sleep(scale.seconds)
    took = time.perf_counter() - began
    cpu = 100 * ((cpu_seconds(bot.pid) if ON_LINUX else 0.0) - used) / took
    now = origin.order("count")
    segments, megabytes = viewers.order("count")
    title = f"relay, {number} {'viewer' if number == 1 else 'viewers'}"
    figures = [
        Figure(f"{title}: playlists from the provider", "/s", [(now["m3u8"] - asked["m3u8"]) / took]),
        Figure(f"{title}: segments from the provider", "/s", [(now["m4s"] - asked["m4s"]) / took]),
        Figure(f"{title}: segments to each viewer", "/s", [segments / number / took]),
        Figure(f"{title}: to all of them", "Mbit/s", [8 * megabytes / took]),
    ]
    if ON_LINUX:
        figures += [
            Figure(f"{title}: of one core", "%", [cpu]),
            Figure(f"{title}: memory above that without", "MB", [max(0.0, resident_megabytes(bot.pid) - at_rest)]),
        ]
    return figures


def _of_messages(watched: list[list[float]], elsewhere: list[list[float]]) -> list[Figure]:
    """Other sessions' messages, by round."""
    title = "message to provider while they watch"
    return [
        Figure(
            f"{title}, p{percent}",
            "ms",
            [_percentile(took, percent) for took in watched],
            [_percentile(took, percent) for took in elsewhere],
            bound,
        )
        for percent, bound in ((50, None), (99, MESSAGES))
    ]


def _of_delay(ours: list[float], theirs: list[float]) -> list[Figure]:
    added = sorted(mine - other for mine, other in zip(ours, theirs, strict=True))
    return [
        Figure(
            "relay: segment is there after its end, p50",
            "ms",
            [_percentile(sorted(ours), 50)],
            [_percentile(sorted(theirs), 50)],
        ),
        Figure("relay: delay added to the provider's own, p50", "ms", [_percentile(added, 50)], bound=ADDED_DELAY),
        Figure("relay: delay added to the provider's own, p99", "ms", [_percentile(added, 99)], bound=ADDED_DELAY),
    ]


def _middle(values: list[float]) -> float:
    return _percentile(sorted(values), 50)


def _percentile(values: list[float], percent: int) -> float:
    return values[min(len(values) - 1, len(values) * percent // 100)]
