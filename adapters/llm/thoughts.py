"""Takes a model's thoughts out of its answer while it streams: `<think>…</think>` and its relatives, cut anywhere.

Servers that do not separate thoughts from the answer (`reasoning_content`) leave them in the text, between tags that
the model was trained to write. Pure text in, pure text out; what it keeps back is shorter than one tag.
"""

import re

NAMES = ("think", "thinking", "thought", "thoughts", "reasoning", "reflection", "scratchpad", "seed:think")
"""Of tags such as `<think>`: DeepSeek, Qwen and most others; `<thinking>` and `<reflection>` of prompts; ByteDance."""

LITERALS = {"[THINK]": "[/THINK]", "◁think▷": "◁/think▷"}
"""Tags of other shapes: Mistral, Kimi."""

MAX_TAG_LENGTH = 80
"""Characters, attributes included; a longer one is text."""

_NAME = "|".join(sorted(NAMES, key=len, reverse=True))
_TAG = re.compile(
    rf"<(?P<close>/?)(?P<name>{_NAME})(?:\s[^<>]{{0,{MAX_TAG_LENGTH - 20}}})?>"
    rf"|(?P<literal>(?-i:{'|'.join(re.escape(tag) for pair in LITERALS.items() for tag in pair)}))",
    re.IGNORECASE,
)
_BEGUN_TAG = re.compile(r"</?(?P<name>[\w:]*)(?P<more>\s[^<>]*)?", re.IGNORECASE)
_QUOTES = frozenset("`\"'“‘«")
"""Right before a tag they say that the answer speaks of the tag."""


class Thoughts:
    """The thoughts of one answer, which are left out.

    begun_unseen: a closing tag came whose opening one did not (some chat templates write it into the question), so that
    thoughts may have passed for the answer.
    """

    def __init__(self) -> None:
        self._before = ""
        self._held = ""
        self._inside: str | None = None
        self._has_spoken = False
        self.begun_unseen = False

    def leave_out(self, fragment: str) -> str:
        """What of the answer is known to be spoken after this fragment; blanks before the first word are not."""
        return self._without_blanks_before(self._said(fragment))

    def rest(self) -> str:
        """What is spoken at the end of the answer. A tag that was not finished, and what follows one that was not
        closed, is not."""
        held, self._held = self._held, ""
        return "" if self._inside is not None or len(held) > 1 else self._without_blanks_before(held)

    def _said(self, fragment: str) -> str:
        text = self._before + self._held + fragment
        at, said = len(self._before), list[str]()
        for tag in _TAG.finditer(text, at):
            name, closes = _read(tag)
            if self._inside is not None:
                if closes and name == self._inside:
                    self._inside, at = None, tag.end()
            elif tag.start() > 0 and text[tag.start() - 1] in _QUOTES:
                continue
            elif closes:
                self.begun_unseen = True
                said.clear()
                at = tag.end()
            else:
                said.append(text[at : tag.start()])
                self._inside, at = name, tag.end()
        until = max(at, _begin_of_tag(text))
        if self._inside is None:
            said.append(text[at:until])
        self._before, self._held = text[max(0, until - 1) : until], text[until:]
        return "".join(said)

    def _without_blanks_before(self, text: str) -> str:
        if not self._has_spoken:
            text = text.lstrip()
            self._has_spoken = bool(text)
        return text


def _read(tag: re.Match[str]) -> tuple[str, bool]:
    """What a tag is called, and whether it closes."""
    if (literal := tag["literal"]) is not None:
        name = literal.replace("/", "").lower()
        return name, "/" in literal
    return tag["name"].lower(), bool(tag["close"])


def _begin_of_tag(text: str) -> int:
    """Where a tag begins that may end in the next fragment; the end of the text where there is none."""
    start = max(text.rfind("<"), text.rfind("["), text.rfind("◁"))
    if start < 0 or len(text) - start > MAX_TAG_LENGTH:
        return len(text)
    begun = text[start:].lower()
    if any(tag.lower().startswith(begun) for pair in LITERALS.items() for tag in pair):
        return start
    if (tag := _BEGUN_TAG.fullmatch(begun)) is None:
        return len(text)
    is_one = tag["name"] in NAMES if tag["more"] is not None else any(name.startswith(tag["name"]) for name in NAMES)
    return start if is_one else len(text)
