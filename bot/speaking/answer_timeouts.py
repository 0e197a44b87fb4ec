"""How long the speaking loop waits for an answer that the chat model writes. Pure values: the loop carries them out.

An answer that is only being waited for holds nobody up: it gives its turn to messages that need no answer, and does not
count as activity that keeps a session, and its paid stream, open (`bot.sessions.timeouts`).
"""

from bot.core.errors import AnswerError, AnswerTrouble
from bot.speaking.item import SpeechItem

TURN = 5.0
"""Seconds for which the order of messages is kept although nothing of an answer has come: most begin within 1 to 3."""

FIRST_WORD = 60.0
"""Seconds until the first word. A model that thinks before it answers may need most of them."""

NEXT_WORDS = 30.0
"""Seconds without another word in the middle of an answer. Our choice: v3 ends a stream after as long without text."""


def longest_wait(item: SpeechItem) -> float:
    """Seconds that an item may wait for more of its answer."""
    return NEXT_WORDS if item.sent else FIRST_WORD


def took_too_long(item: SpeechItem) -> AnswerError:
    """The error of an item that has waited so long."""
    what = "another word" if item.sent else "a first word"
    return AnswerError(f"the chat model wrote not {what} in {longest_wait(item):.0f} s", why=AnswerTrouble.TIME)
