"""The fence at the provider: a process that may have lost its sessions opens no stream and says nothing.

`close` and all that only reads stay allowed: they cannot speak, and an open stream costs money. Knows no vendor.
"""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from bot.core.errors import NotOurs, ProviderError
from bot.core.fence import NOT_CONFIRMED, Permit, under
from bot.core.ports import AvatarProvider

P = ParamSpec("P")
T = TypeVar("T")

FENCED = ("create", "start", "speak", "interrupt", "keep_alive")


def fence(provider: AvatarProvider, may_act: Callable[[], bool]) -> None:
    """From now on these calls of `provider` raise `NotOurs`, and surely have no effect, unless `may_act()`; it is asked
    before the call, and again by whoever sends the request (`bot.core.fence`).

    Where a stream is created with words, the create is what speaks, and the start only looks whether they are heard: it
    stays allowed. Refused, the stream would be given up, and its words said again by the next one.

    The calls of this very object are replaced, and no wrapper is made: what else a provider can do
    (`bot.streams.page_bridge.SupportsBroadcast` and others) is asked of the object.
    """
    speaks_at_once = provider.capabilities.requires_initial_text
    for name in FENCED:
        if name == "start" and speaks_at_once:
            continue
        setattr(provider, name, _fenced(getattr(provider, name), may_act))
    # Also where a provider itself closes what it could not finish.
    setattr(provider, "close", _free(provider.close))  # noqa: B010 - see above


def _fenced(call: Callable[P, Awaitable[T]], may_act: Callable[[], bool]) -> Callable[P, Awaitable[T]]:
    @wraps(call)
    async def fenced(*args: P.args, **kwargs: P.kwargs) -> T:
        permit = Permit(may_act)
        permit.check()
        with under(permit):
            try:
                return await call(*args, **kwargs)
            except NotOurs:
                raise
            except ProviderError as error:
                if permit.was_refused:
                    raise NotOurs(NOT_CONFIRMED) from error
                raise

    return fenced


def _free(call: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    @wraps(call)
    async def free(*args: P.args, **kwargs: P.kwargs) -> T:
        with under(None):
            return await call(*args, **kwargs)

    return free
