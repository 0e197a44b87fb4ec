"""What is kept of an installation: it comes back as it was, also what an earlier version wrote."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from adapters.chat.slack.installation_store import Installation, Installations

NORTH = Installation("T1", "xoxb-north", "UBOT", "B1", "E1")
ACME = Installation("E1", "xoxb-acme", "UBOT", "B1", "E1", ("T1", "T2"))


class Shelf:
    """The store's part for installations, in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    async def save(self, platform: str, workspace: str, sealed: str) -> None:
        assert platform == "slack"
        self.kept[workspace] = sealed

    async def get(self, platform: str, workspace: str) -> str | None:
        assert platform == "slack"
        return self.kept.get(workspace)

    async def forget(self, platform: str, workspace: str) -> None:
        assert platform == "slack"
        self.kept.pop(workspace, None)

    async def workspaces(self, platform: str) -> list[str]:
        assert platform == "slack"
        return sorted(self.kept)


def installations(shelf: Shelf) -> Installations:
    store: Any = SimpleNamespace(installations=shelf)
    return Installations(store, SecretStr("a-web-secret-of-the-test"))


@pytest.mark.parametrize("installation", [NORTH, ACME], ids=["workspace", "organisation"])
async def test_what_is_kept_comes_back_and_shows_no_token(installation: Installation) -> None:
    shelf = Shelf()
    await installations(shelf).keep(installation)
    assert await installations(shelf).read(installation.team_id) == installation
    assert installation.token not in repr(installation) + str(shelf.kept)


async def test_organisations_are_told_from_workspaces() -> None:
    shelf = Shelf()
    for installation in (NORTH, ACME):
        await installations(shelf).keep(installation)
    assert await installations(shelf).organisations() == [ACME]


@pytest.mark.parametrize("team_id", ["T1", "E1"])
async def test_what_an_earlier_version_kept_is_still_read(team_id: str) -> None:
    shelf = Shelf()
    ours = installations(shelf)
    old = {"team_id": team_id, "token": "xoxb-old", "bot_user": "UBOT", "bot_id": "B1"}
    shelf.kept[team_id] = ours._cipher.encrypt(json.dumps(old))
    found = await ours.read(team_id)
    assert found is not None
    assert (found.token, found.teams, found.is_of_organisation) == ("xoxb-old", (), team_id == "E1")


@pytest.mark.parametrize("sealed", ["[]", '{"teams": 7}', "nonsense", "null"])
async def test_what_cannot_be_read_is_no_installation(sealed: str) -> None:
    shelf = Shelf()
    ours = installations(shelf)
    shelf.kept["T1"] = ours._cipher.encrypt(sealed)
    assert await ours.read("T1") is None


async def test_a_token_that_no_longer_works_takes_no_newer_installation_away() -> None:
    """Another process may have been told of that one."""
    shelf = Shelf()
    kept = installations(shelf)
    await kept.keep(NORTH)
    assert not await kept.forget("T1", "xoxb-of-before")
    assert await kept.read("T1") == NORTH
    assert await kept.forget("T1", NORTH.token)
    assert await kept.read("T1") is None
    await kept.keep(NORTH)
    assert await kept.forget("T1")
    assert shelf.kept == {}
