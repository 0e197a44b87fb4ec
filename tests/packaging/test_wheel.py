"""The wheel has all it needs: installed outside of the checkout, in an environment that holds nothing of ours but it,
the demo works from any folder.
"""

import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT

pytestmark = pytest.mark.slow

NOT_OURS_ALONE = ("avatar_relay-", "_editable_impl_avatar_relay", "_avatar_relay")
"""What an editable install leaves in `site-packages`; the clean environment must not see the checkout through it."""


OF_EXTRAS = ("discord", "slack_bolt", "slack_sdk", "cryptography", "asyncpg", "livekit", "av", "numpy", "jwt")
"""Packages that only an extra brings."""


def installed(wheel: Path, folder: Path, without: tuple[str, ...] = ()) -> Path:
    """The Python of a clean environment with the wheel, and with the packages of this one instead of downloads."""
    venv.create(folder / "env", with_pip=False)
    python = folder / "env/bin/python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)  # noqa: S603 - our own words
    (site,) = (folder / "env/lib").glob("python*/site-packages")
    for package in Path(sysconfig.get_paths()["purelib"]).iterdir():
        # Its .pth files stay behind: the one of the checkout is among them.
        ours = package.name.startswith(NOT_OURS_ALONE) or package.suffix == ".pth" or package.name in without
        if not ours and not (site / package.name).exists():
            (site / package.name).symlink_to(package)
    return python


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel and every extra."""
    return installed(wheel, tmp_path_factory.mktemp("clean"))


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel and no extra."""
    return installed(wheel, tmp_path_factory.mktemp("bare"), without=OF_EXTRAS)


