"""Makes the pictures of the documentation: `python -m tests.pictures` writes docs/pictures/.

The panels are what the adapters send for one session, drawn as Discord and Slack draw embeds and blocks (after how they
looked in November 2026; the words, colours and buttons are ours, the frame around them is an imitation). The states of
the watch page are the screenshots of tests/browser, those of the seat with a real LiveKit server.
"""

import asyncio
import html
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, async_playwright

from adapters.chat.discord.buttons import view_of
from adapters.chat.discord.render import embed_of
from adapters.chat.slack.blocks import CommandRenamer, message_of_panel
from bot.core.models import Mode
from bot.core.views import Phase, SessionView
from bot.sessions.panel import panel_of
from tests.browser.conftest import ARGUMENTS
from tests.builders import a_session_view
from tests.pages import ROOT

FOLDER = ROOT / "docs/pictures"
NOW = datetime(2026, 11, 21, 14, 0, tzinfo=UTC)
FACE = "https://avatar.example.com/face.svg"
WIDTH = 640

LIVE = a_session_view(
    session_id="k3v9qa",
    mode=Mode.CHAT,
    avatar="Robin",
    avatar_picture=FACE,
    queue_length=2,
    speaking="Good morning, everybody.",
    ends_at=NOW + timedelta(minutes=47),
    watch_url="https://avatar.example.com/w/wZrwtgXXW6zy",
    price_per_minute=Decimal(3),
)
LEFT = "The avatar has left after 14 min. Open 13 min, spoken 9 min, about $38.40."
ENDED = replace(LIVE, phase=Phase.ENDED, watch_url=None, ended=LEFT)
PANELS = {"live": LIVE, "ended": ENDED}

STATES = {
    "starting": "starting",
    "live": "live",
    "captions": "live-captions",
    "watching": "watching",
    "settings": "settings",
    "waiting_for_text": "waiting_for_text",
    "waiting_for_viewer": "waiting_for_viewer",
    "ended": "ended",
    "lost": "lost",
    "seat_taken": "seat_taken",
    "asking": "asking",
    "asked": "asked",
    "seat_lost": "seat_lost",
}
"""States of the watch page that the documentation shows: the name of the picture, and that of the screenshot."""

FRAMES = (
    *(f"discord-frame-{name}" for name in ("live", "phone", "nobody", "start", "ended", "over", "elsewhere")),
    *(f"slack-pane-{name}" for name in ("live", "used", "ended")),
)
"""The page inside Discord and in Slack's side pane: the names of pictures, and of the screenshots that they are."""

SCREENSHOTS = (
    "tests/browser/test_discord.py",
    "tests/browser/test_slack_pane.py",
    "tests/browser/test_states.py",
    "tests/browser/test_page.py::test_everything_can_be_read_in_light_and_dark[desktop]",
    "tests/browser/test_rooms.py::test_every_state_of_the_seat_can_be_read_in_light_and_dark[desktop]",
)
"""The tests that take them."""

# --- Discord ---------------------------------------------------------------------------------------------------------

DISCORD = """
body { margin: 0; padding: 20px; background: #313338; color: #dbdee1;
  font: 16px/1.375 "gg sans", "Noto Sans", sans-serif }
.message { display: grid; grid-template-columns: 40px 1fr; gap: 0 16px }
.face { width: 40px; height: 40px; border-radius: 50% }
.name { color: #f2f3f5; font-weight: 500 } .app { background: #5865f2; color: #fff; border-radius: 3px; padding: 0 4px;
  font-size: 10px; vertical-align: 2px; margin: 0 6px } .when { color: #949ba4; font-size: 12px }
.embed { display: grid; grid-template-columns: 1fr auto; background: #2b2d31; border-left: 4px solid;
  border-radius: 4px; padding: 12px 16px; margin-top: 4px; max-width: 516px; box-sizing: border-box }
.title { color: #f2f3f5; font-weight: 600; grid-column: 1 } .description { font-size: 14px; margin-top: 8px }
.fields { display: grid; grid-template-columns: repeat(3, 1fr); gap: 8px; margin-top: 8px; font-size: 14px;
  grid-column: 1 }
.fields b { display: block; color: #f2f3f5; font-weight: 600 }
.thumbnail { width: 80px; height: 80px; border-radius: 4px; grid-column: 2; grid-row: 1 / span 3; margin-left: 16px }
.time { background: #3f4147; border-radius: 3px; padding: 0 2px }
.buttons { display: flex; gap: 8px; margin-top: 8px }
.button { border-radius: 3px; padding: 6px 16px; font-size: 14px; color: #fff; background: #4e5058 }
.style-1 { background: #5865f2 } .style-4 { background: #da373c }
"""


