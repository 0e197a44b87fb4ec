"""`avatar-relay doctor` on the encoder: it works, it does not, it hangs, it is not installed."""

from functools import partial
from pathlib import Path

import pytest

from adapters.media.room import doctor
from adapters.media.room.encoder_process import try_encoder
from bot.cli.doctor.check import Check, CheckContext, Outcome
from bot.core.clock import SystemClock
from bot.settings import AvatarSettings, Settings, WatchChoice


async def look(watch: WatchChoice = WatchChoice.AUTO) -> Check:
    settings = Settings(avatar=AvatarSettings(watch=watch))
    (found,) = [check async for check in doctor.examine_encoder(CheckContext(settings, SystemClock()))]
    return found


async def test_it_encodes_here() -> None:
    assert await try_encoder() is None
    assert (await look()).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("watch", "outcome"), [(WatchChoice.HLS, Outcome.FAILURE), (WatchChoice.SEAT, Outcome.WARNING)]
)
async def test_one_that_does_not_work_fails_only_who_has_chosen_it(
    monkeypatch: pytest.MonkeyPatch, watch: WatchChoice, outcome: Outcome
) -> None:
    broken = partial(try_encoder, ("-c", "raise OSError('no libx264')"))
    monkeypatch.setattr(doctor, "try_encoder", broken)
    found = await look(watch)
    assert found.outcome is outcome
    assert "OSError: no libx264" in found.found
    assert "pip install" in found.fix


async def test_one_that_crashes_is_told() -> None:
    assert await try_encoder(("-c", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")) == "it ended with -11"


async def test_one_that_hangs_is_told_and_ended() -> None:
    before = children()
    assert await try_encoder(("-c", "import time; time.sleep(600)"), 0.0) == "it takes more than 0 s"
    assert children() == before


def children() -> list[str]:
    """The processes that this thread has started; others may come and go meanwhile."""
    return Path("/proc/thread-self/children").read_text().split()


async def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.watching.find_spec", lambda _: None)
    found = await look()
    assert found.outcome is Outcome.SKIP
    assert "pip install 'avatar-relay[livekit]'" in found.found
