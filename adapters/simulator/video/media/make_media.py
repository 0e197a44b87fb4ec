"""Makes the segments that ship with the simulator: `python -m adapters.simulator.video.media.make_media`.

Needs ffmpeg (with libx264), espeak-ng and chromium, at making time only; nothing of this runs in the product. A segment
is 0.96 s: 24 pictures at 25 per second and 45 AAC frames of 1,024 samples at 48 kHz fit it exactly, so any two segments
follow each other without a gap in either track. All of them begin and end with a closed mouth, silence, and a pose that
depends only on the place in the breathing loop of four segments.
"""

import argparse
import array
import logging
import math
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from adapters.simulator.video.media.face import HEIGHT, WIDTH, frame, pose_at
from adapters.simulator.video.media.fragments import aac_samples, fragment, h264_samples

log = logging.getLogger(__name__)

Samples: TypeAlias = "array.array[int]"
"""Sound as 16 bit numbers."""

FPS = 25
PICTURES = 24
RATE = 48_000
AAC_FRAMES = 45
SAMPLES = AAC_FRAMES * 1024
VIDEO_SCALE = 12_800
LOOP = 4
"""Segments per breathing loop."""
SECONDS = PICTURES / FPS

BABBLE = (
    "lah boh mee", "teh nah loo rim", "poh la veen", "mah dee roh", "sah lim bo neh", "voo rah tay", "nee koh lah mee",
    "doh ray lun",
)  # fmt: skip
"""Syllables that mean nothing in any language we know of."""
QUIET = RATE * 50 // 1000
"""Samples of silence at both ends of a segment; longer than two AAC frames reach across a cut."""
PEAK = 9_000
"""Loudest sample, of 32,767: soft."""

COLUMNS, ROWS = 6, 4


def main() -> None:
    """Make all segments again, into the folder of this file or `--out`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    out: Path = parser.parse_args().out
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), out)


def make(work: Path, out: Path) -> None:
    """Draw, speak, encode and cut."""
    sounds = [array.array("h", bytes(2 * SAMPLES))] * LOOP + [_babble(text, work) for text in BABBLE]
    sheets = [_sheet(number, sound, work) for number, sound in enumerate(sounds)]
    pictures = h264_samples(_encode_video(sheets, work))
    # The encoder puts one frame of priming before the first sample (1,024 samples); frame 1 is where the sound begins.
    frames = aac_samples(_encode_audio(sounds, work))[1:]
    names = [f"idle-{number}" for number in range(LOOP)] + [f"talk-{number}" for number in range(len(BABBLE))]
    for number, name in enumerate(names):
        video = pictures[number * PICTURES : (number + 1) * PICTURES]
        audio = frames[number * AAC_FRAMES : (number + 1) * AAC_FRAMES]
        if len(video) != PICTURES or len(audio) != AAC_FRAMES:
            raise RuntimeError(f"{name} has {len(video)} pictures and {len(audio)} sound frames")
        segment = fragment(video, VIDEO_SCALE // FPS, audio, 1024)
        (out / f"{name}.m4s").write_bytes(segment)
        log.info("%s: %d bytes", name, len(segment))
    (out / "init.mp4").write_bytes(_init(work))


def _run(*command: str | Path, stdin: bytes = b"") -> bytes:
    return subprocess.run(command, check=True, capture_output=True, input=stdin).stdout  # noqa: S603 - fixed commands


def _babble(text: str, work: Path) -> Samples:
    """Softly spoken syllables, exactly one segment long, silent at both ends."""
    raw = work / "raw.wav"
    raw.write_bytes(_run("espeak-ng", "-v", "en+f3", "-s", "165", "-p", "58", "--stdout", text))
    room = SAMPLES - 2 * QUIET
    trimmed = _pcm(raw, "silenceremove=1:0:-45dB,areverse,silenceremove=1:0:-45dB,areverse")
    tempo = min(2.0, max(0.7, len(trimmed) / room))
    speech = _pcm(
        raw,
        f"silenceremove=1:0:-45dB,areverse,silenceremove=1:0:-45dB,areverse,lowpass=f=5200,atempo={tempo:.4f}",
    )[:room]
    loudest = max(map(abs, speech), default=0) or 1
    fade = RATE // 40
    sound = array.array("h", bytes(2 * SAMPLES))
    for index, sample in enumerate(speech):
        edge = min(1.0, index / fade, (len(speech) - 1 - index) / fade)
        sound[QUIET + index] = int(sample * PEAK / loudest * edge)
    return sound


def _pcm(source: Path, filters: str) -> Samples:
    """A recording as samples of 16 bits, mono, at our rate."""
    raw = _run("ffmpeg", "-v", "error", "-i", source, "-af", filters, "-ar", f"{RATE}", "-ac", "1", "-f", "s16le", "-")
    return array.array("h", raw)


def _loudness(sound: Sequence[int]) -> list[float]:
    """How loud each picture's share of the sound is, 0..1, smoothed."""
    share = RATE // FPS
    raw = []
    for picture in range(PICTURES):
        part = sound[picture * share : (picture + 1) * share]
        raw.append(math.sqrt(sum(sample * sample for sample in part) / share))
    most = max(raw) or 1.0
    level = [min(1.0, value / most) ** 0.7 for value in raw]
    smooth = [
        0.25 * level[max(0, index - 1)] + 0.5 * level[index] + 0.25 * level[min(PICTURES - 1, index + 1)]
        for index in range(PICTURES)
    ]
    return [0.0, *smooth[1:-1], 0.0]


