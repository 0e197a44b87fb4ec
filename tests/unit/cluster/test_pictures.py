"""The picture of a session that another process owns: asked for once however many want it, kept for a while, and gone
when the owner says so."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot.cluster.pictures import KEPT_BYTES, KEPT_FOR, KIND, MAX_ASKED, MAX_NAME, ClusterPictures
from bot.core.errors import PictureUnavailable
from bot.core.pictures import PLAYLIST, MediaFile, PlaylistPosition
from tests.fakes.processes import Processes
from tests.harness.clock import ManualClock, settle
from tests.unit.web.fixtures import MemoryPictures

LINK, PICTURE = "nonce-of-link", "0123456789ab"
BODY = bytes(index % 251 for index in range(400_000))
SEGMENT = MediaFile(BODY, "video/mp4", True)


class HeldPictures(MemoryPictures):
    """Answers once it may. asked_at_once: how many wait."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def fetch(
        self, link_nonce: str, picture: str, name: str, after: PlaylistPosition | None = None
    ) -> MediaFile | None:
        file = await super().fetch(link_nonce, picture, name, after)
        await self.may_answer.wait()
        return file


class Two:
    """Two processes; the session is the owner's."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.processes = Processes(owners={LINK: "owner"})
        self.of_owner, self.of_here = HeldPictures(), HeldPictures()
        owner, here = self.processes.join("owner"), self.processes.join("here")
        self.owner = ClusterPictures(self.of_owner, owner.bus, owner.directory, clock)
        self.here = ClusterPictures(self.of_here, here.bus, here.directory, clock)

    async def fetch(self, name: str = "7.m4s", after: PlaylistPosition | None = None) -> MediaFile | None:
        return await self.here.fetch(LINK, PICTURE, name, after)


@pytest.fixture
async def two() -> AsyncIterator[Two]:
    two = Two(ManualClock())
    two.of_owner.files[LINK, PICTURE, "7.m4s"] = SEGMENT
    two.of_owner.files[LINK, PICTURE, PLAYLIST] = MediaFile(b"#EXTM3U", "application/vnd.apple.mpegurl", False)
    yield two
    await two.here.aclose()
    await two.owner.aclose()
    await two.processes.close()


async def test_file_is_the_same_here_and_at_its_owner(two: Two) -> None:
    assert await two.fetch() == SEGMENT == await two.owner.fetch(LINK, PICTURE, "7.m4s")
    assert await two.fetch("none.m4s") is None
    assert two.of_here.asked == []


async def test_segment_is_asked_for_once_however_many_want_it_and_whenever(two: Two) -> None:
    two.of_owner.may_answer.clear()
    viewers = [asyncio.create_task(two.fetch()) for _ in range(50)]
    await settle()
    viewers[0].cancel()
    two.of_owner.may_answer.set()
    assert await asyncio.gather(*viewers[1:]) == [SEGMENT] * 49
    await two.clock.advance(KEPT_FOR - 1)
    assert await two.fetch() == SEGMENT
    assert len(two.processes.asked(KIND)) == 1
    await two.clock.advance(1)
    assert await two.fetch() == SEGMENT
    assert len(two.processes.asked(KIND)) == 2


async def test_playlist_is_asked_for_each_time_with_what_the_player_waits_for(two: Two) -> None:
    await two.fetch(PLAYLIST)
    await two.fetch(PLAYLIST, PlaylistPosition(4711, 2))
    await two.fetch(PLAYLIST, PlaylistPosition(4712))
    assert two.of_owner.asked == [
        (PLAYLIST, None),
        (PLAYLIST, PlaylistPosition(4711, 2)),
        (PLAYLIST, PlaylistPosition(4712)),
    ]


async def test_players_that_wait_for_the_same_part_are_one_question(two: Two) -> None:
    two.of_owner.may_answer.clear()
    after = PlaylistPosition(4711, 2)
    viewers = [asyncio.create_task(two.fetch(PLAYLIST, after)) for _ in range(50)]
    other = asyncio.create_task(two.fetch(PLAYLIST, PlaylistPosition(4711, 3)))
    await settle()
    two.of_owner.may_answer.set()
    await asyncio.gather(*viewers, other)
    assert len(two.processes.asked(KIND)) == 2


async def test_what_is_kept_is_bounded(two: Two) -> None:
    big = MediaFile(bytes(KEPT_BYTES // 3), "video/mp4", True)
    for number in range(5):
        two.of_owner.files[LINK, PICTURE, f"{number}.m4s"] = big
        await two.fetch(f"{number}.m4s")
    kept = [kept.file for kept in two.here._kept.values()]
    assert sum(len(file.body) for file in kept) == two.here._kept_bytes <= KEPT_BYTES
    assert len(kept) == 3
    await two.clock.advance(KEPT_FOR)
    assert two.here._kept_bytes == len(two.here._kept) == 0


async def test_owner_that_has_it_not_now_or_does_not_answer_makes_the_player_come_again(two: Two) -> None:
    two.of_owner.files[LINK, PICTURE, "late.m4s"] = PictureUnavailable("media.example does not answer in time")
    with pytest.raises(PictureUnavailable, match=r"media\.example"):
        await two.fetch("late.m4s")
    two.processes.silent.add("owner")
    with pytest.raises(PictureUnavailable, match="owner does not answer"):
        await two.fetch(PLAYLIST)
    two.processes.silent.clear()
    assert await two.fetch(PLAYLIST) is not None


async def test_session_that_is_over_or_of_another_process_by_now_opens_nothing(two: Two) -> None:
    assert await two.fetch() == SEGMENT
    del two.processes.owners[LINK]
    assert await two.fetch() is None
    two.processes.owners[LINK] = "owner"
    third = two.processes.join("third")
    pictures = ClusterPictures(HeldPictures(), third.bus, third.directory, two.clock)
    answer = await two.processes.buses["here"].ask("third", KIND, f'["{LINK}", "{PICTURE}", "7.m4s", null, null]')
    assert "another owner" in answer
    await pictures.aclose()


async def test_names_and_questions_are_bounded(two: Two) -> None:
    assert await two.fetch("x" * (MAX_NAME + 1)) is None
    two.of_owner.may_answer.clear()
    asking = [asyncio.create_task(two.fetch(f"{number}.m4s")) for number in range(MAX_ASKED)]
    await settle()
    with pytest.raises(PictureUnavailable, match="too many"):
        await two.fetch("one-more.m4s")
    two.of_owner.may_answer.set()
    await asyncio.gather(*asking)
    assert await two.fetch("one-more.m4s") is None
