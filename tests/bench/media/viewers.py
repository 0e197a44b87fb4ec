"""`python -m tests.bench.media.viewers ADDRESS NUMBER`: so many people who watch, as far as a server notices.

The address is a watch link, or a playlist of the provider's own. Each viewer has the page's WebSocket, if there is a
page, asks for the playlist once in the target duration, and for each segment once; of a low-latency playlist for each
part, as soon as there is one. It writes a line when all have had
their first segment; each line of its input is answered with how many segments came since the last, and how many
megabytes.
"""

import asyncio
import json
import re
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

TARGET_DURATION = 1.0
"""Seconds; what the simulator's playlist says."""


HINT = re.compile(r"(?<=URI=\")[0-9a-f]+-([0-9]+)\.([0-9]+)\.mp4(?=\"\n$)")
"""The part that comes next, with its numbers, at the end of a low-latency playlist of ours."""


@dataclass
class Came:
    """What came to all of them."""

    segments: int = 0
    size: int = 0


class Viewer:
    """One of them."""

    def __init__(self, client: aiohttp.ClientSession, link: str, came: Came) -> None:
        self._client = client
        self._link = link
        self._came = came
        self._had: set[str] = set()
        self.began = asyncio.Event()

    async def watch(self, after: float) -> None:
        """Watch for ever, from `after` seconds on."""
        await asyncio.sleep(after)
        async with AsyncExitStack() as stack:
            playlist = self._link
            if not playlist.endswith(".m3u8"):
                socket = await stack.enter_async_context(self._client.ws_connect(f"{self._link}/live"))
                session = json.loads((await socket.receive()).data)
                playlist = f"{self._link.rpartition('/')[0]}/{session['hls_url']}"
            position = ""
            while True:
                hint = await self._look(playlist, position)
                if hint is None:
                    await asyncio.sleep(TARGET_DURATION)
                else:
                    number, part = hint.group(1), hint.group(2)
                    position = f"?_HLS_msn={number}&_HLS_part={part}"

    async def _look(self, playlist: str, position: str) -> "re.Match[str] | None":
        """What a player fetches; where the playlist is a low-latency one, the part that it announces as well."""
        async with self._client.get(playlist + position) as answer:
            answer.raise_for_status()
            text = await answer.text()
        hint = HINT.search(text)
        if hint is not None:
            await self._fetch(playlist, hint.group(0))
            return hint
        for name in re.findall(r"^[^#\n]+$", text, re.MULTILINE)[-3:]:
            if name not in self._had:
                self._had.add(name)
                await self._fetch(playlist, name)
        return None

    async def _fetch(self, playlist: str, name: str) -> None:
        async with self._client.get(f"{playlist.rpartition('/')[0]}/{name}") as answer:
            answer.raise_for_status()
            body = await answer.read()
        self._came.size += len(body)
        self._came.segments += 1
        self.began.set()


async def main(link: str, number: int) -> None:
    came = Came()
    headers = {"Origin": "{0.scheme}://{0.netloc}".format(urlsplit(link))}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as client, asyncio.TaskGroup() as tasks:
        viewers = [Viewer(client, link, came) for _ in range(number)]
        for place, viewer in enumerate(viewers):
            tasks.create_task(viewer.watch(TARGET_DURATION * place / number))
        await asyncio.gather(*(viewer.began.wait() for viewer in viewers))
        say("ready")
        while await asyncio.to_thread(sys.stdin.readline):
            say([came.segments, came.size / 1e6])
            came.segments = came.size = 0
        raise SystemExit


def say(told: object) -> None:
    sys.stdout.write(f"{json.dumps(told)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
