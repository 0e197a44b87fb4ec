"""Measures how long a newcomer waits: `python -m tests.first_session` clones this checkout, runs `make demo` in the
clone, and tells the seconds until the environment stands and until an avatar is live.

It measures what is committed, on this machine, with this machine's cache of packages; `--no-cache` downloads them all.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.pages import ROOT

PATIENCE = 600.0
"""Seconds until we give up."""


def measure(folder: Path, *, cached: bool) -> dict[str, float]:
    """Seconds from the start of the clone to each step."""
    start = time.monotonic()
    steps: dict[str, float] = {}
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "VIRTUAL_ENV")}
    if not cached:
        environment["PIP_NO_CACHE_DIR"] = "1"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)  # noqa: S603, S607 - our own words
    steps["cloned"] = time.monotonic() - start
    with subprocess.Popen(
        ["make", "demo"],  # noqa: S607 - whichever make the newcomer has
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stdin is not None
        assert demo.stdout is not None
        demo.stdin.write("/avatar start\n")
        demo.stdin.flush()
        for line in demo.stdout:
            now = time.monotonic() - start
            if now > PATIENCE:
                demo.kill()
            if line.startswith("Simulator: "):
                steps["started"] = now
            if re.search(r"The avatar is live", line):
                steps["live"] = now
                demo.stdin.write("/avatar stop\n")
                demo.stdin.close()
    return steps


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as around:
        taken = measure(Path(around) / "clone", cached="--no-cache" not in sys.argv)
    sys.stdout.write("".join(f"{step}: {seconds:.0f} s\n" for step, seconds in taken.items()))
    sys.exit("live" not in taken)
