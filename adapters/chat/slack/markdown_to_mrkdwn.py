"""What a chat model writes, which is Markdown, as Slack's mrkdwn (docs.slack.dev, formatting message text).

Pure text work. Whatever Slack would act on is escaped, so that nothing here is a mention or a command to it; only
`http` and `https` addresses become links, and one that is labelled with an address shows where it really leads. Slack
has no tables, which become preformatted text, and no spoilers: what is hidden is left out.
"""

import re

from adapters.chat.slack.mrkdwn import escape
from bot.text import mask_spoilers
from bot.text.links import replace_addresses

MAX_ADDRESS_LENGTH = 2000
"""Characters; a longer one is shown as text. Far below the 3,000 of a block."""

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_FENCE = "```"
_LANGUAGE = re.compile(r"[A-Za-z0-9_+#.-]*[ \t]*\n")
_ROW = re.compile(r"[ \t]*\|.*\|[ \t]*")
_HEADING = re.compile(r"#{1,6}[ \t]+(.*)")
_BULLET = re.compile(r"([ \t]*)[-*+][ \t]+(.*)")
_QUOTE = re.compile(r"(?:>[ \t]?)++(.*)")
_RULE = re.compile(r"([-_*])\1{2,}")

_ATOM = re.compile(
    r"(?P<code>`[^`\n]+`)"
    r"|\\(?P<escaped>[!-/:-@\[-`{-~])"
    r"|!?\[(?P<label>[^\[\]]*+)\]\([ \t]?<?(?P<address>(?:[^()\s<>]|\([^()\s<>]*+\))*+)>?"
    r"(?:[ \t]+(?:\"[^\"()]*+\"|'[^'()]*+'))?[ \t]?\)"
    r"|<?(?P<bare>https?://[^\s<>|`\"]+)>?",
    re.IGNORECASE,
)
_WEB = re.compile(r"https?://[^\s/?#]+\S*", re.IGNORECASE)
_LAST_MARKS = ".,;:!?'*_~]"

# Slack shows emphasis only between spaces or marks. Marks of ours are controls until all are found, so that the `*` of
# bold is not read again as Markdown's italics; `_ATOMS` stand for code and links.
_BOLD, _ITALIC, _STRUCK, _PLACE = "\x01", "\x02", "\x03", "\x00"
_EMPHASIS = (
    (r"\*\*\*", r"[^*\n]", f"{_BOLD}{_ITALIC}", f"{_ITALIC}{_BOLD}"),
    (r"\*\*", r"(?:[^*\n]|\*(?!\*))", _BOLD, _BOLD),
    (r"__", r"(?:[^_\n]|_(?!_))", _BOLD, _BOLD),
    (r"\*", r"[^*\n]", _ITALIC, _ITALIC),
    (r"_", r"[^_\n]", _ITALIC, _ITALIC),
    (r"~~", r"[^~\n]", _STRUCK, _STRUCK),
)
_RULES = [
    (re.compile(rf"(?<![\w\\*_~]){mark}(?=\S)({inside}+?)(?<=\S){mark}(?![\w*_~])"), f"{first}\\1{last}")
    for mark, inside, first, last in _EMPHASIS
]
_INSIDE_A_WORD = re.compile(r"(\*\*|~~)(?=\S)([^*~\n]+?)(?<=\S)\1")
_OURS = str.maketrans({_BOLD: "*", _ITALIC: "_", _STRUCK: "~"})


def mrkdwn_of(markdown: str) -> str:
    """Return a Markdown text as mrkdwn, ready to be sent: nothing in it is to be escaped any more."""
    text = mask_spoilers(_CONTROLS.sub("", markdown)).strip()
    parts = text.split(_FENCE)
    return "".join(_preformatted(part) if place % 2 else _lines(part) for place, part in enumerate(parts)).strip()


def parts_of(markdown: str, limit: int) -> list[str]:
    """The same in parts of at most `limit` characters, cut between lines or words; a fence goes on in the next part."""
    # Before it is cut: half of what is hidden would be shown.
    return _parts(mask_spoilers(markdown), limit)


def _parts(markdown: str, limit: int) -> list[str]:
    rendered = mrkdwn_of(markdown)
    if len(rendered) <= limit or len(markdown) < 2:
        return [rendered[:limit]] if rendered else []
    half = len(markdown) // 2
    cut = max(markdown.rfind("\n", 0, half), 0) or max(markdown.rfind(" ", 0, half), 0) or half
    first, second = markdown[:cut], markdown[cut:]
    if first.count(_FENCE) % 2:
        first, second = f"{first}\n{_FENCE}", f"{_FENCE}\n{second.lstrip()}"
        if len(first) >= len(markdown) or len(second) >= len(markdown):
            return [escape(markdown)[:limit]]
    return [*_parts(first, limit), *_parts(second, limit)]


def _preformatted(code: str) -> str:
    language = _LANGUAGE.match(code)
    code = code[language.end() :] if language else code
    return f"\n{_FENCE}\n{escape(code.strip(chr(10)))}\n{_FENCE}\n" if code.strip() else ""


def _lines(text: str) -> str:
    shown: list[str] = []
    rows: list[str] = []
    for line in [*text.split("\n"), ""]:
        if _ROW.fullmatch(line):
            rows.append(line.strip())
            continue
        if rows:
            shown.append(f"{_FENCE}\n{escape(chr(10).join(rows))}\n{_FENCE}")
            rows.clear()
        shown.append(_line(line))
    return "\n".join(shown[:-1] if shown[-1] == "" else shown)


def _line(line: str) -> str:
    if _RULE.fullmatch(line.strip()):
        return ""
    if heading := _HEADING.match(line):
        return f"*{_inline(heading[1].replace('*', '').strip())}*"
    if quote := _QUOTE.match(line):
        return f"&gt; {_line(quote[1])}"
    if bullet := _BULLET.match(line):
        return f"{bullet[1]}• {_inline(bullet[2])}"
    return _inline(line)


def _inline(text: str) -> str:
    atoms: list[str] = []

    def keep(match: re.Match[str]) -> str:
        shown, behind = _atom(match)
        atoms.append(shown)
        return f"{_PLACE}{behind}"

    text = escape(_ATOM.sub(keep, text))
    for mark, ours in _RULES:
        text = mark.sub(ours, text)
    text = _INSIDE_A_WORD.sub(r"\2", text).translate(_OURS)
    kept = iter(atoms)
    return re.sub(_PLACE, lambda _: next(kept), text)


def _atom(match: re.Match[str]) -> tuple[str, str]:
    """What stands for a match, and what of it belongs to the text behind it."""
    if match["code"] or match["escaped"]:
        return escape(match["code"] or match["escaped"]), ""
    if match["label"] is None:
        address = match["bare"].rstrip(_LAST_MARKS)
        if address.endswith(")") and address.count("(") < address.count(")"):
            address = address[:-1]
        return _link(address, ""), match["bare"][len(address) :]
    label = " ".join(re.sub("[*`]+|~~", "", match["label"]).split()).strip("_")
    return _link(match["address"], label), ""


def _link(address: str, label: str) -> str:
    if not _WEB.fullmatch(address) or len(address) > MAX_ADDRESS_LENGTH:
        return escape(label or address)
    target = escape(address.replace("|", "%7C"))
    # A label that is an address may be another one: people see the one they would get to.
    return f"<{target}|{escape(label)}>" if label and replace_addresses(label) == label else f"<{target}>"
