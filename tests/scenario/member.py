"""One of several programs on a database, as a process of its own."""

from pathlib import Path

from tests.harness.tcp_proxy import TcpProxy
from tests.scenario.served_program import ServedProgram


class Member(ServedProgram):
    """A program with its own folder, witness and wire, from `async with` to its end."""

    def __init__(self, name: str, folder: Path, settings: dict[str, str], wire: TcpProxy, changed: str | None) -> None:
        super().__init__(folder, settings, changed=changed)
        self.name, self.wire = name, wire

    async def end(self) -> int:
        """Wait for it to end by itself, without a mistake, and return its exit code."""
        code = await super().end()
        assert "Traceback" not in self.log, self.log
        return code

    async def until_there(self, file: str) -> None:
        """Wait until a file is in its folder."""
        await self.until((self.folder / file).exists)
