"""What is sent is a conversation that every model takes: a system turn, then user and assistant in turns."""

from hypothesis import given
from hypothesis import strategies as st

from adapters.llm.messages import messages_of
from bot.core.ports import ChatTurn

turns = st.builds(ChatTurn, st.sampled_from(["", " \n", "yes", "and you?", "hm"]), st.booleans())


@given(st.lists(turns, max_size=30), st.integers(min_value=1, max_value=25))
def test_speakers_take_turns_whatever_came_before_the_question(before: list[ChatTurn], most: int) -> None:
    system, *messages = messages_of("Be kind.", [*before, ChatTurn("a question", from_avatar=False)], most)
    assert system == {"role": "system", "content": "Be kind."}
    assert len(messages) <= most
    assert [message["role"] for message in messages] == ["user", *["assistant", "user"] * (len(messages) // 2)]
    assert all(message["content"].strip() for message in messages)
    assert messages[-1]["content"].endswith("a question")


def test_no_words_are_lost_where_somebody_spoke_twice() -> None:
    twice = [ChatTurn("one", from_avatar=False), ChatTurn("two", from_avatar=False)]
    assert messages_of("", twice, 5)[1:] == [{"role": "user", "content": "one\ntwo"}]
