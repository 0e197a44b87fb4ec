"""The image without Docker: a linter reads the Dockerfile, and its very steps make an environment that starts, is
healthy, writes nowhere but in its volume, and ends on SIGTERM.

The base images and their Python are not tried. The size is what our steps add, measured, and what is published of the
base image.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.settings import variables
from bot.shutdown import SHUTDOWN_TIME
from tests.harness.ports import free_port
from tests.packaging.compose import COMPOSE, filled_in, started_by
from tests.packaging.conftest import ROOT
from tests.packaging.dockerfile import Build, Stage, context_of, instructions
from tests.packaging.started import Started, get

# The packages come from the index, or from what `make setup` has downloaded.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

DOCKERFILE = ROOT / "Dockerfile"
MEGABYTE = 1_000_000
BASES = {"python:3.12.13-slim-bookworm": 124.3 * MEGABYTE}
"""What a base image takes unpacked: "virtual size" for amd64 in docker-library/repo-info on GitHub,
repos/python/local/3.12-slim-bookworm.md, August 2026. A new base needs its own number."""


def words(word: str) -> list[str]:
    return [instruction.rest for instruction in instructions(DOCKERFILE) if instruction.word == word]


# --- what it says ----------------------------------------------------------------------------------------------------


def test_linter_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(  # noqa: S603 - our own words
        [str(hadolint), "--no-color", str(DOCKERFILE)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_base_images_are_pinned_by_their_version() -> None:
    bases = [rest.split()[0] for rest in words("FROM")]
    assert len(bases) == 2
    assert all(re.fullmatch(r"python:3\.\d+\.\d+(-slim)?-bookworm", base) for base in bases)
    assert len({base.removesuffix("-bookworm").removesuffix("-slim") for base in bases}) == 1, "two Pythons"


def test_python_of_the_image_is_one_that_the_package_takes() -> None:
    found = re.search(r"python:3\.(\d+)", words("FROM")[0])
    assert found is not None
    assert int(found[1]) >= 11


def test_program_does_not_run_as_root() -> None:
    (user,) = words("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    after = [i.word for i in instructions(DOCKERFILE)]
    assert "RUN" not in after[after.index("USER") :]


@pytest.mark.parametrize("secret", [".env", ".git", "tests", "avatar-relay.sqlite3"])
def test_builder_does_not_get(secret: str, tmp_path: Path) -> None:
    assert not (context_of(ROOT, tmp_path) / secret).exists()


# --- what its steps make ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The last stage, after every step."""
    folder = tmp_path_factory.mktemp("image")
    return Build(context_of(ROOT, folder), folder).run(DOCKERFILE)


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def environment(image: Stage, port: int) -> dict[str, str]:
    """What `docker run -e AVATAR_PROVIDER=simulator` gives the program, with a port of this machine that is free."""
    return image.environment | {"WEB_PORT": str(port), "AVATAR_PROVIDER": "simulator", "AVATAR_GREETING": "Hi."}


@pytest.fixture(scope="module")
def command(image: Stage) -> list[str]:
    """The entry point with its usual argument, and the console because no chat platform is configured here."""
    return [*json.loads(image.declared["ENTRYPOINT"]), *json.loads(image.declared["CMD"]), "--console"]


def files(root: Path) -> dict[Path, int]:
    return {path: path.lstat().st_mtime_ns for path in root.rglob("*") if not path.is_dir()}


def health(image: Stage, environment: dict[str, str]) -> int:
    """The exit code of the health check."""
    check = json.loads(image.declared["HEALTHCHECK"].partition("CMD ")[2])
    return subprocess.run(  # noqa: S603 - our own Dockerfile
        check, cwd=image.place("."), env=environment, capture_output=True, timeout=30, check=False
    ).returncode


@pytest.fixture(scope="module")
def before(image: Stage) -> dict[Path, int]:
    return files(image.root)


@pytest.fixture(scope="module")
def running(
    image: Stage, environment: dict[str, str], command: list[str], before: dict[Path, int]
) -> Iterator[Started]:
    with Started(command, image.place("."), environment) as started:
        started.type("/avatar start")
        started.until(lambda output: "is live" in output)
        yield started


def test_program_is_the_one_of_the_image(image: Stage) -> None:
    for name in ("avatar-relay", "python"):
        found = shutil.which(name, path=image.environment["PATH"])
        assert found == str(image.place("/opt/avatar-relay/bin") / name)
    asked = [str(image.place("/opt/avatar-relay/bin/python")), "-I", "-c", "import bot; print(bot.__file__)"]
    done = subprocess.run(asked, cwd=image.root, capture_output=True, text=True, check=True)  # noqa: S603 - our own words
    assert Path(done.stdout.strip()).is_relative_to(image.root)


def test_health_check_is_right_about_a_bot_that_is_not_there(image: Stage, environment: dict[str, str]) -> None:
    assert health(image, environment | {"WEB_PORT": str(free_port())}) != 0


