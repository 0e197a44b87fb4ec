"""The conversation as chat APIs want it: an optional system turn, then user, assistant, user, … and a user's turn last.

Some models (Gemma, Mistral and others behind their chat templates) refuse anything else. Pure values.
"""

from collections.abc import Iterable, Sequence

from bot.core.ports import ChatTurn


def messages_of(system: str, turns: Sequence[ChatTurn], most: int) -> list[dict[str, str]]:
    """The newest `most` turns at most, behind the system's, as the API takes them. The last turn is the question."""
    told = _alternating(turns[-most:])
    return [
        {"role": "system", "content": system},
        *({"role": "assistant" if turn.from_avatar else "user", "content": turn.text} for turn in told),
    ]


def _alternating(turns: Iterable[ChatTurn]) -> list[ChatTurn]:
    """Without empty turns and without the avatar's before the first question; neighbours of one speaker are one turn,
    so that no words are lost."""
    kept: list[ChatTurn] = []
    for turn in turns:
        if not turn.text.strip() or (turn.from_avatar and not kept):
            continue
        if kept and kept[-1].from_avatar is turn.from_avatar:
            kept[-1] = ChatTurn(f"{kept[-1].text}\n{turn.text}", turn.from_avatar)
        else:
            kept.append(turn)
    return kept
