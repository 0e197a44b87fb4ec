"""The pictures of every process's sessions: those of others are asked of their owners, over the bus.

What many ask for here at the same time is asked for once, and a segment that came is kept for as long as players may
ask for it, in a bounded memory. The owner sees each playlist that is fetched, so its sources live for as long as
anybody watches, here or there.
"""

import asyncio
import json
from base64 import b64decode, b64encode
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass

from bot.core.bus import Bus, Directory
from bot.core.errors import PictureUnavailable, ProcessUnreachable, StoreError
from bot.core.pictures import MediaFile, PictureSources, PlaylistPosition
from bot.core.ports import Clock, Timer
from bot.core.tasks import TaskSet

KIND = "picture"

ASK_TIMEOUT = 8.0
"""Seconds for one file. An owner lets a playlist wait for three segments, and gives its own service some seconds for a
file; players give up after ten."""

KEPT_FOR = 30.0
"""Seconds for which a segment is kept: longer than it is in a playlist of the bot's own, or of a provider's."""

KEPT_BYTES = 64 << 20
"""What is kept of all segments together."""

MAX_ASKED = 256
"""Files that are asked for at a time; whoever wants another one comes again."""

MAX_NAME = 200
"""Characters of the name of a file, which anybody may write into an address."""

Key = tuple[str, str, str, PlaylistPosition | None]


@dataclass(frozen=True, slots=True)
class _Kept:
    file: MediaFile
    until: float


class _Question:
    """One file that is asked for, by however many. asking: ends once `file` is there, or `failure`."""

    def __init__(self) -> None:
        self.asking: asyncio.Task[None]
        self.file: MediaFile | None = None
        self.failure: str | None = None


class ClusterPictures:
    """`bot.core.pictures.PictureSources` of all processes."""

    def __init__(self, own: PictureSources, bus: Bus, directory: Directory, clock: Clock) -> None:
        """`own` are those of this process's sessions."""
        self._own = own
        self._bus = bus
        self._directory = directory
        self._clock = clock
        self._tasks = TaskSet()
        self._asked: dict[Key, _Question] = {}
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._kept_bytes = 0
        self._timer: Timer | None = None
        bus.handle(KIND, self._answer)

    async def fetch(
        self, link_nonce: str, picture: str, name: str, after: PlaylistPosition | None = None
    ) -> MediaFile | None:
        """See `PictureSources`."""
        owner = await self._directory.find_link(link_nonce)
        if owner is None:
            return await self._own.fetch(link_nonce, picture, name, after)
        if len(name) > MAX_NAME or len(picture) > MAX_NAME:
            return None
        key = (link_nonce, picture, name, after)
        if (kept := self._kept.get(key)) is not None and self._clock.monotonic() < kept.until:
            return kept.file
        question = self._asked.get(key) or self._begin(key, owner)
        await asyncio.wait([question.asking])
        if question.failure is not None:
            raise PictureUnavailable(question.failure)
        return question.file

    async def aclose(self) -> None:
        """Ask for nothing any more, and forget what is kept."""
        if self._timer is not None:
            self._timer.cancel()
        await self._tasks.close()
        self._kept.clear()

    # --- of others ---------------------------------------------------------------------------------------------------

    def _begin(self, key: Key, owner: str) -> _Question:
        if len(self._asked) >= MAX_ASKED:
            raise PictureUnavailable("too many files are asked of other processes")
        question = self._asked[key] = _Question()
        question.asking = self._tasks.create_task(self._ask(question, key, owner), name="ask for a picture")
        return question

    async def _ask(self, question: _Question, key: Key, owner: str) -> None:
        question.failure = "the process that has the picture does not answer"
        try:
            answer = await self._bus.ask(owner, KIND, _question(key), timeout=ASK_TIMEOUT)
            question.file, question.failure = _read(answer)
        except ProcessUnreachable as error:
            question.failure = str(error)
            # Whoever owns it now is to be known when the player comes again.
            with suppress(StoreError):
                await self._directory.find_link(key[0], afresh=True)
        finally:
            del self._asked[key]
        if question.file is not None and question.file.is_immutable:
            self._keep(key, question.file)

    def _keep(self, key: Key, file: MediaFile) -> None:
        self._kept[key] = _Kept(file, self._clock.monotonic() + KEPT_FOR)
        self._kept_bytes += len(file.body)
        self._forget()

    def _forget(self) -> None:
        """Drop what has been kept for long enough, and the oldest of what is too much."""
        now = self._clock.monotonic()
        while self._kept:
            key, kept = next(iter(self._kept.items()))
            if kept.until > now and self._kept_bytes <= KEPT_BYTES:
                break
            del self._kept[key]
            self._kept_bytes -= len(kept.file.body)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.call_later(KEPT_FOR, self._forget) if self._kept else None

    # --- of our own --------------------------------------------------------------------------------------------------

    async def _answer(self, _process: str, body: str) -> str:
        link_nonce, picture, name, segment, part = json.loads(body)
        after = None if segment is None else PlaylistPosition(segment, part)
        if self._directory.owner_of_link(link_nonce) is not None:
            return json.dumps({"failure": "the session has another owner now"})
        try:
            file = await self._own.fetch(link_nonce, picture, name, after)
        except (PictureUnavailable, StoreError) as error:
            return json.dumps({"failure": str(error)})
        if file is None:
            return json.dumps({})
        body = b64encode(file.body).decode("ascii")
        return json.dumps({"body": body, "type": file.content_type, "is_immutable": file.is_immutable})


def _question(key: Key) -> str:
    link_nonce, picture, name, after = key
    segment, part = (None, None) if after is None else (after.segment, after.part)
    return json.dumps([link_nonce, picture, name, segment, part])


def _read(answer: str) -> tuple[MediaFile | None, str | None]:
    """The file, or why it is not there now; neither where there is none."""
    told = json.loads(answer)
    if "body" not in told:
        return None, told.get("failure")
    return MediaFile(b64decode(told["body"]), told["type"], told["is_immutable"]), None
