"""What mkdocs does besides: pages of the checkout that are not in docs/ become pages of the site, and links that
lead out of docs/ go to those pages, or become the name of the file. Nothing of it is needed to read docs/ as it is.
"""

import logging
import re
from pathlib import Path
from posixpath import normpath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent
TAKEN_IN = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "THIRD_PARTY_NOTICES.md": "third-party-notices.md",
    "deploy/README.md": "deploying.md",
}
"""Files of the checkout, and which pages of the site they are."""
PAGES = TAKEN_IN | {"README.md": "index.md"}

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def on_startup(**_: Any) -> None:
    """Have warnings counted: `--quiet` switches them off before `--strict` can treat them as errors (mkdocs 1.6)."""
    log = logging.getLogger("mkdocs")
    log.setLevel(min(log.level, logging.WARNING))


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are not in docs/."""
    for source, page in TAKEN_IN.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_moved(text, str(Path(source).parent))))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Lead links that leave docs/ to where the site has what they name."""
    return _moved(markdown, "docs")


def _moved(markdown: str, folder: str) -> str:
    def moved(found: re.Match[str]) -> str:
        words, target, anchor = found[1], found[2], found[3] or ""
        if re.match(r"[a-z]+:", target) or (folder == "docs" and not target.startswith("../")):
            return found[0]
        path = normpath(f"{folder}/{target}")
        if path.startswith("docs/"):
            return f"[{words}]({path.removeprefix('docs/')}{anchor})"
        if path in PAGES:
            # The home page has no headings of the README.
            return f"[{words}]({PAGES[path]}{'' if path == 'README.md' else anchor})"
        return f"{words} (`{path}`)" if f"`{path}`" != words and path != words else f"`{path}`"

    return _LINK.sub(moved, markdown)
