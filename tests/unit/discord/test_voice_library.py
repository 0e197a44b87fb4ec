"""What the bot says of a machine that cannot speak in voice channels, and what it takes instead."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from discord import opus

from adapters.chat.discord import strings
from adapters.chat.discord.voice import library


@pytest.mark.parametrize("missing", ["nacl", "davey"])
def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setattr(library, "find_spec", lambda name: None if name == missing else find_spec(name))
    assert library.why_unusable() == strings.VOICE_NOT_INSTALLED


def test_a_library_without_the_encryption_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("davey.DAVE_PROTOCOL_VERSION", 0)
    assert library.why_unusable() == strings.VOICE_TOO_OLD


def test_without_the_systems_opus_that_of_pyav_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(opus, "is_loaded", lambda: False)
    monkeypatch.setattr(opus, "load_opus", loaded.append)
    monkeypatch.setattr("ctypes.util.find_library", lambda _: None)
    assert library.why_unusable() is None
    assert [Path(name).name.startswith("libopus") for name in loaded] == [True]


def test_without_any_opus_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opus, "is_loaded", lambda: False)
    monkeypatch.setattr("ctypes.util.find_library", lambda _: None)
    monkeypatch.setattr(library, "find_spec", lambda name: None if name == "av" else find_spec(name))
    assert library.why_unusable() == strings.OPUS_MISSING


def test_the_opus_of_pyav_can_really_be_loaded() -> None:
    found = library._beside_pyav()
    assert found is not None
    opus.load_opus(found)
    assert opus.Encoder().encode(bytes(3840), opus.Encoder.SAMPLES_PER_FRAME)
