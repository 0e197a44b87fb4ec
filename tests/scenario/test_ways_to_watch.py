"""How people watch a room is chosen from what there is, said at the start and by `doctor`, and refused in one line
where it cannot be. The program is a whole one; the LiveKit servers are never reached, as no stream is opened."""

from pathlib import Path

import pytest

from adapters.media.room import encoder_process
from bot import watching
from bot.app import Application
from bot.core.clock import SystemClock
from bot.core.errors import SettingsError
from bot.streams.entered_rooms import EntersRooms
from tests.platforms.running_bot import settings_with

OWN = {
    "LIVEKIT_URL": "wss://live.example.com",
    "LIVEKIT_API_KEY": "key",
    "LIVEKIT_API_SECRET": "a secret that is long enough for HS256",
}
PROVIDERS = {
    "liveavatar": {"AVATAR_PROVIDER": "liveavatar", "LIVEAVATAR_API_KEY": "never-used"},
    "heygen-streaming": {"AVATAR_PROVIDER": "heygen-streaming", "HEYGEN_API_KEY": "never-used"},
}


class Started:
    """The program with these variables, up to its first line."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.told: list[str] = []
        database = {"DATABASE_URL": f"sqlite:///{folder / 'app.sqlite3'}", "WEB_PORT": "0"}
        self.program = Application(settings_with(database | environment), SystemClock(), self.told.append)

    async def __aenter__(self) -> "Started":
        try:
            await self.program.start([])
        except BaseException:
            await self.program.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.program.stop()

    @property
    def picture(self) -> str:
        """What it says of the picture."""
        (line,) = [line for line in self.told if line.startswith("Picture: ")]
        return line

    @property
    def encodes(self) -> bool:
        """Whether what encodes rooms learns of those that are entered."""
        provider = self.program.bot.sessions.services.provider
        assert isinstance(provider, EntersRooms)
        return provider.entered.follower is not None


@pytest.fixture
def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyAV is not installed."""
    monkeypatch.setattr(watching, "find_spec", lambda name: None if name == "av" else object())


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_with_the_extra_alone_everybody_watches(tmp_path: Path, provider: str) -> None:
    async with Started(tmp_path, **PROVIDERS[provider]) as started:
        assert started.picture == (
            f"Picture: everybody watches HLS from the bot, which encodes {provider}'s room (LIVEKIT_URL is not set, "
            "and avatar-relay[livekit] is installed)."
        )
        assert started.encodes


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_with_a_server_of_ones_own_it_goes_first(tmp_path: Path, provider: str) -> None:
    async with Started(tmp_path, **PROVIDERS[provider], **OWN) as started:
        assert "in a room on wss://live.example.com (LIVEKIT_URL is set)" in started.picture
        assert not started.encodes


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_hls_may_be_preferred_to_it(tmp_path: Path, provider: str) -> None:
    async with Started(tmp_path, **PROVIDERS[provider], **OWN, AVATAR_WATCH="hls") as started:
        assert "which encodes" in started.picture
        assert started.encodes


@pytest.mark.usefixtures("without_extra")
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_without_the_extra_there_is_the_seat_and_a_word_of_what_is_missing(tmp_path: Path, provider: str) -> None:
    async with Started(tmp_path, **PROVIDERS[provider]) as started:
        assert "one page at a time" in started.picture
        assert "install avatar-relay[livekit], and the bot serves the picture to everybody" in started.picture
        assert not started.encodes


@pytest.mark.usefixtures("without_extra")
async def test_hls_without_the_extra_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"install avatar-relay\[livekit\], or set AVATAR_WATCH=seat") as refused:
        async with Started(tmp_path, **PROVIDERS["liveavatar"], AVATAR_WATCH="hls"):
            pass
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"AVATAR_WATCH": "livekit"}, "LIVEKIT_URL is not set"),
        ({"AVATAR_WATCH": "seat", "AVATAR_CARRIER": "bot"}, "AVATAR_CARRIER must be page or auto"),
        ({"AVATAR_WATCH": "direct"}, "liveavatar shows no HLS"),
    ],
)
async def test_what_cannot_be_is_refused(tmp_path: Path, environment: dict[str, str], line: str) -> None:
    with pytest.raises(SettingsError, match=line):
        async with Started(tmp_path, **PROVIDERS["liveavatar"], **environment):
            pass


async def test_an_encoder_that_does_not_start_is_told_before_anybody_sees_black(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder_process, "TRIAL", ("-m", "adapters.media.room.nothing_of_this_name"))
    with pytest.raises(SettingsError, match=r"the encoder does not start \(.*No module named .*AVATAR_WATCH=seat"):
        async with Started(tmp_path, **PROVIDERS["liveavatar"]):
            pass
    monkeypatch.setattr(encoder_process, "sys", type("Without", (), {"executable": str(tmp_path / "python")}))
    with pytest.raises(SettingsError, match=r"the encoder does not start \(FileNotFoundError"):
        async with Started(tmp_path, **PROVIDERS["liveavatar"]):
            pass
    async with Started(tmp_path, **PROVIDERS["liveavatar"], AVATAR_WATCH="seat") as started:
        assert "one page at a time" in started.picture


async def test_an_encoder_that_starts_has_nothing_to_tell() -> None:
    assert await encoder_process.try_encoder() is None
