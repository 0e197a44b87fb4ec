"""The words of a command."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.commands.parser import ADMIN, AVATAR, Usage, parse
from bot.core.errors import Refused

USAGES = {
    (usage.group, usage.verb): usage
    for usage in (
        Usage(AVATAR, "start", "start it", options=("mode", "avatar")),
        Usage(AVATAR, "say", "say it", "TEXT", required=True),
        Usage(AVATAR, "mode", "change it", "repeat|chat"),
        Usage(AVATAR, "stop", "stop it"),
        Usage(AVATAR, "help", "help"),
        Usage(ADMIN, "sessions", "list"),
        Usage(ADMIN, "stop", "close one", "ID", required=True),
    )
}


def refusal(line: str, group: str = AVATAR) -> str:
    with pytest.raises(Refused) as refused:
        parse(line, USAGES, group)
    return str(refused.value)


def test_the_text_after_the_verb_is_kept_as_it_was_written() -> None:
    assert parse("say   Good  morning, x=1!", USAGES, AVATAR).text == "Good  morning, x=1!"


def test_an_option_that_is_not_offered_is_read_so_that_the_command_can_say_why() -> None:
    usage = Usage(AVATAR, "start", "start it", options=("mode",), not_offered=("speed",))
    usages = {(AVATAR, "start"): usage}
    assert parse("start speed=2 mode=chat", usages, AVATAR).options == {"speed": "2", "mode": "chat"}
    assert usage.line == "/avatar start [mode=…]"
    with pytest.raises(Refused) as refused:
        parse("start tempo=2", usages, AVATAR)
    assert str(refused.value) == "Unknown option `tempo=`. Available: `mode=`."


def test_a_verb_may_be_written_in_capitals() -> None:
    assert parse("STOP", USAGES, AVATAR).verb == "stop"


def test_no_verb_asks_for_help_and_the_admin_group_lists_sessions() -> None:
    assert parse("", USAGES, AVATAR).verb == "help"
    assert parse(" ", USAGES, ADMIN).verb == "sessions"


def test_options_are_pairs_and_may_be_quoted() -> None:
    command = parse('start mode=chat avatar="Miss Robin"', USAGES, AVATAR)
    assert dict(command.options) == {"mode": "chat", "avatar": "Miss Robin"}


def test_control_characters_do_not_get_into_options() -> None:
    assert dict(parse("start avatar=a\x00b", USAGES, AVATAR).options) == {"avatar": "ab"}


def test_a_verb_that_is_close_is_suggested() -> None:
    assert refusal("sya hello") == "Unknown command `sya`. Did you mean `say`?"


def test_an_unknown_verb_lists_what_there_is() -> None:
    assert refusal("dance").startswith("Unknown command `dance`. Available: start, say, mode, stop, help.")


def test_a_missing_argument_is_named() -> None:
    assert refusal("say") == "`/avatar say` needs TEXT."
    assert refusal("stop", ADMIN) == "`/avatar-admin stop` needs ID."


def test_an_unknown_option_is_named() -> None:
    assert refusal("start colour=red") == "Unknown option `colour=`. Available: `mode=`, `avatar=`."


def test_something_behind_a_command_that_takes_nothing_is_not_swallowed() -> None:
    assert refusal("stop now") == "I do not understand `now` there. Usage: `/avatar stop`."


@given(st.text(max_size=300), st.sampled_from([AVATAR, ADMIN]))
def test_any_text_is_a_command_or_a_refusal_that_stays_short(line: str, group: str) -> None:
    try:
        command = parse(line, USAGES, group)
    except Refused as refused:
        said = str(refused)
    else:
        said = command.verb
        assert (group, command.verb) in USAGES
    assert 0 < len(said) < 300
