"""The recorded days: when somebody wrote in a public channel, and how long it was. `channel_days.json` holds times and
lengths alone, so the words here are made up.
"""

import json
import random
import string
from dataclasses import dataclass
from pathlib import Path

RECORDED = Path(__file__).with_name("channel_days.json")

_WORD = (2, 9)
"""Letters of a word, at least and at most."""


@dataclass(frozen=True)
class Posted:
    """A message. `at`: seconds since the first one of its day; `seed`: the same for this message in every run."""

    at: float
    text: str
    seed: str


Day = tuple[Posted, ...]


def recorded_days(number: int | None = None) -> list[Day]:
    """The recorded days, or so many of them, quiet and busy ones alike: the file has the quiet ones first."""
    days = json.loads(RECORDED.read_text(encoding="ascii"))["days"]
    number = len(days) if number is None else min(number, len(days))
    chosen = [round((place + 0.5) * len(days) / number - 0.5) for place in range(number)]
    return [
        tuple(Posted(float(at), words(f"{day}-{place}", length), f"{day}-{place}") for place, (at, length) in messages)
        for day, messages in ((day, enumerate(days[day])) for day in chosen)
    ]


def words(seed: str, length: int) -> str:
    """So many characters of words that mean nothing, the same for the same seed."""
    chance, text = random.Random(seed), ""
    while len(text) < length:
        text += "".join(chance.choices(string.ascii_lowercase, k=chance.randint(*_WORD))) + " "
    return text[: length - 1] + (text[length - 1].strip() or "e")
