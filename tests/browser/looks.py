"""How a state of the page looks: on which screens, in light and dark, and whether all of it can be read."""

from pathlib import Path
from typing import Any, Literal

from tests.browser.visit import Visit

SCREENS: dict[str, dict[str, Any]] = {
    "phone": {"viewport": {"width": 360, "height": 740}, "has_touch": True},
    "desktop": {"viewport": {"width": 1280, "height": 800}},
}
SCHEMES: tuple[tuple[Literal["dark", "light"], bool], ...] = (("dark", True), ("light", False))

CONTRASTS = """
(() => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const paint = (...colours) => {
    pen.clearRect(0, 0, 1, 1);
    for (const colour of colours) { pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1); }
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3).map((c) => c / 255);
  };
  const light = (rgb) => rgb.map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.unshift(getComputedStyle(at).backgroundColor);
    return layers;
  };
  const low = [];
  const texts = "h1, h2, p, dt, dd, footer, button, label, legend, kbd, time, p span, #state-label";
  for (const element of document.querySelectorAll(texts)) {
    if (!element.innerText?.trim() || !element.checkVisibility() || element.closest(".visually-hidden")) continue;
    const layers = behind(element);
    const [text, ground] = [light(paint(...layers, getComputedStyle(element).color)), light(paint(...layers))];
    const contrast = (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
    if (contrast < 4.5) low.push(`${contrast.toFixed(2)} ${element.innerText}`);
  }
  return low;
})()
"""


async def look_at(page: Visit, state: str, pictures: Path, name: str) -> None:
    """Wait for a state, see that it can be read in both schemes without scrolling sideways, and save what it looks
    like."""
    await page.until_state(state)
    assert await page.ask("document.documentElement.scrollWidth <= innerWidth")
    for scheme, is_dark in SCHEMES:
        await page.page.emulate_media(color_scheme=scheme)
        ground = await page.ask("getComputedStyle(document.body).backgroundColor")
        assert (sum(int(part) for part in ground[4:-1].split(",")) < 200) is is_dark
        low = await page.ask(CONTRASTS)
        assert low == [], low
        await page.picture(pictures, f"{name}-{scheme}")
