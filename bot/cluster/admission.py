"""Who may join the processes that share a database: what all of them have to agree on, and who has to be alone.

Looks once, when a process has joined; where it may not stay it leaves again. Only processes that beat count: one that
is dead may have been anything.
"""

import hmac
from collections.abc import Callable

from pydantic import SecretStr

from bot.cluster.living import living
from bot.cluster.membership import Membership, proof_of
from bot.core.errors import SettingsError
from bot.core.ports import Clock
from bot.store.processes import Process
from bot.store.url import parse_url


async def refuse_strangers(url: str, membership: Membership, secret: SecretStr, clock: Clock) -> None:
    """Raises `SettingsError` if a process that has joined, and beats, has another `WEB_SECRET`; and `StoreError`."""

    def is_stranger(other: Process) -> bool:
        return other.proof != "" and not hmac.compare_digest(other.proof, proof_of(secret, other.id))

    if (stranger := await _find(url, membership, is_stranger, clock)) is not None:
        raise SettingsError(
            f"WEB_SECRET is not the one of {stranger}, which runs on {parse_url(url)} as well: links of one would not "
            "open at the other. Set the same WEB_SECRET for both."
        )


async def refuse_company(url: str, membership: Membership, why: str, clock: Clock) -> None:
    """Raises `SettingsError` if another process has joined and beats; and `StoreError`. why: this one has to be alone,
    as the beginning of a sentence."""
    if (other := await _find(url, membership, lambda _: True, clock)) is not None:
        raise SettingsError(
            f"{why}, and {other} runs on {parse_url(url)} already: stop that one, or give this one a DATABASE_URL of "
            "its own."
        )


async def _find(url: str, membership: Membership, is_so: Callable[[Process], bool], clock: Clock) -> Process | None:
    """A bot among the others that beats and of which it is so."""
    suspects = {other.id for other in membership.others if not other.is_leaving and is_so(other)}
    # To see who beats takes a while, so only where it matters.
    alive = await living(url, clock) if suspects else []
    return next((process for process in alive if process.id in suspects), None)
