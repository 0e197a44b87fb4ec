"""The stand-in for a language model: short, friendly, always the same answer to the same question.

Pure text in, pure text out. It never pretends to be more than it is.
"""

import re

MODEL = "simulator"

_MAX_QUOTE_LENGTH = 80
_WHO = re.compile(
    r"\b(who|what)\s+(are|r)\s+(you|u)\b|\bare you (an? )?(ai|bot|human|real)\b|\byour name\b", re.IGNORECASE
)
_HELLO = re.compile(r"^\W*(hi|hello|hey|good (morning|day|evening))\b", re.IGNORECASE)
_THANKS = re.compile(r"\b(thanks|thank you)\b", re.IGNORECASE)
_OPENINGS = (
    "Good question.",
    "Let me think about that.",
    "I like that you ask.",
    "Happy to talk about it.",
)


def answer_to(question: str) -> str:
    """A short answer that refers to the question.

    Asked who it is, it says that it is the simulator's stand-in for a language model.
    """
    asked = " ".join(question.split())
    if not asked:
        return "I did not catch that. Could you say it again?"
    if _WHO.search(asked):
        return "I am the simulator's stand-in for a language model. I only pretend to think, but I do it gladly."
    if _HELLO.search(asked) and len(asked) <= _MAX_QUOTE_LENGTH // 2:
        return "Hello! It is nice to see you here. What shall we talk about?"
    if _THANKS.search(asked):
        return "You are welcome!"
    quote = asked if len(asked) <= _MAX_QUOTE_LENGTH else asked[:_MAX_QUOTE_LENGTH].rsplit(" ", 1)[0] + " and so on"
    opening = _OPENINGS[sum(asked.encode()) % len(_OPENINGS)]
    return (
        f"{opening} You said: {quote.rstrip('.!?')}. A real language model would tell you more; I am only its stand-in."
    )


def tokens_of(answer: str) -> list[str]:
    """The answer in the pieces in which it is streamed; joined they are the answer."""
    return re.findall(r"\s*\S+", answer)
