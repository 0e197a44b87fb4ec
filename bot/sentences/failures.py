"""What people read of a failure, with the reference that is in the log too; never the text of the error itself.

Part of `bot.sentences`, which is where the rest of the program takes it from.
"""

from bot.core.errors import (
    AnswerError,
    AnswerTrouble,
    AuthenticationFailed,
    AvatarAway,
    AvatarRelayError,
    ConcurrencyReached,
    Invalid,
    NotOurs,
    NotReady,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    StoreError,
    StreamGone,
    Sunset,
    Transient,
    Trouble,
)
from bot.core.ids import new_reference
from bot.core.models import UtteranceState
from bot.sentences.amounts import duration
from bot.sentences.network import network


def failure(error: AvatarRelayError) -> tuple[str, str]:
    """What to tell people of a failure, and the reference that the caller must log with the error (rule 10)."""
    reference = new_reference()
    return f"{_what_happened(error)} (ref {reference})", reference


def session_failed(error: AvatarRelayError) -> tuple[str, str]:
    """What to tell of a failure that ends the session."""
    if isinstance(error, StreamGone):
        reference = new_reference()
        return (
            f"The avatar service has closed the stream. Try again with `/avatar start`. (ref {reference})",
            reference,
        )
    return failure(error)


def not_said(state: UtteranceState, error: ProviderError) -> tuple[str, str]:
    """What to tell of a message that the avatar did not say, or may not have said."""
    text, reference = failure(error)
    if state is UtteranceState.UNKNOWN:
        why = f"{_trouble(error)}, so one message may not have been said."
        return f"{why} I do not repeat it, to be safe. (ref {reference})", reference
    return f"One message could not be said. {text}", reference


def waits_for_stream(error: ProviderError) -> tuple[str, str]:
    """What to tell when no stream can be opened for what waits."""
    text, reference = failure(error)
    return f"The avatar cannot wake up now. {text} What you wrote waits meanwhile, and I keep trying.", reference


def answer_broke_off(error: AnswerError) -> tuple[str, str]:
    """What to tell of an answer that was said as far as it came."""
    reference = new_reference()
    return (
        f"The avatar's answer broke off: {_why_it_broke_off(error.why)}. Ask again for the rest. (ref {reference})",
        reference,
    )


def interrupt_failed(error: ProviderError) -> tuple[str, str]:
    """What to tell when the provider did not take an interrupt."""
    if isinstance(error, Transient):
        reference = new_reference()
        return (
            f"The avatar could not be interrupted. {_trouble(error)}. It may talk on. Try again, or stop it "
            f"with `/avatar stop`. (ref {reference})"
        ), reference
    text, reference = failure(error)
    return f"The avatar could not be interrupted. {text}", reference


def _why_it_broke_off(why: AnswerTrouble) -> str:
    match why:
        case AnswerTrouble.LENGTH:
            return "it reached the longest that an answer may be"
        case AnswerTrouble.FILTER:
            return "a filter of the chat model's service stopped it"
        case AnswerTrouble.TIME:
            return "the chat model took too long to go on"
        case _:
            return "the chat model stopped in the middle"


def _trouble(error: ProviderError) -> str:
    """What kept the avatar service from answering, without a full stop."""
    return network("The avatar service", error.trouble if isinstance(error, Transient) else Trouble.UNCONFIRMED)


def _what_happened(error: AvatarRelayError) -> str:
    match error:
        case AuthenticationFailed(is_known=True):
            return "The avatar account may not do this. Ask the operator to check its plan and what its key may do."
        case AuthenticationFailed():
            return "The avatar service does not accept the bot's key. Ask the operator to check it."
        case QuotaExhausted():
            return "The avatar account has no credit left. Ask the operator to top it up."
        case ConcurrencyReached():
            return (
                "As many avatars as the account allows are open already. "
                "Stop one with `/avatar stop` in its channel, or try again later."
            )
        case RateLimited(retry_after=seconds):
            return f"The avatar service asks us to slow down. Try again in {duration(max(1.0, seconds))}."
        case AvatarAway():
            return "The avatar did not come into its room, so its stream was closed. Try again in a minute."
        case NotOurs():
            return "The bot has lost touch with its database for a moment. Try again in a few seconds."
        case NotReady():
            return "The avatar is not ready yet. Try again in a few seconds."
        case StreamGone():
            return "The avatar service has closed the stream. The next message opens a new one."
        case Sunset():
            return (
                "The avatar service has switched this API off permanently. The operator can set AVATAR_PROVIDER to "
                "liveavatar, to heygen-realtime, or to simulator."
            )
        case Invalid(parameter=Invalid.ADDRESS):
            return "The avatar service does not know what the bot asks for. Ask the operator to check its address."
        case Invalid(parameter=parameter):
            what = f" ({parameter})" if parameter else ""
            return f"The avatar service does not accept a value{what}. Check the avatar, the voice and the text."
        case Transient(may_have_taken_effect=True):
            return f"{_trouble(error)}. If a stream was opened, it closes by itself. Try again."
        case Transient(trouble=Trouble.NAME | Trouble.TLS | Trouble.PROXY):
            return f"{_trouble(error)}. Ask the operator to look at the log."
        case Transient():
            return f"{_trouble(error)}. Try again in a minute."
        case AnswerError(why=AnswerTrouble.FILTER):
            return (
                "A filter of the chat model's service has stopped the answer. Ask in other words, or use `/avatar say`."
            )
        case AnswerError(why=AnswerTrouble.TIME):
            return "The chat model took too long to answer. Try again, or use `/avatar say`."
        case AnswerError(why=AnswerTrouble.LENGTH):
            return (
                "The chat model reached its limit before it had an answer. Ask something simpler, or use `/avatar say`."
            )
        case AnswerError(why=AnswerTrouble.KEY | AnswerTrouble.MODEL | AnswerTrouble.ADDRESS):
            return "The chat model is not set up right. Tell the operator, and use `/avatar say` until then."
        case AnswerError(why=AnswerTrouble.BUSY):
            return (
                "The chat model has too much to do, or its account has no credit. Try again in a minute, or use "
                "`/avatar say`."
            )
        case AnswerError(why=AnswerTrouble.UNREACHABLE):
            return f"{network('The chat model', error.network)}. Try again in a minute, or use `/avatar say`."
        case AnswerError():
            return "The avatar could not think of an answer. Try again, or use `/avatar say`."
        case StoreError():
            return "The bot cannot write to its database, so that was not taken. Ask the operator to look at the log."
        case _:
            return "Something went wrong. Try again, and tell the operator if it keeps happening."