def discord_page(view: SessionView) -> str:
    """A panel as Discord shows the embed and the components that the adapter sends."""
    panel = panel_of(view)
    embed: Any = embed_of(panel).to_dict()
    components = view_of(panel.buttons, view.session_id, panel.link)
    rows: list[Any] = components.to_components() if components else []
    parts = [f'<div class="title">{_plain(embed["title"])}</div>']
    if "description" in embed:
        parts.append(f'<div class="description">{_plain(embed["description"])}</div>')
    facts = "".join(f"<div><b>{_plain(f['name'])}</b>{_discord_times(f['value'])}</div>" for f in embed["fields"])
    parts.append(f'<div class="fields">{facts}</div>')
    if "thumbnail" in embed:
        parts.append(f'<img class="thumbnail" src="{html.escape(embed["thumbnail"]["url"])}">')
    buttons = "".join(
        f'<span class="button style-{button["style"]}">{html.escape(button["label"])}{" ↗" * ("url" in button)}</span>'
        for row in rows
        for button in row["components"]
    )
    colour = f"#{embed['color']:06x}"
    body = (
        '<span class="name">avatar-relay</span><span class="app">APP</span>'
        f'<span class="when">Today at {NOW:%H:%M}</span>'
        f'<div class="embed" style="border-color: {colour}">{"".join(parts)}</div><div class="buttons">{buttons}</div>'
    )
    return _page(DISCORD, body)


def _discord_times(text: str) -> str:
    def relative(found: re.Match[str]) -> str:
        minutes = round((int(found[1]) - NOW.timestamp()) / 60)
        return f'<span class="time">in {minutes} minutes</span>'

    return re.sub(r"&lt;t:(\d+):R&gt;", relative, _plain(text))


def _plain(markdown: str) -> str:
    return html.escape(re.sub(r"\\(.)", r"\1", markdown))


# --- Slack -----------------------------------------------------------------------------------------------------------

SLACK = """
body { margin: 0; padding: 20px; background: #fff; color: #1d1c1d;
  font: 15px/1.466 Slack-Lato, Lato, "Noto Sans", sans-serif }
.message { display: grid; grid-template-columns: 36px 1fr; gap: 0 8px }
.face { width: 36px; height: 36px; border-radius: 8px }
.name { font-weight: 900 } .app { background: #1d1c1d21; color: #1d1c1dc0; border-radius: 2px; padding: 1px 3px;
  font-size: 10px; font-weight: 700; margin: 0 6px } .when { color: #616061; font-size: 12px }
.section { display: grid; grid-template-columns: 1fr auto; margin: 4px 0 8px }
.accessory { width: 88px; height: 88px; border-radius: 4px }
.fields { display: grid; grid-template-columns: 1fr 1fr; gap: 8px 16px; max-width: 600px; margin-bottom: 8px }
.context { color: #616061; font-size: 13px; margin-bottom: 8px } .actions { display: flex; gap: 8px }
.button { border: 1px solid #1d1c1d4d; border-radius: 8px; padding: 4px 12px; font-weight: 700 }
.primary { background: #007a5a; color: #fff; border-color: #007a5a } .danger { color: #e01e5a; border-color: #e01e5a }
"""


