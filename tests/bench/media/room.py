"""What it costs to show a room to more and more people: the bot is in the room of a LiveAvatar session, and encodes it.
The figures are of the bot alone; the encoder's process costs the same however many watch (`tests.bench.encode`).
"""

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.bench.figures import Figure
from tests.bench.media.scale import Scale
from tests.bench.processes import ON_LINUX, Child, cpu_seconds, resident_megabytes
from tests.harness.livekit import PROGRAM, running_livekit_server


def measure_room(scale: Scale) -> list[Figure]:
    """The figures of a room's viewers."""
    figures: list[Figure] = []
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        livekit = stack.enter_context(running_livekit_server(PROGRAM, Path(folder)))
        service = stack.enter_context(Child("media.rooms", livekit.url))
        bot = stack.enter_context(Child("media.bot", "liveavatar", service.hear(), "0"))
        _, link = bot.hear()
        for number in scale.viewers:
            with Child("media.viewers", link, str(number)) as viewers:
                viewers.hear()
                figures += _with_viewers(scale, number, bot, viewers)
    return figures


def _with_viewers(scale: Scale, number: int, bot: Child, viewers: Child) -> list[Figure]:
    time.sleep(scale.settle)
    viewers.order("count")
    used, began = cpu_seconds(bot.pid) if ON_LINUX else 0.0, time.perf_counter()
    time.sleep(scale.seconds)
    took = time.perf_counter() - began
    cpu = 100 * ((cpu_seconds(bot.pid) if ON_LINUX else 0.0) - used) / took
    parts, megabytes = viewers.order("count")
    title = f"room, {number} {'viewer' if number == 1 else 'viewers'}"
    figures = [
        Figure(f"{title}: parts to each viewer", "/s", [parts / number / took]),
        Figure(f"{title}: to all of them", "Mbit/s", [8 * megabytes / took]),
    ]
    if ON_LINUX:
        figures += [
            Figure(f"{title}: of one core, being in the room included", "%", [cpu]),
            Figure(f"{title}: memory", "MB", [resident_megabytes(bot.pid)]),
        ]
    return figures
