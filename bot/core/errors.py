"""The one tree of errors that may cross a port. `bot.sentences` turns them into words for people.

AvatarRelayError
├── SettingsError            a setting is wrong or missing; the program says so and exits 2
├── StoreError
│   ├── StoreUnavailable     the database cannot be reached, written, or is held by another process
│   │   └── OwnershipLost    another process goes on with what this one had; the program ends, and exits 75
│   └── StoreTooNew          a newer avatar-relay has already migrated it
├── Refused                  a person may not or cannot do this now; the message is the sentence to show
├── LinkInvalid              a watch link is forged, expired or revoked
├── PictureUnavailable       a part of the avatar's picture cannot be had right now
├── ProcessUnreachable       another process of the same database does not answer right now
│   └── ProcessSilent        it was asked, and whether it did what it was asked for is not known
├── EmbedUnavailable         a chat platform cannot say right now what a frame in its client may see
├── AnswerError              the chat model could not answer, or not to the end; `why` says of which kind it is
└── ProviderError            an avatar provider refused or failed
    ├── AuthenticationFailed the key is wrong, or may not do this
    ├── QuotaExhausted       no credit left
    ├── ConcurrencyReached   as many streams as the account allows are open
    ├── RateLimited          too many requests; `retry_after` seconds
    ├── NotReady             the stream cannot take this yet (no viewer, still connecting)
    │   └── AvatarAway       somebody is in the avatar's room, and the avatar is not
    ├── NotOurs              this process may not act now: nobody has confirmed that it still owns what it has
    ├── StreamGone           the stream is closed, finished or unknown
    ├── Sunset               the provider has switched this API off permanently
    ├── Invalid              the provider does not accept a value; `parameter` where it says which
    └── Transient            network or server trouble, of which `trouble` names the kind; `may_have_taken_effect`
                             decides whether to repeat (rule 5)

No message of these errors carries a key, a token or a URL with one in it (rule 9).
"""

from enum import StrEnum


class Trouble(StrEnum):
    """What keeps a service from answering."""

    UNREACHABLE = "unreachable"
    """Nothing more is known."""
    REFUSED = "refused"
    """Nobody listens at its address."""
    NAME = "name"
    """Its host has no address (DNS)."""
    TLS = "tls"
    """Its certificate is not trusted, or it speaks no TLS."""
    PROXY = "proxy"
    """The proxy of the environment is not there, or does not let us through."""
    BUSY = "busy"
    """All our own connections to it are in use."""
    TIMEOUT = "timeout"
    RESET = "reset"
    """The connection broke before the whole answer was there."""
    SERVER_ERROR = "server error"
    """It says that it failed: 5xx, or a code of its own."""
    MALFORMED = "malformed"
    """It answered something that is not its API."""
    UNCONFIRMED = "unconfirmed"
    """It has it, but told nothing of what became of it."""


class AvatarRelayError(Exception):
    """The root: everything this program raises on purpose."""


class SettingsError(AvatarRelayError):
    """A setting is wrong or missing. The message is one line that names the variable and what it may be."""


class StoreError(AvatarRelayError):
    """The database failed. The message is a sentence for the operator."""


class StoreUnavailable(StoreError):
    """The database cannot be reached or written, or another process holds it."""


class OwnershipLost(StoreUnavailable):
    """Another process has taken over what this one owned: it may touch neither rows nor streams any more."""


class StoreTooNew(StoreError):
    """The database was migrated by a newer version of the program."""


class ProcessUnreachable(AvatarRelayError):
    """Another process of the same database gave no answer in time, or could not give one."""


class ProcessSilent(ProcessUnreachable):
    """Another process was asked and gave no answer: it may have done what it was asked for, or may do it yet."""


class Refused(AvatarRelayError):
    """A person may not or cannot do this now. The message is the sentence they read."""

    def __init__(self, sentence: str, *, stage: str) -> None:
        """`stage` names what refused, for metrics and the audit."""
        super().__init__(sentence)
        self.stage = stage


