"""The check of what answers people: the avatar by itself, or a chat model, which is asked one small question."""

from collections.abc import AsyncIterator

from bot.cli.doctor.check import Check, CheckContext, failed, passed, skipped, warned
from bot.core.errors import AnswerError, AnswerTrouble, SettingsError
from bot.core.ports import Capabilities, ChatTurn
from bot.core.time_limit import time_limit
from bot.plugins import make_provider
from bot.sentences import network, network_fix
from bot.settings import SIMULATOR, ChatModelSettings

SUBJECT = "answers"
QUESTION = ChatTurn("Say hello, in one word.", from_avatar=False)
LIMIT = 60.0
"""Seconds until the first word: as long as people would wait for one."""


async def examine_answers(examination: CheckContext) -> AsyncIterator[Check]:
    """Look whether questions are answered."""
    settings = examination.settings
    if settings.avatar.provider == SIMULATOR:
        yield passed(SUBJECT, "the simulator answers, in place of a chat model")
        return
    capabilities = _capabilities(examination)
    if capabilities is not None and capabilities.chat:
        yield passed(SUBJECT, "the avatar answers by itself")
    elif examination.chat_model is not None:
        yield await _asked(examination, settings.chat_model)
    elif capabilities is None:
        yield skipped(SUBJECT, "the avatar service is not set up, and no chat model is set")
    else:
        also = f", or {capabilities.chat_setting}" if capabilities.chat_setting else ""
        yield warned(SUBJECT, "the avatar can only repeat", f"Set CHAT_API_URL and CHAT_MODEL{also} to let it answer.")


def _capabilities(examination: CheckContext) -> Capabilities | None:
    try:
        return make_provider(examination.settings, examination.clock).capabilities
    except SettingsError:
        # The check of the avatar service says so.
        return None


async def _asked(examination: CheckContext, chosen: ChatModelSettings) -> Check:
    try:
        async with time_limit(examination.clock, LIMIT):
            await _first_word(examination)
    except AnswerError as error:
        return failed(SUBJECT, *_what_is_wrong(error, chosen))
    except TimeoutError:
        return failed(SUBJECT, *_what_is_wrong(AnswerError("", why=AnswerTrouble.TIME), chosen))
    return passed(SUBJECT, f"the chat model {chosen.model} answers")


async def _first_word(examination: CheckContext) -> None:
    """Raises `AnswerError` if there is none. The rest of the answer is left unread."""
    if examination.chat_model is None:
        return
    async with examination.chat_model as model:
        async for _ in model.answer("", [QUESTION]):
            return


def _what_is_wrong(error: AnswerError, chosen: ChatModelSettings) -> tuple[str, str]:
    """What was found, and what to do about it."""
    url = chosen.api_url
    match error.why:
        case AnswerTrouble.KEY if chosen.api_key is None:
            return f"{url} needs a key ({error})", "Set CHAT_API_KEY."
        case AnswerTrouble.KEY:
            return f"{url} does not accept the key ({error})", "Copy the key from your account again: CHAT_API_KEY."
        case AnswerTrouble.MODEL:
            return f"{url} does not know the model {chosen.model} ({error})", "Set CHAT_MODEL to a model of that API."
        case AnswerTrouble.ADDRESS:
            return (
                f"there is no chat API at {url} ({error})",
                "Set CHAT_API_URL to its address up to and with the version, such as https://llm.example.com/v1.",
            )
        case AnswerTrouble.UNREACHABLE:
            return f"{network(str(url), error.network)} ({error})", network_fix(error.network, "CHAT_API_URL")
        case AnswerTrouble.BUSY:
            return f"{url} is busy, or the account has no credit ({error})", "Look at the account, and try again later."
        case AnswerTrouble.TIME:
            return f"the chat model {chosen.model} said nothing in {LIMIT:.0f} s", "Choose a quicker one: CHAT_MODEL."
        case _:
            return (
                f"the chat model {chosen.model} gave no answer ({error})",
                "Look at the API's own log or status page.",
            )
