"""How late a segment is by one way beside another: two watchers who look every few milliseconds, in this process."""

import asyncio
import json
import re
import time
from datetime import datetime
from urllib.parse import urlsplit

import aiohttp

LOOK = 0.02
"""Seconds between two looks at a playlist."""


async def playlist_of_page(client: aiohttp.ClientSession, link: str) -> str:
    """The address of the picture that the page behind a link is told."""
    async with client.ws_connect(f"{link}/live") as socket:
        session = json.loads((await socket.receive()).data)
    return f"{link.rpartition('/')[0]}/{session['hls_url']}"


async def measure_delay(direct: str, link: str, seconds: float) -> tuple[list[float], list[float]]:
    """Milliseconds from the end of each segment's time, as its date says, until it is there whole: through the bot, and
    from the provider."""
    headers = {"Origin": "{0.scheme}://{0.netloc}".format(urlsplit(link))}
    async with aiohttp.ClientSession(headers=headers) as client:
        ours = await playlist_of_page(client, link)
        relayed, provided = await asyncio.gather(_arrivals(client, ours, seconds), _arrivals(client, direct, seconds))
    both = sorted(relayed.keys() & provided.keys())[1:]
    return [relayed[date] for date in both], [provided[date] for date in both]


async def _arrivals(client: aiohttp.ClientSession, playlist: str, seconds: float) -> dict[str, float]:
    """How late each segment was that came while we looked, by its date."""
    began = time.monotonic()
    late: dict[str, float] = {}
    had: set[str] = set()
    while time.monotonic() - began < seconds:
        async with client.get(playlist) as answer:
            answer.raise_for_status()
            text = await answer.text()
        found = re.findall(r"DATE-TIME:(\S+)\n#EXTINF:([0-9.]+),\n(\S+)", text)
        for date, duration, name in found if had else found[-1:]:
            if date in had:
                continue
            async with client.get(f"{playlist.rpartition('/')[0]}/{name}") as answer:
                answer.raise_for_status()
                await answer.read()
            late[date] = 1000 * (time.time() - _epoch(date) - float(duration))
        had.update(date for date, *_ in found)
        await asyncio.sleep(LOOK)
    return late


def _epoch(date: str) -> float:
    return datetime.fromisoformat(date).timestamp()
