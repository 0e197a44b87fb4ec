"""The open sessions of the other processes on the database: what there is to see of them, and how to have them end.

Who runs a session is asked; where nobody answers, its rows say what they know. To stop one is a row as well, which its
owner finds within a second, and a hint. What may be seen or stopped by whom is decided by the caller.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress

import structlog

from bot.core.errors import ProcessUnreachable
from bot.core.models import Actor, Channel, Session, SessionState
from bot.services import Services
from bot.sessions.overview import SessionOverview, dump_overviews, load_overviews, overview_of_row

OVERVIEWS, SPOKEN, STOPS = "sessions.overviews", "sessions.spoken", "sessions.stops"

Workspace = tuple[str, str]
"""Platform and workspace."""

_log = structlog.get_logger(__name__)


def workspace_of(channel: Channel) -> Workspace:
    """The workspace of a channel."""
    return channel.platform, channel.workspace


class SessionsElsewhere:
    """See the module. In a process that is alone there are none, and nothing is asked or read."""

    def __init__(
        self,
        services: Services,
        own_overviews: Callable[[], Sequence[SessionOverview]],
        own_spoken: Callable[[], Mapping[str, float]],
        apply_stop_requests: Callable[[], Coroutine[object, object, None]],
    ) -> None:
        """`own_overviews`, `own_spoken`: of the sessions of this process. `apply_stop_requests` ends those that are to
        be stopped."""
        self._services = services
        self._own_overviews = own_overviews
        self._own_spoken = own_spoken
        self._apply_stop_requests = apply_stop_requests
        self._cluster = services.cluster
        self._cluster.bus.handle(OVERVIEWS, self._on_overviews)
        self._cluster.bus.handle(SPOKEN, self._on_spoken)
        self._cluster.bus.handle(STOPS, self._on_stops)

    async def rows(self, workspace: Workspace | None) -> list[tuple[Session, str | None]]:
        """The rows of a workspace's sessions, or of all, each with its owner; oldest first. Raises `StoreError`."""
        if self._cluster.directory.is_alone:
            return []
        rows = await self._services.store.sessions.open_elsewhere()
        return [row for row in rows if workspace in (None, workspace_of(row[0].channel))]

    async def overviews(self, workspace: Workspace | None) -> list[SessionOverview]:
        """What is to be seen of a workspace's sessions, or of all. Raises `StoreError`."""
        rows = await self.rows(workspace)
        owners = sorted({owner for _, owner in rows if owner is not None})
        answers = await asyncio.gather(*(self._ask(owner, OVERVIEWS, json.dumps(workspace)) for owner in owners))
        known = [overview for answer in answers if answer for overview in load_overviews(answer)]
        told = {overview.view.session_id: overview for overview in known}
        return [told.get(session.id) or await overview_of_row(session, self._services) for session, _ in rows]

    async def spoken(self) -> dict[str, float]:
        """Seconds of speech in the streams of others that are open now, by their ids; not of who does not answer.
        Raises `StoreError`."""
        owners = {owner for _, owner in await self.rows(None) if owner is not None}
        answers = await asyncio.gather(*(self._ask(owner, SPOKEN, "") for owner in owners))
        return {stream: seconds for answer in answers if answer for stream, seconds in json.loads(answer).items()}

    async def stop(self, rows: Sequence[tuple[Session, str | None]], actor: Actor) -> list[Session]:
        """Have sessions end, and return those of which that is news. Raises `StoreError`."""
        stopped = []
        for session, _ in rows:
            is_news = session.state is not SessionState.CLOSING and session.stop_requested_by is None
            if is_news and await self._services.store.sessions.request_stop(session.id, actor.key):
                stopped.append(session)
        ids = {session.id for session in stopped}
        for owner in {owner for session, owner in rows if owner is not None and session.id in ids}:
            with suppress(ProcessUnreachable):  # it looks by itself
                await self._cluster.bus.tell(owner, STOPS, "")
        return stopped

    async def _ask(self, owner: str, kind: str, body: str) -> str | None:
        try:
            return await self._cluster.bus.ask(owner, kind, body)
        except ProcessUnreachable as error:
            _log.info("what another process knows of its sessions is not shown", error=str(error))
            return None

    async def _on_overviews(self, _process: str, body: str) -> str:
        asked = json.loads(body)
        workspace = None if asked is None else (asked[0], asked[1])
        own = self._own_overviews()
        return dump_overviews([each for each in own if workspace in (None, workspace_of(each.view.channel))])

    async def _on_spoken(self, _process: str, _body: str) -> str:
        return json.dumps(dict(self._own_spoken()))

    async def _on_stops(self, _process: str, _body: str) -> str:
        await self._apply_stop_requests()
        return ""
