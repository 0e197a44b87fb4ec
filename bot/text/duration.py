"""How long a text takes to say, for providers that do not tell.

An estimate, good enough to keep one message from cutting into the next: it follows the script, because one CJK
character is a syllable and one Latin letter is not.
"""

import re

_LETTER = 0.065
"""Seconds per character of text written with letters, spaces included. English at 6.2 syllables per second (Pellegrino,
Coupé and Marsico, Language 87(3), 2011) and about 2.5 characters to a syllable, space included, is 0.065; the simulator
speaks 0.060."""

_HAN = 0.19
"""Seconds per Han character: one syllable of Mandarin at 5.2 per second (the same study). Japanese reads a character in
about two of its shorter syllables, so it takes no less."""

_KANA = 0.13
"""Seconds per kana: one syllable of Japanese at 7.8 per second (the same study)."""

_HANGUL = 0.17
"""Seconds per Hangul block, one syllable. Our choice, between Mandarin and Japanese."""

_CONSONANT = 0.08
"""Seconds per letter where most vowels are not written: Arabic, Hebrew. Our choice."""

_DIGIT = 0.25
"""Seconds per digit: most are a syllable or more. Our choice."""

_PICTURE = 0.5
"""Seconds per emoji, for voices that read its name; the others are back sooner. Our choice."""

_START = 0.3
"""Seconds before the first sound; the simulator takes as long."""

_SENTENCE_PAUSE = 0.35
_CLAUSE_PAUSE = 0.15
"""Seconds of silence at marks within the text. Our choice."""

_RATES = (
    (re.compile("[\u2e80-\u2fdf\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"), _HAN),
    (re.compile("[\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f]"), _KANA),
    (re.compile("[\uac00-\ud7a3]"), _HANGUL),
    (re.compile("[\u0590-\u05ff\u0620-\u064a\u066e-\u06d3\u0750-\u077f\u08a0-\u08c9]"), _CONSONANT),
    (re.compile(r"\d"), _DIGIT),
    (re.compile("[\u2600-\u27bf\U0001f1e6-\U0001f1ff\U0001f300-\U0001f3fa\U0001f400-\U0001faff]"), _PICTURE),
)
_SENTENCE_MARK = re.compile(r"(?:[.!?…‽؟۔।॥](?=\s)|[。！？｡])+")
_CLAUSE_MARK = re.compile(r"[,;:،؛](?=\s)|[，、；：]")


def estimate_duration(text: str) -> float:
    """Return the seconds a voice needs for `text`, 0 for text without a word."""
    text = " ".join(text.split())
    if not text:
        return 0.0
    seconds = _START
    counted = 0
    for script, rate in _RATES:
        characters = len(script.findall(text))
        seconds += characters * rate
        counted += characters
    seconds += (len(text) - counted) * _LETTER
    return seconds + _pauses(text)


def _pauses(text: str) -> float:
    return len(_SENTENCE_MARK.findall(text)) * _SENTENCE_PAUSE + len(_CLAUSE_MARK.findall(text)) * _CLAUSE_PAUSE
