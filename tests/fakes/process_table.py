"""The table of processes in memory, with a server that may be away, slow or new: for `bot.cluster.membership` on a
clock that the test moves. `tests/contract/store/test_processes.py` says how the real one behaves."""

from dataclasses import dataclass, field, replace

from bot.core.errors import StoreUnavailable
from bot.core.ports import Clock
from bot.store.processes import Process, ProcessRows


@dataclass
class ProcessTable:
    """The rows, which all processes share. is_away: nobody is answered."""

    rows: dict[str, Process] = field(default_factory=dict)
    is_away: bool = False
    ended: list[tuple[str, float]] = field(default_factory=list)
    """Who was ended by another one, and at which uptime of that one."""


class FakeRows(ProcessRows):
    """One process's way to the table. is_cut: it alone is not answered. takes: seconds to an answer, after the
    statement was done."""

    def __init__(self, table: ProcessTable, clock: Clock) -> None:
        self.table = table
        self.clock = clock
        self.is_cut = False
        self.is_new = True
        self.takes = 0.0

    def _must_answer(self) -> None:
        if self.table.is_away or self.is_cut:
            self.is_new = True
            raise StoreUnavailable("the database does not answer")

    async def _answer(self) -> None:
        if self.takes:
            await self.clock.sleep(self.takes)
        self._must_answer()

    async def close(self) -> None:
        pass

    async def join(self, process: Process, *, alone: bool = False) -> None:
        self._must_answer()
        if alone:
            self.table.rows.clear()
        self.table.rows[process.id] = process

    async def beat(self, process_id: str) -> tuple[list[Process], bool]:
        self._must_answer()
        before = list(self.table.rows.values())
        if (mine := self.table.rows.get(process_id)) is not None:
            self.table.rows[process_id] = replace(mine, beat=mine.beat + 1)
        is_first, self.is_new = self.is_new, False
        await self._answer()
        return before, is_first

    async def end(self, process: Process) -> bool:
        self._must_answer()
        row = self.table.rows.get(process.id)
        if row is None or row.beat != process.beat:
            return False
        del self.table.rows[process.id]
        self.table.ended.append((process.id, self.clock.uptime()))
        return True

    async def leave(self, process_id: str) -> None:
        self._must_answer()
        self.table.rows.pop(process_id, None)
