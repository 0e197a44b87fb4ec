"""Lines from pipes, files and nothing at all."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any, TextIO

import pytest

from adapters.chat.console.stdin import MAX_LINE_LENGTH, piped_lines
from bot.core.event_loop import run
from bot.core.tasks import cancel_and_wait


@contextmanager
def pipe_with(data: bytes) -> Iterator[TextIO]:
    """A pipe that somebody writes `data` into and then closes."""
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as end:
            end.write(data)

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(reading, encoding="utf-8") as source:
        yield source
    writer.join()


@contextmanager
def file_with(folder: Path, data: bytes) -> Iterator[TextIO]:
    file = folder / "input"
    file.write_bytes(data)
    with file.open(encoding="utf-8") as source:
        yield source


@pytest.fixture(params=["pipe", "file"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def lines_of(kind: str, folder: Path, data: bytes) -> list[str]:
    with pipe_with(data) if kind == "pipe" else file_with(folder, data) as source:
        return [line async for line in piped_lines(source)]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"one", ["one"]),
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\r\n\r\ntwo", ["one", "", "two"]),
        (b"\xef\xbb\xbfone\n", ["one"]),
        ("наприклад\n例\n".encode(), ["наприклад", "例"]),
        (b"caf\xe9\n", ["caf\ufffd"]),
        (b"a\x00b\n", ["a\x00b"]),
    ],
)
async def test_lines_come_whole_and_in_order(kind: str, tmp_path: Path, data: bytes, lines: list[str]) -> None:
    assert await lines_of(kind, tmp_path, data) == lines


async def test_rest_of_a_line_that_is_too_long_is_left_out(kind: str, tmp_path: Path) -> None:
    first, second, third = await lines_of(
        kind, tmp_path, b"x" * (3 * MAX_LINE_LENGTH + 7) + b" tail\nnext\n" + b"y" * 5
    )
    assert MAX_LINE_LENGTH <= len(first) <= 2 * MAX_LINE_LENGTH
    assert set(first) == {"x"}
    assert (second, third) == ("next", "yyyyy")


async def test_line_that_is_too_long_may_be_the_last(kind: str, tmp_path: Path) -> None:
    (line,) = await lines_of(kind, tmp_path, b"x" * (2 * MAX_LINE_LENGTH + 7))
    assert set(line) == {"x"}


async def test_lines_come_while_the_pipe_stays_open() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, encoding="utf-8") as source, os.fdopen(writing, "wb", buffering=0) as end:
        async with aclosing(piped_lines(source)) as lines:
            end.write(b"one\ntw")
            assert await anext(lines) == "one"
            waiting = asyncio.ensure_future(anext(lines))
            await asyncio.sleep(0)
            assert not waiting.done()
            end.write(b"o\n")
            assert await waiting == "two"


async def test_pipe_is_left_open_and_blocking_for_others() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, encoding="utf-8") as source, os.fdopen(writing, "wb", buffering=0) as end:
        end.write(b"one\n")
        async with aclosing(piped_lines(source)) as lines:
            assert await anext(lines) == "one"
        assert not source.closed
        assert os.get_blocking(reading)


async def test_no_input_has_no_lines() -> None:
    assert [line async for line in piped_lines(None)] == []
    with os.fdopen(os.open(os.devnull, os.O_RDONLY), encoding="utf-8") as nothing:
        assert [line async for line in piped_lines(nothing)] == []


async def is_still_open_after_the_end(of_pipe: bytes) -> bool:
    """Whether what is opened right after the end of a pipe, perhaps under the number that it had, stays open."""
    with pipe_with(of_pipe) as source:
        assert [line async for line in piped_lines(source)] == ["one"]
        opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
        # A loop closes what it reads from in one of its next turns.
        await asyncio.sleep(0.01)
        closed = 0
        for descriptor in opened:
            try:
                os.close(descriptor)
            except OSError:
                closed += 1
    return closed == 0


@pytest.mark.parametrize("run_loop", [run, asyncio.run], ids=["the program's loop", "Python's loop"])
def test_nothing_else_is_closed_with_a_pipe(run_loop: Callable[[Coroutine[Any, Any, bool]], bool]) -> None:
    assert run_loop(is_still_open_after_the_end(b"one"))
    before = open_descriptors()
    assert run_loop(is_still_open_after_the_end(b"one"))
    assert open_descriptors() == before


async def given_up_while_it_connects() -> list[dict[str, Any]]:
    """What the loop complains of where nobody wants the lines any more, as soon as they were asked for."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
    with pipe_with(b"one") as source:
        async with aclosing(piped_lines(source)) as lines:
            reading = asyncio.ensure_future(anext(lines))
            await asyncio.sleep(0)
            await cancel_and_wait(reading)
        await asyncio.sleep(0.01)
    return complaints


@pytest.mark.parametrize("run_loop", [run, asyncio.run], ids=["the program's loop", "Python's loop"])
def test_pipe_that_is_given_up_while_it_connects_is_closed_once(
    run_loop: Callable[[Coroutine[Any, Any, list[dict[str, Any]]]], list[dict[str, Any]]],
) -> None:
    assert run_loop(given_up_while_it_connects()) == []
    before = open_descriptors()
    assert run_loop(given_up_while_it_connects()) == []
    assert open_descriptors() == before


def open_descriptors() -> int:
    """How many this process has, where the system tells."""
    told = Path("/proc/self/fd")
    return len(list(told.iterdir())) if told.exists() else 0
