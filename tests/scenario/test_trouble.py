"""Everything that can go wrong with a provider or the database while people use the avatar.

Whatever it is: the channel reads a sentence, nothing is created or said twice, no stream stays open that no row owns,
and all is well again once the trouble is over.
"""

import contextlib
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

import bot.errors
from adapters.avatars import connection
from adapters.avatars.simulator import Effect
from bot.errors import Refused
from bot.model import EndReason, Phase, SessionState, StreamState, UtteranceState
from bot.store import tables
from tests.world import KEY, PROVIDERS, World, simulated, with_policy

# The calls of each provider: (method, path pattern). The id of a stream ends in a digit or in a to f, "words" does not.
CALLS = {
    "heygen-streaming": {
        "create_token": ("POST", "/v1/streaming.create_token"),
        "create": ("POST", "/v1/streaming.new"),
        "start": ("POST", "/v1/streaming.start"),
        "speak": ("POST", "/v1/streaming.task"),
        "interrupt": ("POST", "/v1/streaming.interrupt"),
        "close": ("POST", "/v1/streaming.stop"),
    },
    "heygen-realtime": {
        "looks": ("GET", "/v3/avatars/looks"),
        "create": ("POST", "/v3/avatar-realtime"),
        "start": ("GET", "/v3/avatar-realtime/*[0-9a-f]"),
        "words": ("GET", "/v3/avatar-realtime/*/words"),
        "speak": ("POST", "/v3/avatar-realtime/*/text"),
        "close": ("POST", "/v3/avatar-realtime/*/cancel"),
    },
}
TROUBLES: dict[str, dict[str, Any]] = {
    "refused once": {"effect": Effect.REFUSED_BEFORE},
    "refused for long": {"effect": Effect.REFUSED_BEFORE, "times": None},
    "reply lost once": {"effect": Effect.LOST_REPLY},
    "replies lost for long": {"effect": Effect.LOST_REPLY, "times": None},
    "too many requests once": {"effect": Effect.STATUS, "status": 429, "retry_after": 2},
    "too many requests for long": {"effect": Effect.STATUS, "status": 429, "retry_after": 2, "times": None},
    "server error once": {"effect": Effect.STATUS, "status": 500},
    "server errors for long": {"effect": Effect.STATUS, "status": 500, "times": None},
    "server error after the work": {"effect": Effect.STATUS, "status": 500, "after_work": True},
    "slow": {"effect": Effect.LATENCY, "seconds": 4.0, "times": None},
    "garbage": {"effect": Effect.GARBAGE, "times": 2},
    "empty": {"effect": Effect.EMPTY, "times": None},
    "wrong types": {"effect": Effect.WRONG_TYPE, "times": 5},
    "key revoked": {"effect": Effect.STATUS, "status": 401, "times": None},
    "no credit": {"effect": Effect.STATUS, "status": 402, "times": None},
}
MATRIX = [
    pytest.param(provider, call, trouble, id=f"{provider}-{call}-{trouble.replace(' ', '_')}")
    for provider, calls in CALLS.items()
    for call in calls
    for trouble in TROUBLES
]
NEVER_SAID = re.compile(
    "|".join(
        (
            r"https?://",
            re.escape(KEY.get_secret_value()),
            "Traceback",
            "None",
            *(name for name in vars(bot.errors) if isinstance(getattr(bot.errors, name), type)),
        )
    )
)
REFERENCE = re.compile(r"\(ref [0-9a-z]{8}\)$")
IDLE_LIMIT = 400.0
"""Seconds after which the provider has ended, by itself, every stream nobody uses: v3 after 30, v1 after 360."""


def fault(world: World, call: str, **trouble: Any) -> None:
    method, path = CALLS[world.provider_name][call]
    world.simulator.faults.add(method=method, path=path, **trouble)


def long(word: str) -> str:
    """A message that takes a good while to say and that begins with `word`."""
    return f"{word} " + "is a message that takes its time, as people who listen to it to the end find out"


async def try_to_write(world: World, text: str) -> None:
    """Write a message; a refusal is fine."""
    with contextlib.suppress(Refused):
        await world.write(text)


async def everything_is_in_order(world: World) -> None:
    """What must be true whatever happened."""
    assert len(world.heard) == len(set(world.heard)), "something was said twice"
    assert not [notice for notice in world.notices if NEVER_SAID.search(notice)]
    streams = await world.rows(tables.streams)
    owned = {row.upstream_id for row in streams if StreamState(row.state).may_cost}
    lost = [row for row in streams if row.state == StreamState.LOST and row.upstream_id is None]
    unowned = [view for view in world.open_streams if view.id not in owned]
    assert len(unowned) <= len(lost), "a stream is open that no row owns"
    assert len(world.simulator.streams()) <= len(streams), "a stream was created without a row"


async def all_is_well_again(world: World) -> None:
    """A start and a message work."""
    before = len(world.notices)
    running = await world.start()
    await world.write("all is well again")
    await world.until(lambda: world.ended_as("all is well again", UtteranceState.SPOKEN))
    await world.type("/avatar stop")
    await world.until(running.closed.is_set)
    assert not [notice for notice in world.notices[before:] if REFERENCE.search(notice)]


@pytest.mark.parametrize(("provider", "call", "trouble"), MATRIX)
async def test_a_call_that_fails_is_told_and_loses_repeats_and_leaks_nothing(
    provider: str, call: str, trouble: str, tmp_path: Path
) -> None:
    async with World(tmp_path, provider) as world:
        fault(world, call, **TROUBLES[trouble])
        await world.type("/avatar start")
        await world.pass_time(20)
        running = world.running
        texts = [long("first"), "second", long("third"), "fourth"]
        if running is not None and running.is_live:
            for text in texts[:3]:
                await try_to_write(world, text)
            await world.pass_time(20)
            await world.type("/avatar interrupt")
            await world.pass_time(10)
            await world.type("/avatar skip")
            await try_to_write(world, texts[3])
            await world.pass_time(30)
            await everything_is_in_order(world)
        if (running := world.running) is not None:
            await world.type("/avatar stop")
            await world.pass_time(30)
        await everything_is_in_order(world)

        world.simulator.faults.clear()
        await world.pass_time(IDLE_LIMIT)
        assert world.running is None
        assert world.open_streams == []
        assert await world.store.unsettled_streams() == []
        # Whatever was not said was told, once each.
        fates = [UtteranceState(row.state) for row in await world.rows(tables.utterances)]
        assert all(fate.is_final for fate in fates)
        unsaid = sum(fate in (UtteranceState.FAILED, UtteranceState.UNKNOWN) for fate in fates)
        told = [notice for notice in world.notices if REFERENCE.search(notice)]
        ended = [row for row in await world.rows(tables.sessions) if row.end_reason == EndReason.FAILED]
        assert len(told) >= unsaid + len(ended)
        await all_is_well_again(world)
        await everything_is_in_order(world)