def _sheet(number: int, sound: Sequence[int], work: Path) -> Path:
    """All pictures of one segment side by side, as one PNG: starting chromium once per picture takes minutes."""
    levels = _loudness(sound)
    drawn = []
    for picture, level in enumerate(levels):
        moment = (number % LOOP) * SECONDS + picture / FPS
        lips = 0.5 + 0.5 * math.sin(1.7 * number + 2 * math.pi * picture / 11)
        pose = pose_at(moment, LOOP * SECONDS, mouth=0.9 * level, round_lips=lips, nod=4 * level)
        x, y = picture % COLUMNS * WIDTH, picture // COLUMNS * HEIGHT
        drawn.append(f'<svg x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}">{frame(pose)}</svg>')
    size = f"{COLUMNS * WIDTH},{ROWS * HEIGHT}"
    page, png = work / f"{number}.html", work / f"{number:02}.png"
    page.write_text(
        f'<body style="margin:0"><svg xmlns="http://www.w3.org/2000/svg" width="{COLUMNS * WIDTH}" '
        f'height="{ROWS * HEIGHT}" style="display:block">{"".join(drawn)}</svg>',
        encoding="utf-8",
    )
    chromium = shutil.which("chromium") or "chromium-browser"
    _run(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={size}",
         f"--user-data-dir={work / 'profile'}", f"--screenshot={png}", page.as_uri())  # fmt: skip
    log.info("drew sheet %d", number)
    return png


def _encode_video(sheets: Sequence[Path], work: Path) -> bytes:
    """H.264 without B pictures, one IDR picture per segment, one slice per picture."""
    parameters = f"keyint={PICTURES}:min-keyint={PICTURES}:scenecut=0:bframes=0:slices=1:ref=3"
    filters = f"untile={COLUMNS}x{ROWS},setpts=N/{FPS}/TB,scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"
    colours = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")
    stream = work / "video.h264"
    _run("ffmpeg", "-v", "error", "-framerate", "1", "-i", sheets[0].parent / "%02d.png", "-vf", filters,
         "-r", f"{FPS}", "-c:v", "libx264", "-profile:v", "main", "-preset", "veryslow", "-tune", "animation",
         "-crf", "22", *colours, "-x264-params", parameters, "-threads", "1", "-y", stream)  # fmt: skip
    return stream.read_bytes()


def _encode_audio(sounds: Sequence[Samples], work: Path) -> bytes:
    """AAC-LC, mono; one more silent segment behind flushes the encoder."""
    pcm = b"".join(sound.tobytes() for sound in sounds) + bytes(2 * SAMPLES)
    adts = work / "audio.aac"
    _run("ffmpeg", "-v", "error", "-f", "s16le", "-ar", f"{RATE}", "-ac", "1", "-i", "-", "-c:a", "aac", "-b:a", "56k",
         "-y", adts, stdin=pcm)  # fmt: skip
    return adts.read_bytes()


def _init(work: Path) -> bytes:
    """`ftyp` and `moov` as ffmpeg writes them for these two tracks."""
    whole = work / "whole.mp4"
    # From ADTS alone the muxer does not know the sound format yet when it writes an empty moov.
    sound = work / "audio.m4a"
    _run("ffmpeg", "-v", "error", "-i", work / "audio.aac", "-c", "copy", "-y", sound)
    _run("ffmpeg", "-v", "error", "-framerate", f"{FPS}", "-i", work / "video.h264", "-i", sound,
         "-c", "copy", "-video_track_timescale", f"{VIDEO_SCALE}", "-map_metadata", "-1",
         "-fflags", "+bitexact", "-movflags", "empty_moov+default_base_moof+frag_keyframe", "-y", whole)  # fmt: skip
    raw = whole.read_bytes()
    return raw[: raw.index(b"moof") - 4]


if __name__ == "__main__":
    main()
