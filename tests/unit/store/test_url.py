"""What a database URL means, and that its words hold no password."""

import os
from pathlib import Path

import pytest

from bot.core.errors import StoreUnavailable
from bot.store.url import parse_url


@pytest.mark.parametrize("driver", ["sqlite", "sqlite+aiosqlite", "sqlite+pysqlite"])
def test_a_file_is_found_with_any_driver(driver: str, tmp_path: Path) -> None:
    address = parse_url(f"{driver}:///{tmp_path}/relay.db")
    assert address.file == tmp_path / "relay.db"
    assert address.is_sqlite
    assert str(address) == f"the database {tmp_path}/relay.db"


def test_a_relative_file_is_in_the_folder_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_url("sqlite:///relay.db").file == tmp_path / "relay.db"


def test_two_names_of_a_file_are_one_address(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    assert parse_url(f"sqlite:///{tmp_path}/link/relay.db") == parse_url(f"sqlite:///{tmp_path}/relay.db")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite+aiosqlite:///:memory:"])
def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(StoreUnavailable, match="DATABASE_URL is not a file"):
        parse_url(url)


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+asyncpg", "postgresql+psycopg", "postgres"])
def test_postgresql_is_reached_through_asyncpg(scheme: str) -> None:
    address = parse_url(f"{scheme}://ada:s3cret@db.example.org:5433/relay?sslmode=require")
    assert address.url.drivername == "postgresql+asyncpg"
    assert address.arguments["dsn"] == "postgresql://?sslmode=require"
    assert address.arguments["password"] == "s3cret"
    assert not address.is_sqlite
    assert str(address) == "the PostgreSQL database relay at db.example.org:5433"
    assert "s3cret" not in repr(address)


@pytest.mark.parametrize(
    "url",
    ["", "relay.db", "mysql://ada:s3cret@host/relay", "sqlite://host/s3cret", "sqlite:///file:s3cret?uri=true", "x:"],
)
def test_anything_else_is_refused_in_words_without_what_was_written(url: str) -> None:
    with pytest.raises(StoreUnavailable, match=r"DATABASE_URL is not a .*: write .*sqlite:///") as refusal:
        parse_url(url)
    assert "s3cret" not in str(refusal.value)


def test_the_folder_and_the_file_are_for_their_owner_only(tmp_path: Path) -> None:
    address = parse_url(f"sqlite:///{tmp_path}/new/relay.db")
    address.create_file()
    assert address.file is not None
    assert oct(address.file.parent.stat().st_mode & 0o777) == "0o700"
    assert oct(address.file.stat().st_mode & 0o777) == "0o600"


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "relay.db"
    file.write_text("words")
    file.chmod(0o640)
    tmp_path.chmod(0o755)
    parse_url(f"sqlite:///{file}").create_file()
    assert file.read_text() == "words"
    assert [oct(path.stat().st_mode & 0o777) for path in (file, tmp_path)] == ["0o640", "0o755"]


def test_a_folder_that_cannot_be_made_is_told_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "obstacle").write_text("")
    for place in (tmp_path / "obstacle" / "relay.db", tmp_path):
        with pytest.raises(StoreUnavailable, match="cannot be opened for writing") as refusal:
            parse_url(f"sqlite:///{place}").create_file()
        assert str(place) in str(refusal.value)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the administrator may write everywhere")
def test_a_file_without_permission_is_told(tmp_path: Path) -> None:
    file = tmp_path / "relay.db"
    file.touch(0o400)
    with pytest.raises(StoreUnavailable, match=r"cannot be opened for writing \(permission denied\)"):
        parse_url(f"sqlite:///{file}").create_file()
