"""What operators can alert on, as Prometheus metrics. No label names a channel, a person or a session."""

import asyncio

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector


def _count_tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return 0  # asked outside of a loop, where there are none


registry = CollectorRegistry(auto_describe=True)
ProcessCollector(registry=registry)

tasks = Gauge("avatar_relay_tasks", "Tasks running in this process", registry=registry)
tasks.set_function(_count_tasks)

sessions_started = Counter("avatar_relay_sessions_started", "Sessions started", registry=registry)
sessions_ended = Counter("avatar_relay_sessions_ended", "Sessions ended, by reason", ["reason"], registry=registry)
open_sessions = Gauge("avatar_relay_open_sessions", "Sessions that are not closed", registry=registry)
open_streams = Gauge(
    "avatar_relay_open_streams", "Streams that this process holds open and that cost money", registry=registry
)
open_pictures = Gauge(
    "avatar_relay_open_pictures", "Streams whose picture this process serves to somebody", registry=registry
)
unconfirmed_closes = Gauge(
    "avatar_relay_unconfirmed_closes", "Streams whose close the provider has not confirmed", registry=registry
)
waiting_utterances = Gauge("avatar_relay_waiting_utterances", "Utterances waiting to be spoken", registry=registry)
utterances = Counter(
    "avatar_relay_utterances", "Utterances that came to an end, by state", ["state"], registry=registry
)
refusals = Counter("avatar_relay_refusals", "Messages that were refused, by stage", ["stage"], registry=registry)
reactions_left_out = Counter(
    "avatar_relay_reactions_left_out", "Reactions on messages that were left out, for too many", registry=registry
)
provider_errors = Counter(
    "avatar_relay_provider_errors", "Provider calls that failed, by kind of error", ["kind"], registry=registry
)
provider_seconds = Histogram(
    "avatar_relay_provider_seconds", "Seconds until the provider accepted a text", registry=registry
)

billed_seconds = Counter(
    "avatar_relay_billed_seconds", "Seconds paid for of the streams that have ended", ["provider"], registry=registry
)
spoken_seconds = Counter(
    "avatar_relay_spoken_seconds", "Seconds of speech in the streams that have ended", ["provider"], registry=registry
)
"""Both are counted when a stream has ended (`bot.streams.accounting.count_ended`, which says why)."""

unowned_streams = Gauge(
    "avatar_relay_unowned_streams", "Open streams at the provider that no session here owns", registry=registry
)
reconciled = Counter(
    "avatar_relay_reconciled",
    "Differences between our rows and the provider that were fixed",
    ["what"],
    registry=registry,
)

restarts = Counter(
    "avatar_relay_restarts",
    "Parts of the bot that restarted after an unexpected failure",
    ["part"],
    registry=registry,
)

beat_seconds = Gauge(
    "avatar_relay_beat_seconds",
    "Seconds since the last beat that the database acknowledged was sent",
    registry=registry,
)
bus_seconds = Gauge(
    "avatar_relay_bus_seconds",
    "Seconds since something that processes send each other came in here, its own echo included",
    registry=registry,
)
parked = Counter(
    "avatar_relay_parked",
    "Messages kept for the next owner of their session, as the one before could not be reached",
    registry=registry,
)
processes = Gauge("avatar_relay_processes", "Processes on the database, this one included", registry=registry)
processes.set(1)
takeovers = Counter("avatar_relay_takeovers", "Dead processes that this one has ended", registry=registry)
