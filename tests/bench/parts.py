"""The parts of the benchmark by name: what each measures, and the bounds of those that have no module of their own."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.bench.cluster import handing_on, takeover, two_beside_one
from tests.bench.figures import Bound, Figure
from tests.bench.flood import survive_kill
from tests.bench.processes import ON_LINUX, Child, folder, surroundings
from tests.bench.relay import measure
from tests.bench.scale import Scale
from tests.harness.postgres import running_postgres

SLOW = 6.0
"""Seconds that a slow provider takes for every request."""

THROUGHPUT = Bound(0.40, at_least=True)
ACKNOWLEDGED = Bound(100, of_ratio=False)
MEMORY = Bound(60, of_ratio=False)
IDLE = Bound(3, of_ratio=False)
RECOVERED = Bound(2, of_ratio=False)


def acknowledgements(name: str, scale: Scale) -> list[Figure]:
    """How soon a platform hears that a command has come, while the provider keeps everybody waiting."""
    with surroundings(name.lower(), scale.commands) as place, folder() as where, place.bot(where):
        place.service.break_with(effect="latency", path="/v*", seconds=SLOW, times=None)
        took = place.platform.order("acknowledgements", command="start")
        if place.service.open_streams:
            raise RuntimeError("the provider was not slow")
    title = f"{name}: {scale.commands} commands at once, acknowledged"
    return [
        Figure(f"{title}, p50", "ms", [took[len(took) // 2]]),
        Figure(f"{title}, p99", "ms", [took[len(took) * 99 // 100]], bound=ACKNOWLEDGED),
    ]


def throughput(scale: Scale) -> list[Figure]:
    """How fast the core is without a platform."""
    with Child("core", "throughput", str(scale.rounds), str(3 * scale.each)) as core:
        found = core.hear()
    return [Figure("core alone, 32 sessions: throughput", "/s", found["ours"], found["bare"], THROUGHPUT)]


def sessions(provider: str, scale: Scale) -> list[Figure]:
    """What live sessions cost in which nobody talks."""
    if not ON_LINUX:
        return []
    with Child("core", "sessions", provider, str(scale.sessions), str(scale.silence)) as core:
        found = core.hear()
    title = f"{scale.sessions} sessions on {provider}"
    return [
        Figure(f"{title}: memory above start-up", "MB", found["memory"], bound=MEMORY),
        Figure(f"{title}: one core, nobody talks", "%", found["cpu"], bound=IDLE),
        Figure(f"{title}: recovered after a restart", "s", found["ours"], found["bare"], RECOVERED),
    ]


def on_postgres(scale: Scale) -> list[Figure]:
    """The way of a message with PostgreSQL, where there is one."""
    with running_postgres() as server:
        return [] if server is None else measure("Slack", scale, server.get_uri())


@dataclass(frozen=True)
class Part:
    """One part. `about`: what it measures, for people."""

    about: str
    measure: Callable[[Scale], list[Figure]]


PARTS = {
    "slack": Part("from a Slack event to the provider's request, beside bare bolt", partial(measure, "Slack")),
    "discord": Part("the same on Discord, beside bare discord.py", partial(measure, "Discord")),
    "postgres": Part("the same on Slack, with PostgreSQL (left out where the machine has none)", on_postgres),
    "cluster": Part("two processes on one PostgreSQL database, beside one", two_beside_one),
    "handing-on": Part("messages and commands that come in at the wrong one of two processes", handing_on),
    "takeover": Part("1,000 sessions of one of two processes, which is killed", takeover),
    "kill": Part("a bot that is killed in a flood of messages", survive_kill),
    "slack-commands": Part("Slack commands while the provider is slow", partial(acknowledgements, "Slack")),
    "discord-commands": Part("Discord commands while the provider is slow", partial(acknowledgements, "Discord")),
    "core": Part("the core without a platform, beside bare posts", throughput),
    "sessions-v1": Part("1,000 silent sessions on heygen-streaming", partial(sessions, "heygen-streaming")),
    "sessions-v3": Part("1,000 silent sessions on heygen-realtime", partial(sessions, "heygen-realtime")),
}
