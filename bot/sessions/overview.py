"""One open session as admins are shown it, whichever process runs it; and as processes tell each other."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import cache

from pydantic import TypeAdapter

from bot.core.billing import StreamSeconds, cost_of, sum_of
from bot.core.models import Session
from bot.core.views import SessionView
from bot.services import Services
from bot.sessions.session import AvatarSession
from bot.sessions.session_view import view_of_row


@dataclass(frozen=True, slots=True)
class SessionOverview:
    """See the module. used: by its streams so far; cost: US dollars for that, None if no price is known."""

    view: SessionView
    created_at: datetime
    used: StreamSeconds
    cost: Decimal | None


def overview_of(running: AvatarSession) -> SessionOverview:
    """A session that this process runs."""
    return SessionOverview(running.view(), running.session.created_at, running.stream.account.used, running.cost)


async def overview_of_row(session: Session, services: Services) -> SessionOverview:
    """A session as its rows say: of a process that does not answer. Raises `StoreError`."""
    waiting = await services.store.utterances.queued([session.id])
    uses = (await services.store.streams.usage_of([session.id]))[session.id]
    capabilities = services.provider.capabilities if session.provider == services.provider.name else None
    used = sum_of(uses, capabilities, services.clock.now())
    view = replace(await view_of_row(session, services), queue_length=len(waiting.get(session.id, ())))
    cost = None if capabilities is None else cost_of(capabilities, used.billed)
    return SessionOverview(view, session.created_at, used, cost)


@cache
def _many() -> TypeAdapter[list[SessionOverview]]:
    return TypeAdapter(list[SessionOverview])


def dump_overviews(overviews: list[SessionOverview]) -> str:
    """As text."""
    return _many().dump_json(overviews).decode()


def load_overviews(text: str) -> list[SessionOverview]:
    """What `dump_overviews` made."""
    return _many().validate_json(text)