class LinkInvalid(AvatarRelayError):
    """A watch link, or a ticket, does not open anything: forged, expired, revoked or used already."""

    def __init__(self, why: str) -> None:
        """`why` is one of `forged`, `expired`, `revoked`, `used`."""
        super().__init__(why)
        self.why = why


class PictureUnavailable(AvatarRelayError):
    """A part of the avatar's picture should be there and cannot be had right now. The message is for the log: it names
    no address but a host."""


class EmbedUnavailable(AvatarRelayError):
    """A chat platform cannot say right now what a frame in its client may see. The message is for the log."""


class AnswerTrouble(StrEnum):
    """What keeps a chat model from answering, or from answering to the end."""

    KEY = "key"
    MODEL = "model"
    ADDRESS = "address"
    """Nothing of a chat API is there."""
    UNREACHABLE = "unreachable"
    BUSY = "busy"
    """Too many requests, or no credit."""
    TIME = "time"
    """It took longer than an answer may."""
    LENGTH = "length"
    """It reached the most it may write."""
    FILTER = "filter"
    """A filter of its service stopped it."""
    BROKEN_OFF = "broken off"
    """The connection or the server ended before the answer did."""
    OTHER = "other"


class AnswerError(AvatarRelayError):
    """The chat model could not answer, or not to the end. The message is for the log, not for chat.

    network: what kept it from being reached, where `why` says that it was not.
    """

    def __init__(
        self, message: str, *, why: AnswerTrouble = AnswerTrouble.OTHER, network: Trouble = Trouble.UNREACHABLE
    ) -> None:
        super().__init__(message)
        self.why = why
        self.network = network


class ProviderError(AvatarRelayError):
    """An avatar provider refused or failed. The message is for the log; `code` is the provider's own, if any."""

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class AuthenticationFailed(ProviderError):
    """The key is wrong, expired, or may not do this."""

    def __init__(self, message: str, *, is_known: bool = False, code: str | None = None) -> None:
        """`is_known`: the key is right, but it, its plan or its account may not do this."""
        super().__init__(message, code=code)
        self.is_known = is_known


class QuotaExhausted(ProviderError):
    """The account has no credit left."""


class ConcurrencyReached(ProviderError):
    """The account already has as many open streams as it may."""


class RateLimited(ProviderError):
    """Too many requests. The request surely had no effect."""

    def __init__(self, message: str, *, retry_after: float, code: str | None = None) -> None:
        """`retry_after` is in seconds, at least 0."""
        super().__init__(message, code=code)
        self.retry_after = retry_after


class NotReady(ProviderError):
    """The stream cannot take this yet, and surely did not."""


class AvatarAway(NotReady):
    """Somebody is in the avatar's room to speak to it, and it is not there, or not there yet."""


class NotOurs(ProviderError):
    """This process may not act, as nothing has confirmed in time that it still owns its sessions
    (`bot.cluster.membership`). The request surely was not sent."""


class StreamGone(ProviderError):
    """The stream is closed, finished or unknown to the provider; the request surely had no effect."""


class Sunset(ProviderError):
    """The provider has switched this API off permanently."""


class Invalid(ProviderError):
    """The provider does not accept a value; the request surely had no effect."""

    ADDRESS = "address"
    """The `parameter` where nothing of its API is at the address we have."""

    def __init__(self, message: str, *, parameter: str | None = None, code: str | None = None) -> None:
        """`parameter` is the field the provider complains about, where it says so."""
        super().__init__(message, code=code)
        self.parameter = parameter


class Transient(ProviderError):
    """Network or server trouble that may pass."""

    def __init__(
        self,
        message: str,
        *,
        may_have_taken_effect: bool,
        trouble: Trouble = Trouble.UNREACHABLE,
        code: str | None = None,
    ) -> None:
        """`may_have_taken_effect` is False only where the request surely never reached the provider."""
        super().__init__(message, code=code)
        self.may_have_taken_effect = may_have_taken_effect
        self.trouble = trouble

    def without_effect(self) -> "Transient":
        """The same trouble, of a request whose effect would be none."""
        return Transient(str(self), may_have_taken_effect=False, trouble=self.trouble, code=self.code)
