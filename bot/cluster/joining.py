"""Puts together what a process needs of the others on its database; `bot.app` enters it once.

On SQLite nothing is sent and every session is here; claiming is the same, and done once.
"""

import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic import SecretStr

from bot.cluster.alone import AllHere, LoopBack
from bot.cluster.bus import PostgresBus
from bot.cluster.claims import SessionClaims
from bot.cluster.directory import SessionDirectory
from bot.cluster.membership import Membership
from bot.cluster.parcels import SessionParcels
from bot.core.bus import Cluster
from bot.core.policy import LATE_AFTER
from bot.core.ports import Clock
from bot.store.store import Store
from bot.store.url import DatabaseUrl
from bot.supervision import Supervised


@dataclass(frozen=True, slots=True)
class Joined:
    """cluster: for the rest of the program. claims: how it gets sessions. parts: to be run while it serves."""

    cluster: Cluster
    claims: SessionClaims
    parts: tuple[Supervised, ...]


@asynccontextmanager
async def joined(
    address: DatabaseUrl,
    membership: Membership,
    store: Store,
    secret: SecretStr,
    clock: Clock,
    *,
    late_after: float = LATE_AFTER,
) -> AsyncIterator[Joined]:
    """What a member of the database at `address` has of the others, until the block ends. secret: the one that all of
    them share (`bot.settings.web_secret`). late_after: seconds after which what was kept for a session is not carried
    out any more."""
    parcels = SessionParcels(store, late_after)
    process = membership.process.id
    if address.is_sqlite:
        async with LoopBack(process) as loop_back:
            directory = AllHere()
            claims = SessionClaims(store, membership, directory, parcels, loop_back, clock)
            yield Joined(Cluster(loop_back, directory, claims, parcels), claims, ())
        return
    async with PostgresBus(address, process, group_of(secret), clock) as bus:
        among_others = SessionDirectory(
            store, bus, clock, is_alone=lambda: not membership.others, is_first=lambda: membership.is_first
        )
        claims = SessionClaims(store, membership, among_others, parcels, bus, clock)
        # The directory first: what nobody owns any more is asked of nobody, until it is claimed. Then who waits for an
        # answer hears of it, before anything later comes in: what is kept is kept in its order.
        membership.on_gone += [among_others.process_gone, bus.process_gone, claims.process_gone]
        # What others say to each other is told by memory alone, so that has to be full before anything comes in.
        await among_others.read()
        parts = (
            Supervised("directory", among_others.run, clock),
            Supervised("claims", claims.run, clock),
        )
        try:
            yield Joined(Cluster(bus, among_others, claims, parcels), claims, parts)
        finally:
            membership.on_gone.clear()
            await among_others.close()


def group_of(secret: SecretStr) -> str:
    """The name of the group that shares a secret, which does not tell it. Nobody else can guess it: PostgreSQL lets
    everybody listen to, and send to, whatever they can name."""
    return hmac.new(secret.get_secret_value().encode(), b"avatar-relay bus", hashlib.sha256).hexdigest()[:40]
