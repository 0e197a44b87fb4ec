"""The pictures of the documentation: they show what the adapters send, and they are there."""

import re

import pytest

from bot.sessions.panel import panel_of
from tests.pages import ROOT
from tests.pictures import FOLDER, FRAMES, PANELS, STATES, discord_page, pages, slack_page

LOOKS = [discord_page, slack_page]


def shown(page: str) -> str:
    """The words of a page, without its tags."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.partition("</style>")[2]))


@pytest.mark.parametrize("draw", LOOKS)
@pytest.mark.parametrize("name", PANELS)
def test_picture_has_every_fact_and_every_button_of_the_panel(draw: object, name: str) -> None:
    assert callable(draw)
    panel = panel_of(PANELS[name])
    words = shown(draw(PANELS[name]))
    wanted = [panel.title, *(word for fact in panel.fields for word in fact)]
    wanted += [button.label for button in panel.buttons]
    wanted += [panel.ended] if panel.ended else []
    assert [word for word in wanted if word not in words] == []


@pytest.mark.parametrize("draw", LOOKS)
def test_no_markup_of_the_platform_is_left_in_a_picture(draw: object) -> None:
    assert callable(draw)
    for view in PANELS.values():
        assert not re.search(r"&lt;|\*|<!date|\\", shown(draw(view)))


@pytest.mark.parametrize("name", [*pages(), *FRAMES, *(f"page-{state}" for state in STATES)])
def test_picture_was_taken(name: str) -> None:
    assert (FOLDER / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_every_picture_is_shown_somewhere_and_was_taken_by_the_script() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))
    assert [picture.name for picture in FOLDER.glob("*.png") if f"(pictures/{picture.name})" not in text] == []
    made = {f"{name}.png" for name in (*pages(), *FRAMES, *(f"page-{state}" for state in STATES))}
    assert {picture.name for picture in (ROOT / "docs").rglob("*") if picture.suffix in (".png", ".jpg")} == made
