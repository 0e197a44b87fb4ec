"""Which sessions are this process's: those it opens, and those it claims because nobody has them.

The database decides, and the answer to a commit may be lost: then a session may be this process's that does not know
it, and would be served nowhere. So what is not known to be its own is let go of before the next claim. Runs no session
(`bot.sessions.registry`), and does not look at what was left open in one (`bot.sessions.recovery`).
"""

from collections.abc import Collection, Sequence

from bot.core.errors import Refused, StoreUnavailable
from bot.core.models import Session
from bot.sentences import too_many_sessions
from bot.store.store import Store


class SessionOwnership:
    """See the module. claimed: by id, what was claimed and does not run yet."""

    def __init__(self, store: Store, provider: str, *, running: Collection[str], unsaved: Collection[str]) -> None:
        """`provider`: whose sessions it claims. `running`: the ids of the sessions that run here, `unsaved`: of those
        whose end is not written down yet; both at any time as they are then."""
        self._store = store
        self._provider = provider
        self._running = running
        self._unsaved = unsaved
        self._opening: set[str] = set()
        self._owns_unknown = False
        """Whether sessions may be this process's of which it does not know: the answer to a commit was lost."""
        self.claimed: dict[str, Session] = {}

    async def open(self, session: Session, at_once: int | None) -> Session:
        """Write the row of a new session, and return the session in force in its channel: that one, or another.

        Raises `Refused` where the workspace has `at_once` sessions already, and `StoreError`.
        """
        sessions = self._store.sessions
        self._opening.add(session.id)
        try:
            if at_once is None:
                return await sessions.open(session)
            if (in_force := await sessions.open_within(session, at_once)) is not None:
                return in_force
            raise Refused(too_many_sessions(at_once), stage="limit")
        except StoreUnavailable:
            self._owns_unknown = True
            raise
        finally:
            self._opening.discard(session.id)

    async def claim(self, among: Sequence[str] | None, limit: int | None) -> None:
        """Claim sessions that no process owns: all, or those `among` these ids and `limit` at the most. Raises
        `StoreError`; what was claimed before stays so."""
        sessions = self._store.sessions
        if self._owns_unknown:
            await sessions.release_all_but({*self._running, *self._opening, *self.claimed, *self._unsaved})
            self._owns_unknown = False
        try:
            for session in await sessions.claim(self._provider, among, limit):
                # One that runs here is nobody's where a failover of the database has lost that it was claimed.
                if session.id not in self._running:
                    self.claimed[session.id] = session
        except StoreUnavailable:
            self._owns_unknown = True
            raise
