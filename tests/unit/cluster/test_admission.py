"""Who may join the processes that share a database."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from pydantic import SecretStr

from bot.cluster.admission import refuse_company, refuse_strangers
from bot.cluster.membership import Membership, proof_of
from bot.core.clock import SystemClock
from bot.core.errors import SettingsError
from bot.store import migrate
from bot.store.processes import ProcessRows, members_of
from bot.store.url import parse_url

pytestmark = pytest.mark.postgres

OURS, THEIRS = SecretStr("our secret of the test"), SecretStr("another secret of the test")
CLOCK = SystemClock()


@pytest.fixture
async def url(new_postgres_url: Callable[[], str]) -> str:
    url = await asyncio.to_thread(new_postgres_url)
    await migrate.upgrade(url)
    return url


async def test_who_has_the_same_secret_may_join_and_who_has_another_one_may_not(url: str) -> None:
    async with Membership(url, CLOCK, secret=OURS) as first, Membership(url, CLOCK, secret=OURS) as second:
        await refuse_strangers(url, first, OURS, CLOCK)
        await refuse_strangers(url, second, OURS, CLOCK)
        async with Membership(url, CLOCK, secret=THEIRS) as stranger:
            with pytest.raises(SettingsError) as refused:
                await refuse_strangers(url, stranger, THEIRS, CLOCK)
    assert f"WEB_SECRET is not the one of {first.process}, which runs on the PostgreSQL database" in str(refused.value)
    assert "secret of the test" not in str(refused.value)


async def test_nothing_of_the_secret_is_in_the_row_and_no_two_rows_are_alike(url: str) -> None:
    async with Membership(url, CLOCK, secret=OURS), Membership(url, CLOCK, secret=OURS):
        rows = await members_of(parse_url(url))
    proofs = {row.proof for row in rows}
    assert len(proofs) == 2
    assert all(row.proof == proof_of(OURS, row.id) and len(row.proof) == 64 for row in rows)
    assert not any("secret" in str(row) for row in rows)


async def test_a_dead_process_and_a_command_of_the_shell_are_in_nobodys_way(url: str) -> None:
    rows = ProcessRows(parse_url(url))
    async with Membership(url, CLOCK, secret=THEIRS) as other:
        dead = replace(other.process, id="dead")
    await rows.join(dead)
    await rows.close()
    async with Membership(url, CLOCK, takes_sessions=False), Membership(url, CLOCK, secret=OURS) as membership:
        assert len(membership.others) == 2
        await refuse_strangers(url, membership, OURS, CLOCK)
        await refuse_company(url, membership, "This one is alone", CLOCK)


async def test_who_has_to_be_alone_is_refused_where_somebody_is(url: str) -> None:
    async with Membership(url, CLOCK, secret=OURS) as first:
        await refuse_company(url, first, "This one is alone", CLOCK)
        async with Membership(url, CLOCK, secret=OURS) as second:
            with pytest.raises(SettingsError) as refused:
                await refuse_company(url, second, "This one is alone", CLOCK)
    assert str(refused.value).startswith(
        f"This one is alone, and {first.process} runs on the PostgreSQL database relay_"
    )