def test_bot_is_healthy_and_ready(image: Stage, environment: dict[str, str], running: Started, port: int) -> None:
    assert health(image, environment) == 0
    assert get(f"http://127.0.0.1:{port}/readyz")[0] == 200


def test_it_ends_on_the_signal_and_closes_its_avatar(image: Stage, running: Started) -> None:
    assert image.declared["STOPSIGNAL"] == "SIGTERM"
    assert running.terminate() == 0
    assert running.output.rstrip().endswith("Everything is closed.")


def test_it_has_written_nowhere_but_in_its_volume(image: Stage, before: dict[Path, int], running: Started) -> None:
    volume = image.place(image.declared["VOLUME"])
    assert volume.stat().st_mode & 0o777 == 0o700
    changed = {path for path, moment in files(image.root).items() if before.get(path) != moment}
    assert {path.name for path in changed if path.is_relative_to(volume)} >= {"avatar-relay.sqlite3"}
    assert {path for path in changed if not path.is_relative_to(volume)} == set()


def test_steps_leave_room_for_the_base_within_200_megabytes(image: Stage, before: dict[Path, int]) -> None:
    added = sum(path.lstat().st_size for path in before)
    assert added > 40 * MEGABYTE, "these are not all the files"
    assert BASES[image.base] + added < 200 * MEGABYTE, f"{added / MEGABYTE:.0f} MB"


@pytest.mark.parametrize("module", ["discord", "slack_bolt", "asyncpg"])
def test_image_has_the_platforms_and_postgresql(image: Stage, module: str) -> None:
    python = image.place("/opt/avatar-relay/bin/python")
    subprocess.run([str(python), "-I", "-c", f"import {module}"], check=True, cwd=image.root)  # noqa: S603 - our words


# --- compose ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bot", "bot-postgres", "bot-1"])
def test_service_is_read_only_but_for_its_volume(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    (volume,) = service["volumes"]
    source, _, target = volume.partition(":")
    assert source in COMPOSE["volumes"]
    assert target == words("VOLUME")[0]


@pytest.mark.parametrize("name", ["bot", "bot-postgres"])
def test_service_listens_where_its_port_is_published_and_to_this_machine_alone(name: str) -> None:
    service = COMPOSE["services"][name]
    (published,) = service["ports"]
    host, _, inside = published.rpartition(":")
    assert host.startswith("127.0.0.1:")
    assert inside == service["environment"]["WEB_PORT"] == words("EXPOSE")[0]


@pytest.mark.parametrize("name", ["bot", "bot-postgres", "bot-1"])
def test_settings_of_a_service_are_settings_of_the_program(name: str) -> None:
    assert set(COMPOSE["services"][name]["environment"]) <= {name for name, _, _ in variables()}


def test_database_is_started_by_its_profile_alone() -> None:
    assert started_by("postgres") - started_by() == {"bot-postgres", "database"}
    assert re.fullmatch(r"postgres:\d+\.\d+-\w+", COMPOSE["services"]["database"]["image"])


def test_several_bots_are_started_with_their_database_and_their_proxy_by_their_profile_alone() -> None:
    assert started_by("cluster") - started_by() == {"bot-1", "bot-2", "database", "proxy"}
    assert COMPOSE["services"]["bot-1"] == COMPOSE["services"]["bot-2"]
    assert COMPOSE["services"]["proxy"]["depends_on"] == ["bot-1", "bot-2"]
    assert re.fullmatch(r"caddy:\d+\.\d+\.\d+-\w+", COMPOSE["services"]["proxy"]["image"])


def test_nobody_reaches_several_bots_but_through_the_proxy_which_knows_all_of_them() -> None:
    assert COMPOSE["services"]["bot-1"]["ports"] == []
    port = COMPOSE["services"]["bot-1"]["environment"]["WEB_PORT"]
    site = (ROOT / "deploy/caddy/Caddyfile").read_text(encoding="utf-8")
    assert re.findall(r"bot-\d:\d+", site) == [f"bot-1:{port}", f"bot-2:{port}"]


@pytest.mark.parametrize(("chosen", "lock"), [({}, "run"), ({"IMAGE_LOCK": "image"}, "image")])
def test_service_can_encode_rooms_unless_it_is_built_without(chosen: dict[str, str], lock: str) -> None:
    asked = filled_in(COMPOSE["services"]["bot"]["build"]["args"]["LOCK"], chosen)
    assert asked == lock
    assert (ROOT / f"requirements/{asked}.lock").is_file()
    assert [rest.partition("=")[0] for rest in words("ARG")] == ["LOCK"]


def test_bot_has_the_time_it_needs_to_close_every_avatar() -> None:
    assert int(COMPOSE["services"]["bot"]["stop_grace_period"].removesuffix("s")) > SHUTDOWN_TIME + 10
