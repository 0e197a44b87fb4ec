"""A web server with one picture and a page that plays it, with the watch page's own player, and measures what it shows.

For the picture alone: no links, no policy. `measured()` on the page gives what was seen and heard.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from bot.core.errors import PictureUnavailable
from bot.core.pictures import PLAYLIST, PictureSource, PlaylistPosition
from tests.harness.marked_avatar import BITS

STATIC = Path(__file__).parents[2] / "adapters" / "web" / "static"

PAGE = f"""<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<video muted playsinline width="640" height="360"></video>
<script type="module">
import {{ Player }} from "/static/player.js";
const video = document.querySelector("video");
const canvas = new OffscreenCanvas(480, 270);
const paper = canvas.getContext("2d", {{ willReadFrequently: true }});
const seen = [], heard = [];
const light = (x, y) => paper.getImageData(Math.floor(x), Math.floor(y), 1, 1).data[1];
let bright = null, loud = null, analyser = null, samples = null, context = null;
function look(now, frame) {{
  video.requestVideoFrameCallback(look);
  paper.drawImage(video, 0, 0, 480, 270);
  let number = 0;
  for (let bit = 0; bit < {BITS}; bit++) number += light((bit + 0.5) * 20, 30) > 128 ? 2 ** bit : 0;
  const late = (Date.now() % 2 ** {BITS}) - number;
  const flash = light(240, 200) > 128;
  seen.push({{ number, late, at: performance.now(), media: frame.mediaTime, width: video.videoWidth,
              turned: bright !== null && flash && !bright }});
  bright = flash;
  if (seen.length > 3000) seen.shift();
}}
video.requestVideoFrameCallback(look);
window.listen = () => {{
  context = new AudioContext();
  analyser = context.createAnalyser();
  analyser.fftSize = 256;
  samples = new Float32Array(256);
  const source = context.createMediaElementSource(video);
  source.connect(analyser);
  analyser.connect(context.destination);
  video.muted = false;
  const channel = new MessageChannel();
  channel.port1.onmessage = () => {{
    analyser.getFloatTimeDomainData(samples);
    const now = samples.some((sample) => Math.abs(sample) > 0.05);
    if (loud !== null && now && !loud) heard.push(performance.now());
    loud = now;
    setTimeout(() => channel.port2.postMessage(0), 2);
  }};
  channel.port2.postMessage(0);
}};
const player = new Player(video, () => {{}});
window.measured = () => ({{ seen, heard, latency: player.hls?.latency, target: player.hls?.targetLatency,
  stalls: window.stalls, frames: video.getVideoPlaybackQuality().totalVideoFrames, time: video.currentTime,
  level: player.hls?.latestLevelDetails?.lowLatencyMode }});
window.stalls = 0;
video.addEventListener("waiting", () => window.stalls++);
player.show("/picture/{PLAYLIST}");
</script>"""


@asynccontextmanager
async def serving(source: PictureSource) -> AsyncIterator[str]:
    """The address of the page, while the block runs."""

    async def answer(request: web.Request) -> web.Response:
        segment, part = request.query.get("_HLS_msn"), request.query.get("_HLS_part")
        after = PlaylistPosition(int(segment), None if part is None else int(part)) if segment else None
        try:
            file = await source.fetch(request.match_info["name"], after)
        except PictureUnavailable as trouble:
            raise web.HTTPServiceUnavailable(text=str(trouble)) from None
        if file is None:
            raise web.HTTPNotFound
        caching = "max-age=60, immutable" if file.is_immutable else "no-store"
        return web.Response(body=file.body, content_type=file.content_type, headers={"Cache-Control": caching})

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/picture/{name}", answer)
    app.router.add_static("/static", STATIC)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()
