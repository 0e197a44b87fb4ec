"""`avatar-relay db copy`, as it is typed: what it says, and what it refuses."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bot.cli.main import app
from bot.cluster.membership import Membership
from bot.core.clock import SystemClock
from bot.store import migrate
from bot.store.lock.file import FileLock
from bot.store.processes import ProcessRows, members_of
from bot.store.store import Store
from bot.store.url import parse_url
from tests.builders import a_session
from tests.harness.clock import ManualClock
from tests.harness.cluster import a_process

pytestmark = pytest.mark.usefixtures("logging_as_it_was")


@pytest.fixture(autouse=True)
def _in_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DATABASE_URL", "WEB_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def call(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, ["db", "copy", *arguments], env=environment, prog_name="avatar-relay")


async def fill(url: str) -> None:
    await migrate.upgrade(url)
    async with await Store.open(url, ManualClock()) as store:
        await store.sessions.open(a_session(id="the-session"))


async def sessions(url: str) -> list[str]:
    async with await Store.open(url, ManualClock()) as store:
        return [session.id for session in await store.sessions.all_open()]


def test_what_was_copied_is_told_and_the_old_one_is_as_it_was(tmp_path: Path) -> None:
    old, new = f"sqlite:///{tmp_path / 'old.db'}", f"sqlite:///{tmp_path / 'folder' / 'new.db'}"
    asyncio.run(fill(old))
    done = call(old, new)
    assert (done.exit_code, done.stderr) == (0, "")
    first, *rows, last = done.stdout.splitlines()
    assert first == f"Copied from the database {tmp_path / 'old.db'} to the database {tmp_path / 'folder' / 'new.db'}:"
    assert [row.split(maxsplit=1) for row in rows if not row.endswith("no rows")] == [["sessions", "1 row"]]
    assert last.startswith("Set DATABASE_URL to the new one, and start no bot on the old one again")
    assert asyncio.run(sessions(new)) == asyncio.run(sessions(old)) == ["the-session"]
    assert (tmp_path / "folder" / "new.db").stat().st_mode & 0o077 == 0


def test_the_secret_beside_the_old_file_is_told_of_and_not_shown(tmp_path: Path) -> None:
    old, new = f"sqlite:///{tmp_path / 'old.db'}", f"sqlite:///{tmp_path / 'new.db'}"
    asyncio.run(fill(old))
    (tmp_path / "web-secret").write_text("do-not-show-this-to-anybody")
    assert f"Set WEB_SECRET to what {tmp_path / 'web-secret'} holds" in (said := call(old, new).output)
    assert "do-not-show-this" not in said
    (tmp_path / "new.db").unlink()
    assert "WEB_SECRET" not in call(old, new, WEB_SECRET="0123456789abcdef").output


@pytest.mark.parametrize(
    ("source", "target", "code", "said"),
    [
        ("full.db", "full.db", 1, "FROM and TO are the same database: TO has to be an empty one."),
        ("nothing.db", "new.db", 2, "nothing.db holds nothing of avatar-relay: check FROM."),
        ("full.db", "filled.db", 2, "filled.db has rows already (sessions): give an empty database."),
        ("old.db", "new.db", 2, "old.db has no tables of this version: run `avatar-relay db upgrade`."),
    ],
)
def test_what_is_refused_makes_nothing(tmp_path: Path, source: str, target: str, code: int, said: str) -> None:
    for name in ("full.db", "filled.db", "old.db"):
        asyncio.run(fill(f"sqlite:///{tmp_path / name}"))
    asyncio.run(migrate.downgrade(f"sqlite:///{tmp_path / 'old.db'}", "-1"))
    refused = call(f"sqlite:///{tmp_path / source}", f"sqlite:///{tmp_path / target}")
    assert refused.exit_code == code
    assert refused.stderr.endswith(f"{said}\n")
    assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "new.db").exists()
    assert not (tmp_path / "nothing.db").exists()


@pytest.mark.parametrize("wrong", ["FROM", "TO"])
def test_what_is_no_address_is_named_and_not_repeated(tmp_path: Path, wrong: str) -> None:
    right, no_address = f"sqlite:///{tmp_path / 'old.db'}", "mysql://user:hunter22@host/database"
    refused = call(*((no_address, right) if wrong == "FROM" else (right, no_address)))
    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"{wrong} is not a database address: write ")
    assert "hunter22" not in refused.output


@pytest.mark.parametrize("busy", ["old.db", "new.db"])
def test_a_bot_on_either_file_is_in_the_way(tmp_path: Path, busy: str) -> None:
    asyncio.run(fill(f"sqlite:///{tmp_path / 'old.db'}"))
    lock = FileLock(parse_url(f"sqlite:///{tmp_path / busy}"))
    assert lock.take() is None
    refused = call(f"sqlite:///{tmp_path / 'old.db'}", f"sqlite:///{tmp_path / 'new.db'}")
    lock.give_back()
    assert refused.exit_code == 2
    assert refused.stderr.startswith("An avatar-relay (process ")
    assert refused.stderr.endswith(f") runs on the database {tmp_path / busy}: stop it first.\n")


@pytest.mark.postgres
@pytest.mark.parametrize("is_source", [True, False])
def test_a_bot_on_postgresql_is_in_the_way_and_a_dead_one_is_not(
    tmp_path: Path, new_postgres_url: Callable[[], str], is_source: bool
) -> None:
    file, postgresql = f"sqlite:///{tmp_path / 'file.db'}", new_postgres_url()
    way = (postgresql, file) if is_source else (file, postgresql)
    asyncio.run(fill(way[0]))
    if not is_source:
        asyncio.run(migrate.upgrade(postgresql))

    async def with_a_bot() -> Result:
        async with Membership(postgresql, SystemClock()):
            return await asyncio.to_thread(call, *way)

    refused = asyncio.run(with_a_bot())
    assert refused.exit_code == 2
    assert " runs on the PostgreSQL database relay_" in refused.stderr

    async def with_a_dead_one() -> Result:
        rows = ProcessRows(parse_url(postgresql))
        await rows.join(a_process("dead", beat=3))
        await rows.close()
        return await asyncio.to_thread(call, *way)

    done = asyncio.run(with_a_dead_one())
    assert (done.exit_code, done.stderr) == (0, "")
    assert asyncio.run(sessions(way[1])) == ["the-session"]
    left = asyncio.run(members_of(parse_url(postgresql)))
    assert [process.id for process in left] == ["dead"]


@pytest.mark.postgres
def test_no_password_is_shown_whether_it_works_or_not(tmp_path: Path, new_postgres_url: Callable[[], str]) -> None:
    file = f"sqlite:///{tmp_path / 'file.db'}"
    asyncio.run(fill(file))
    with_password = new_postgres_url().replace("postgres:@", "postgres:hunter22@")
    assert "hunter22" in with_password
    done = call(file, with_password)
    assert done.exit_code == 0
    filled = call(file, with_password)
    assert filled.exit_code == 2
    nowhere = call(file, "postgresql://postgres:hunter22@127.0.0.1:9/relay")
    assert nowhere.exit_code == 2
    assert "hunter22" not in done.output + filled.output + nowhere.output
