"""The languages an avatar can be asked to speak: how a code is written, and those that are offered by name.

A code is what LiveAvatar calls an ISO code, `de` or `pt-BR` (RFC 5646 without its rarer parts). Which of them a voice
really speaks is known to the avatar service alone.
"""

import re
from collections.abc import Mapping

OFFERED: Mapping[str, str] = {
    "ar": "Arabic", "bg": "Bulgarian", "zh": "Chinese", "hr": "Croatian", "cs": "Czech", "da": "Danish", "nl": "Dutch",
    "en": "English", "fil": "Filipino", "fi": "Finnish", "fr": "French", "de": "German", "el": "Greek", "hi": "Hindi",
    "hu": "Hungarian", "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ko": "Korean", "ms": "Malay",
    "no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sk": "Slovak",
    "es": "Spanish", "sv": "Swedish", "ta": "Tamil", "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese",
}  # fmt: skip
"""English names by code: the languages of ElevenLabs' multilingual models, which both services speak with. Menus offer
these; any other code may be typed."""

_CODE = re.compile(r"([a-z]{2,3})(?:-([a-z]{4}))?(?:-([a-z]{2}|\d{3}))?", re.IGNORECASE)


def language_code(text: str) -> str | None:
    """The code that `text` is, or that it names in English, written as usual (`pt-BR`); None if it is neither."""
    text = text.strip().replace("_", "-")
    by_name = {name.casefold(): code for code, name in OFFERED.items()}
    if (code := by_name.get(text.casefold())) is not None:
        return code
    found = _CODE.fullmatch(text)
    if found is None:
        return None
    language, script, region = found.groups()
    parts = (language.lower(), script and script.title(), region and region.upper())
    return "-".join(part for part in parts if part)