def relay(
    python: Path, folder: Path, *arguments: str, typed: str = "", **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run the program of an environment in `folder`, with nothing in its surroundings but `settings`."""
    return subprocess.run(  # noqa: S603 - our own words
        [str(python.with_name("avatar-relay")), *arguments],
        input=typed,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)} | settings,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def ask(python: Path, folder: Path, code: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own words
        [str(python), "-I", "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def metadata(wheel: Path) -> dict[str, list[str]]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        message = Parser().parsestr(archive.read(name).decode())
    return {key: message.get_all(key) or [] for key in message}


def test_every_file_of_the_packages_is_in_the_wheel_and_no_other(wheel: Path) -> None:
    packed = {name for name in names(wheel) if ".dist-info/" not in name}
    tracked = {
        str(path.relative_to(ROOT))
        for package in ("bot", "adapters", "migrations")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == tracked


@pytest.mark.parametrize("kind", [".py", ".html", ".css", ".js", ".mjs", ".svg", ".m4s", ".mp4"])
def test_pages_players_and_segments_are_in_the_wheel(wheel: Path, kind: str) -> None:
    in_tree = any(path.suffix == kind for package in ("bot", "adapters") for path in (ROOT / package).rglob("*"))
    assert any(name.endswith(kind) for name in names(wheel)) == in_tree


def test_licences_of_what_is_vendored_travel_with_the_wheel(wheel: Path) -> None:
    licences = {name.rpartition("/licenses/")[2] for name in names(wheel) if "/licenses/" in name}
    vendored = {
        f"adapters/web/static/vendor/{path.name}" for path in (ROOT / "adapters/web/static/vendor").glob("*.txt")
    }
    assert {"LICENSE", "THIRD_PARTY_NOTICES.md"} | vendored <= licences


def test_every_extra_is_there_and_all_is_the_sum_of_them(wheel: Path) -> None:
    about = metadata(wheel)
    assert set(about["Provides-Extra"]) == {"discord", "slack", "postgres", "livekit", "voice", "all"}
    assert not [
        line
        for line in about["Requires-Dist"]
        if re.match(r"(asyncpg|av\b|davey|discord|slack|livekit)", line) and "extra" not in line
    ]
    by_extra = {
        extra: {line.partition(";")[0].strip() for line in about["Requires-Dist"] if f"extra == '{extra}'" in line}
        for extra in about["Provides-Extra"]
    }
    assert all(by_extra.values())
    assert by_extra.pop("all") == set().union(*by_extra.values())


def test_program_comes_from_the_wheel_and_not_from_the_checkout(clean: Path, tmp_path: Path) -> None:
    where = ask(
        clean, tmp_path, "import bot, adapters, migrations; print(bot.__file__, adapters.__file__, migrations.__file__)"
    )
    assert len(where.split()) == 3
    assert all(Path(path).is_relative_to(clean.parents[1]) for path in where.split())


@pytest.mark.parametrize("provider", ["heygen-realtime", "liveavatar"])
def test_demo_works_from_any_folder(clean: Path, tmp_path: Path, provider: str) -> None:
    chat = "/avatar start\nhello from a wheel\n/avatar stop\n"
    done = relay(clean, tmp_path, "demo", "--provider", provider, "--speed", "4", typed=chat)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hello from a wheel" in done.stdout
    assert done.stdout.rstrip().endswith("Everything is closed.")
    assert done.stderr == ""


def test_demo_needs_no_extra(bare: Path, tmp_path: Path) -> None:
    done = relay(bare, tmp_path, "demo", "--speed", "4", typed="/avatar start\nhello\n/avatar stop\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("Everything is closed.")


def test_without_the_extra_rooms_are_watched_from_the_seat_and_it_says_what_is_missing(
    bare: Path, tmp_path: Path
) -> None:
    account = {
        "AVATAR_PROVIDER": "liveavatar", "LIVEAVATAR_API_KEY": "never-used", "LIVEAVATAR_API_URL": "http://127.0.0.1:9",
        "WEB_PORT": "0",
    }  # fmt: skip
    done = relay(bare, tmp_path, "run", "--console", **account)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "one page at a time" in done.stdout
    assert "install avatar-relay[livekit], and the bot serves the picture to everybody" in done.stdout
    refused = relay(bare, tmp_path, "run", "--console", AVATAR_WATCH="hls", **account)
    assert refused.returncode == 2
    assert "install avatar-relay[livekit], or set AVATAR_WATCH=seat" in refused.stderr


def test_database_is_made_from_the_migrations_of_the_wheel(clean: Path, tmp_path: Path) -> None:
    done = relay(clean, tmp_path, "db", "upgrade", DATABASE_URL="sqlite:///new.sqlite3")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "new.sqlite3").stat().st_size > 0


def test_missing_platforms_are_one_line_each_with_what_to_install(bare: Path, tmp_path: Path) -> None:
    done = relay(bare, tmp_path, "run", "--console", AVATAR_PROVIDER="simulator", WEB_PORT="0", DISCORD_TOKEN="t")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    for extra in ("discord", "slack"):
        (line,) = (line for line in lines if line.lower().startswith(f"{extra}: "))
        assert line.endswith(f"pip install 'avatar-relay[{extra}]'")


def test_doctor_says_which_platforms_are_not_installed(bare: Path, tmp_path: Path) -> None:
    done = relay(bare, tmp_path, "doctor", AVATAR_PROVIDER="simulator", WEB_PORT="0")
    assert done.returncode == 0, done.stdout + done.stderr
    for extra in ("discord", "slack"):
        assert f"Add it with: pip install 'avatar-relay[{extra}]'" in done.stdout


def test_missing_driver_of_postgresql_is_one_line_with_what_to_install(bare: Path, tmp_path: Path) -> None:
    done = relay(bare, tmp_path, "db", "upgrade", DATABASE_URL="postgresql://relay:hidden@127.0.0.1/relay")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "pip install 'avatar-relay[postgres]'" in line
    assert "hidden" not in line


def test_missing_livekit_is_one_line_with_what_to_install(bare: Path, tmp_path: Path) -> None:
    done = relay(bare, tmp_path, "simulator", "--port", "0", "--livekit", "ws://127.0.0.1:7880")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "pip install 'avatar-relay[livekit]'" in line
