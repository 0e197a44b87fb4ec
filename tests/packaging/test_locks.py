"""The three lock files agree, and each part that is vendored is named with its licence."""

import re

import pytest

from tests.packaging.conftest import ROOT

pytestmark = pytest.mark.slow

VENDOR = ROOT / "adapters/web/static/vendor"
NOTICES = (ROOT / "THIRD_PARTY_NOTICES.md").read_text(encoding="utf-8")


def locked(name: str) -> set[str]:
    """The pinned packages of a lock file, without what they are for (platforms, Pythons)."""
    text = (ROOT / f"requirements/{name}.lock").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9-]+==[^ \\]+)", text, re.MULTILINE))


@pytest.mark.parametrize(("smaller", "larger"), [("image", "run"), ("run", "dev")])
def test_lock_files_pin_the_same_versions(smaller: str, larger: str) -> None:
    assert locked(smaller) - locked(larger) == set()


def test_image_leaves_out_livekit_and_voice_and_what_they_bring() -> None:
    left_out = {package.partition("==")[0] for package in locked("run") - locked("image")}
    assert left_out == {
        "aiofiles",
        "av",
        "davey",
        "livekit",
        "livekit-api",
        "livekit-protocol",
        "numpy",
        "protobuf",
        "pyjwt",
        "pynacl",
        "types-protobuf",
    }


@pytest.mark.parametrize("name", ["image", "run", "dev"])
def test_every_package_is_pinned_with_its_hashes(name: str) -> None:
    text = (ROOT / f"requirements/{name}.lock").read_text(encoding="utf-8")
    blocks = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]
    assert len(blocks) > 30
    assert [block.partition("==")[0] for block in blocks if "--hash=sha256:" not in block] == []


@pytest.mark.parametrize("name", sorted(path.name for path in VENDOR.iterdir() if path.suffix in (".js", ".mjs")))
def test_vendored_file_is_named_with_its_licence(name: str) -> None:
    assert f"`{name}`" in NOTICES
    stem = re.sub(r"(\.min|\.umd)?\.m?js$", "", name)
    assert (VENDOR / f"{stem}.LICENSE.txt").is_file()
    assert f"`{stem}.LICENSE.txt`" in NOTICES
