"""What an earlier choice of provider left open is closed there: a session cannot change its provider. One that another
process owns is that one's, which may have been started with other settings.

Opens nothing at any provider, and knows none of them by name.
"""

from contextlib import AsyncExitStack

from bot.core.errors import SettingsError
from bot.core.models import UtteranceState
from bot.core.ports import Echo
from bot.plugins import make_provider
from bot.sentences import count
from bot.services import Services
from bot.sessions.orphans import close_sessions, close_streams
from bot.settings import SIMULATOR, Settings
from bot.streams.streams import StreamCloser
from bot.unsaid import tell_left

_WHY = "the provider was changed"


async def close_left_to_other_providers(
    services: Services, settings: Settings, stack: AsyncExitStack, echo: Echo
) -> None:
    """Close every session without an owner, and its streams, that is not of the chosen provider, and echo whose words
    went unsaid.

    stack: keeps the clients of those providers, which go on with what is not confirmed, until the program ends.
    settings: with the keys of the real services. Tells the operator of a provider whose key is gone.
    """
    chosen, store = services.provider.name, services.store
    names = {session.provider for session in await store.sessions.ownerless()} - {chosen}
    sessions = [session for name in sorted(names) for session in await store.sessions.claim(name)]
    streams = [stream for stream in await store.streams.unsettled() if stream.provider != chosen]
    if streams:
        elsewhere = {session.id for session in await store.sessions.owners()} - {session.id for session in sessions}
        streams = [stream for stream in streams if stream.session_id not in elsewhere]
    for name in sorted({session.provider for session in sessions} | {stream.provider for stream in streams}):
        try:
            closer = await _enter_closer(name, services, settings, stack)
        except SettingsError as error:
            echo(f"{name}, the provider chosen before, may have streams open that I cannot close: {error}")
            continue
        of_name = [session for session in sessions if session.provider == name]
        owned = {session.id for session in of_name}
        waited = await store.utterances.queued(sorted(owned))
        unconfirmed = await close_sessions(store, closer, of_name, services.clock.now(), _WHY)
        for session in of_name:
            tell_left(session, waited[session.id], UtteranceState.DROPPED, services.event_bus)
        others = [stream for stream in streams if stream.provider == name and stream.session_id not in owned]
        unconfirmed += await close_streams(store, closer, others, _WHY)
        echo(f"Closed {count(len(of_name), 'session')} of {name}, the provider chosen before.")
        if unconfirmed:
            echo(f"{name} has not confirmed {count(unconfirmed, 'close')} yet; I keep trying.")


async def _enter_closer(
    name: str, services: Services, settings: Settings, stack: AsyncExitStack
) -> StreamCloser | None:
    if name == SIMULATOR:
        # It ended with the process that ran it.
        return None
    provider = await stack.enter_async_context(make_provider(settings, services.clock, name))
    closer = StreamCloser(provider, services.store, services.clock)
    stack.push_async_callback(closer.stop)
    return closer
