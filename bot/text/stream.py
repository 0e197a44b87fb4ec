"""Cleans a text that is still being written, as `make_speakable` cleans a whole one.

The text is cut where no rule of cleaning looks across: between two plain words, or two letters of a script without
spaces, outside of everything that was opened and may still be closed. What lies between two cuts is cleaned by itself.
Where a cut is depends on the text alone, never on the fragments it comes in, and the last word of what is there always
waits for the next one; so the end of a text is known to be its end.

What is held back: a link or a bracket, a token, code within a line and a row of a table while they can still become
one, for at most `MAX_HELD_LENGTH` characters; a fence and a spoiler until they are closed or the text is over, because
nothing of them is said. The words are those of the whole text, but for three things that hardly anybody writes: what is
longer than `MAX_HELD_LENGTH`, markup that only appears once other markup is off, and phrases repeated without spaces.
"""

import re

from bot.text.clean import make_speakable
from bot.text.repeats import Phrases
from bot.text.spoilers import close_open_markup

MAX_HELD_LENGTH = 500
"""Characters after which what was opened is taken for plain text: more than labels and addresses in answers have, and
what a chat model writes in a few seconds."""

# Kana, bopomofo and Han letters: no spaces, and no marks that join the next one. Hangul has spaces.
_UNSPACED = "\u3041-\u3096\u30a1-\u30fa\u3105-\u312f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"
_POINT = re.compile(rf"\\|`+|\|+|\[|<|\s+|(?<=([{_UNSPACED}。！？、，；：」』）]))(?!\1)(?=[{_UNSPACED}])")
_ENDS = frozenset(".,!?;:…。！？、，；：؟۔।॥)]}\"'”’»」』")
_BEFORE_A_WORD = "*_~`\"'“‘«¿¡([「『"
"""What may stand before a word without being anything else there. A bar or a bullet is not among them: at the beginning
of a part it would be one at the beginning of a line."""
_MAX_BEFORE_A_WORD = 4
_END_OF_CODE = re.compile("`+|\n")
_END_OF_TOKEN = re.compile("[<>\n]")
_BRACKETS = re.compile(r"[\[\]]")
_PARENTHESES = re.compile(r"[()]")
_KEYCAP = ("\ufe0f", "\u20e3")


class SpeakableStream:
    """Fragments in, what can be said of them out."""

    def __init__(self) -> None:
        self._cuts = _Cuts()
        self._phrases = Phrases()

    def add(self, fragment: str) -> str:
        """Put a fragment behind what came before; returns what can be said by now, with the blank behind it."""
        self._cuts.add(fragment)
        return "".join(self._phrases.add(self._words()))

    def finish(self, *, is_whole: bool = True) -> str:
        """The text is over, or broke off where it is not whole; returns the rest of what can be said."""
        if not is_whole:
            # What may still be closed is held back, so what is open begins in what is left.
            self._cuts.close()
        self._cuts.is_over = True
        words = [*self._words(), *_with_blanks(make_speakable(self._cuts.text), " ")]
        self._cuts.drop(len(self._cuts.text))
        return "".join([*self._phrases.add(words), *self._phrases.finish()]).rstrip()

    def _words(self) -> list[str]:
        """The words up to the last cut there is, each with the blank behind it."""
        words: list[str] = []
        start = 0
        while (cut := self._cuts.next()) is not None:
            end, following = cut
            # A part without words is no part: it stays with what follows.
            if said := make_speakable(self._cuts.text[start:end]):
                words += _with_blanks(said, " " if end < following else "")
                start = following
        self._cuts.drop(start)
        return words


def _with_blanks(said: str, last: str) -> list[str]:
    *words, end = said.split(" ")
    return [*(f"{word} " for word in words), f"{end}{last}"] if said else []