def slack_page(view: SessionView) -> str:
    """A panel as Slack shows the blocks that the adapter sends."""
    message = message_of_panel(panel_of(view), view.session_id, CommandRenamer("avatar"))
    return _page(SLACK, slack_message(message["blocks"]))


def slack_message(blocks: list[Any]) -> str:
    """What the app says with these blocks, as Slack shows it."""
    drawn = "".join(_block(block) for block in blocks)
    return (
        '<span class="name">avatar-relay</span><span class="app">APP</span>'
        f'<span class="when">{NOW:%H:%M}</span>{drawn}'
    )


def _block(block: Any) -> str:
    match block["type"]:
        case "section":
            picture = block.get("accessory")
            image = f'<img class="accessory" src="{html.escape(picture["image_url"])}">' if picture else ""
            text = _mrkdwn(block["text"]) if "text" in block else ""
            facts = "".join(f"<div>{_mrkdwn(fact)}</div>" for fact in block.get("fields", ()))
            return f'<div class="section"><div>{text}<div class="fields">{facts}</div></div>{image}</div>'
        case "context":
            return f'<div class="context">{"".join(_mrkdwn(text) for text in block["elements"])}</div>'
        case "actions":
            buttons = "".join(
                f'<span class="button {button.get("style", "")}">{html.escape(button["text"]["text"])}</span>'
                for button in block["elements"]
            )
            return f'<div class="actions">{buttons}</div>'
    raise AssertionError(f"nobody has drawn a block of type {block['type']} yet")


def _mrkdwn(text: Any) -> str:
    # The adapter has escaped `&`, `<` and `>`, as HTML does; a date is the one thing in angle brackets.
    shown = re.sub(r"<!date\^(\d+)\^\{time\}\|[^>]*>", lambda found: f"{_time(int(found[1]))}", text["text"])
    return re.sub(r"\*([^*\n]+)\*", r"<b>\1</b>", shown).replace("\n", "<br>")


def _time(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%H:%M}"


def _page(style: str, body: str) -> str:
    return (
        f'<!doctype html><meta charset="utf-8"><style>{style}</style>'
        f'<div class="message"><img class="face" src="{FACE}"><div>{body}</div></div>'
    )


# --- taking them -----------------------------------------------------------------------------------------------------


def pages() -> dict[str, str]:
    """Every panel as HTML, by the name of its picture."""
    looks = {"discord": discord_page, "slack": slack_page}
    return {f"panel-{look}-{name}": draw(view) for look, draw in looks.items() for name, view in PANELS.items()}


async def take_panels(folder: Path) -> None:
    """Photograph the panels with the system's Chromium."""
    face = (ROOT / "adapters/web/static/icon.svg").read_text(encoding="utf-8")
    async with chromium() as browser:
        page = await browser.new_page(viewport={"width": WIDTH, "height": 100}, device_scale_factor=2)
        await page.route(FACE, lambda route: route.fulfill(content_type="image/svg+xml", body=face))
        for name, content in pages().items():
            await page.set_content(content, wait_until="networkidle")
            await page.screenshot(path=folder / f"{name}.png", full_page=True)


async def take_states(folder: Path) -> None:
    """Let the browser tests run, and keep the screenshots that the documentation shows."""
    with tempfile.TemporaryDirectory() as taken:
        told = ("--require=browser,livekit", f"--screenshots={taken}")
        tests = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pytest", "-n", "0", "-q", *told, *SCREENSHOTS),
            cwd=ROOT,
        )
        assert await tests.wait() == 0, "the tests that take the screenshots failed"
        for name, screenshot in STATES.items():
            shutil.copy(Path(taken) / f"{screenshot}-desktop-dark.png", folder / f"page-{name}.png")
        for name in FRAMES:
            shutil.copy(Path(taken) / f"{name}.png", folder / f"{name}.png")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The system's Chromium."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found is not None, "no chromium on the PATH"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        await browser.close()


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    asyncio.run(take_panels(FOLDER))
    if "--panels" not in sys.argv:
        asyncio.run(take_states(FOLDER))