class _Cuts:
    """The places where a text can be cut: where one part ends, and where the next begins. What was decided once is not
    looked at again, so that hostile text costs no more than its length."""

    def __init__(self) -> None:
        self.text = ""
        self.is_over = False
        self._at = 0
        self._closed = 0
        """Everything that was opened before `_at` ends before here."""

    def add(self, fragment: str) -> None:
        """Put a fragment behind the text."""
        self.text += fragment

    def close(self) -> None:
        """No more text comes although something may be open: it ends there."""
        self.text = close_open_markup(self.text)

    def drop(self, length: int) -> None:
        """Forget so many characters from the beginning, which end at a cut."""
        self.text = self.text[length:]
        self._at = max(0, self._at - length)
        self._closed = max(0, self._closed - length)

    def next(self) -> tuple[int, int] | None:
        """Return the next cut; None if there is none yet."""
        while point := _POINT.search(self.text, self._at):
            start, end = point.span()
            if start < end and not point[0].isspace():
                if not self._pass(point[0], start, end):
                    return None
                continue
            is_beginning = self._beginning(end)
            if is_beginning is None:
                return None
            self._at = max(end, start + 1)
            if is_beginning and start >= self._closed and (start == end or self._is_word_before(start)):
                return start, end
        return None

    def _beginning(self, start: int) -> bool | None:
        """Whether a plain word begins at `start`; None if more text decides."""
        head = self.text[start : start + _MAX_BEFORE_A_WORD]
        at = start + len(head) - len(head.lstrip(_BEFORE_A_WORD))
        first, second = self.text[at : at + 1], self.text[at + 1 : at + 2]
        if not self.is_over and not (second or first.isalpha()):
            return None  # a digit may become a keycap
        return first.isalnum() and second not in _KEYCAP and make_speakable(first) != ""

    def _is_word_before(self, end: int) -> bool:
        """Whether what ends at `end` is more than marks, which may mean something where they stand alone."""
        words = self.text[max(0, end - MAX_HELD_LENGTH) : end].rsplit(None, 1)
        return bool(words) and (words[-1][-1] in _ENDS or make_speakable(words[-1]) != "")

    def _pass(self, opener: str, start: int, end: int) -> bool:
        """Go on behind an opener, or behind all that it opens. False if more text decides what it is."""
        if end == len(self.text) and not self.is_over:
            return False
        match opener[0]:
            case "\\":
                found: int | None = end + (self.text[end : end + 1] in ("\\", "`", "|"))
            case "`" if len(opener) > 2:
                found = self._behind_fence(end)
            case "`":
                found = end if _is_word(self.text[start - 1 : start]) else self._behind_code(end)
            case "|" if len(opener) > 1:
                found = self._behind_spoiler(start, end)
            case "|":
                found = self._in_row(start, end)
            case "[":
                found = self._in_link(end)
            case _:
                found = self._in_token(end)
        if found is None:
            return False
        self._at = found
        return True

    def _behind_fence(self, end: int) -> int | None:
        close = self.text.find("```", end)
        if close < 0:
            return end if self.is_over else None
        return self._behind_run(close)

    def _behind_code(self, end: int) -> int | None:
        close = _END_OF_CODE.search(self.text, end, end + MAX_HELD_LENGTH)
        if close is None:
            return self._still_plain(end)
        return end if close[0] == "\n" else self._behind_run(close.start())

    def _behind_run(self, start: int) -> int | None:
        """Behind the backticks that begin at `start`, which close something."""
        run = _END_OF_CODE.match(self.text, start)
        if run is None or (run.end() == len(self.text) and not self.is_over):
            return None
        self._closed = max(self._closed, run.end())
        return run.end()

    def _behind_spoiler(self, start: int, end: int) -> int | None:
        close = self.text.find("||", start + 3)
        if close < 0:
            return end if self.is_over else None
        self._closed = max(self._closed, close + 2)
        return close + 2

    def _in_row(self, start: int, end: int) -> int | None:
        if self.text[self.text.rfind("\n", 0, start) + 1 : start].strip():
            return end
        return self._until(self.text.find("\n", end, end + MAX_HELD_LENGTH), end)

    def _in_link(self, end: int) -> int | None:
        label = self._balanced(_BRACKETS, end)
        if label < 0:
            return self._still_plain(end)
        if label == len(self.text) and not self.is_over:
            return None
        if self.text[label : label + 1] == "(":
            address = self._balanced(_PARENTHESES, label + 1)
            if address < 0 and self._still_plain(label + 1) is None:
                return None
            label = max(label, address)
        return self._until(label, end)

    def _in_token(self, end: int) -> int | None:
        if self.text[end : end + 1].isspace():
            return end
        close = _END_OF_TOKEN.search(self.text, end, end + MAX_HELD_LENGTH)
        if close is None:
            return self._still_plain(end)
        return self._until(close.end(), end) if close[0] == ">" else end

    def _balanced(self, pair: re.Pattern[str], start: int) -> int:
        """Behind what closes the bracket before `start`; -1 where nothing within reach does."""
        depth = 1
        for bracket in pair.finditer(self.text, start, start + MAX_HELD_LENGTH):
            depth += 1 if bracket[0] in "[(" else -1
            if not depth:
                return bracket.end()
        return -1

    def _until(self, close: int, end: int) -> int | None:
        """Cut nothing before `close`, and look on from `end` for what else is opened; -1 where it is not closed."""
        if close < 0:
            return self._still_plain(end)
        self._closed = max(self._closed, close)
        return end

    def _still_plain(self, end: int) -> int | None:
        """`end` where what was opened before it can no longer be closed."""
        return end if self.is_over or len(self.text) - end >= MAX_HELD_LENGTH else None


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
