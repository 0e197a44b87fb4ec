"""What the program remembers, as one class: sessions, streams, utterances, seen events, channel settings, the audit.

Every method is one transaction, runs the same statements on SQLite and PostgreSQL, and raises only `StoreUnavailable`
(the database is out of reach) and `StoreError` (it refused this change). A write that has returned is on the disk, but
for `advance_utterance_soon`, which says when it will be. The statements are in the modules named after what they are
on; nothing here decides what the life of a session should be.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

import sqlalchemy as sa

from bot.core.models import (
    AuditEntry,
    Block,
    Channel,
    ChannelSettings,
    EndReason,
    Mode,
    PanelMessage,
    Session,
    SessionState,
    Stream,
    StreamState,
    StreamUsage,
    Utterance,
    UtteranceState,
)
from bot.core.ports import Clock
from bot.store import audit, platforms, sessions, streams, utterances
from bot.store.connections import Begin, Connections
from bot.store.tables import sessions as sessions_table
from bot.store.url import parse_url
from bot.store.utterances import AcceptedMessage, Advance
from bot.store.writer import GroupCommitWriter


class Store:
    """The open database. Made by `open`; `close` it, or use it as an async context manager."""

    def __init__(self, connections: Connections, clock: Clock, wrap_begin: Callable[[Begin], Begin]) -> None:
        self._connections = connections
        self._clock = clock
        self._writer = GroupCommitWriter(wrap_begin(connections.begin), clock)

    @classmethod
    async def open(cls, url: str, clock: Clock, *, wrap_begin: Callable[[Begin], Begin] = lambda begin: begin) -> Self:
        """Open the database at `url`, which `bot.store.migrate.upgrade` has brought up to date.

        `wrap_begin` gets what begins a transaction that writes and returns what to begin one with: tests stand there.
        Raises `StoreUnavailable`.
        """
        connections = await Connections.open(parse_url(url))
        store = cls(connections, clock, wrap_begin)
        try:
            await store.check()
        except BaseException:
            await connections.close()
            raise
        store._writer.start()
        return store

    async def close(self) -> None:
        """Write what was handed over, then close the database."""
        try:
            await self._writer.close()
        finally:
            await self._connections.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def check(self) -> None:
        """Whether the database answers and has its tables. Raises `StoreUnavailable`."""
        await self._connections.read(
            lambda connection: connection.execute(sa.select(sessions_table.c.id).limit(1)).first()
        )

    # --- sessions ----------------------------------------------------------------------------------------------------

    async def open_session(self, session: Session) -> Session:
        """Insert the session, or return the one that already occupies its channel (rule 1)."""
        return await self._writer.write(lambda connection: sessions.open_session(connection, session))

    async def advance_session(
        self,
        session_id: str,
        state: SessionState,
        *,
        live_at: datetime | None = None,
        closed_at: datetime | None = None,
        end_reason: EndReason | None = None,
        end_detail: str | None = None,
    ) -> bool:
        """Move a session forward and set what is given. False, and no change, where it is already there or further.

        Of several that want the same step one gets True. `live_at` and `closed_at` are the clock's where left out.
        """
        if state is SessionState.LIVE:
            live_at = live_at or self._clock.now()
        if state is SessionState.CLOSED:
            closed_at = closed_at or self._clock.now()
        return await self._writer.write(
            lambda connection: sessions.advance_session(
                connection,
                session_id,
                state,
                live_at=live_at,
                closed_at=closed_at,
                end_reason=end_reason,
                end_detail=end_detail,
            )
        )

    async def set_mode(self, session_id: str, mode: Mode) -> bool:
        """Change the mode of an open session. False if it is closed or unknown."""
        return await self._change_open_session(session_id, mode=mode)

    async def replace_link(self, session_id: str, nonce: str) -> bool:
        """Give an open session a new link nonce, which revokes every link before. False if it is closed."""
        return await self._change_open_session(session_id, link_nonce=nonce)

    async def request_stop(self, session_id: str, by: str) -> bool:
        """Ask whoever owns the session to close it. False if it is closed or unknown."""
        return await self._change_open_session(session_id, stop_requested_by=by)

    async def _change_open_session(self, session_id: str, **changes: object) -> bool:
        return await self._writer.write(
            lambda connection: sessions.change_open_session(connection, session_id, **changes)
        )

    async def stop_requests(self) -> list[tuple[str, str]]:
        """(session id, who asked) of every open session that should be closed."""
        return await self._connections.read(sessions.stop_requests)

    async def running_session(self, channel: Channel) -> Session | None:
        """The session that occupies the channel: every state but `closed`."""
        return await self._connections.read(lambda connection: sessions.running_session(connection, channel))

    async def session(self, session_id: str) -> Session | None:
        """A session by its id, whatever its state."""
        return await self._connections.read(lambda connection: sessions.session(connection, session_id))

    async def session_by_link(self, nonce: str) -> Session | None:
        """The session a watch link names, whatever its state."""
        return await self._connections.read(lambda connection: sessions.session_by_link(connection, nonce))

    async def open_sessions(self) -> list[Session]:
        """Every session that is not closed, oldest first."""
        return await self._connections.read(sessions.open_sessions)

    # --- streams -----------------------------------------------------------------------------------------------------

    async def record_stream(self, stream: Stream) -> None:
        """Insert the stream, before the provider is called (rule 2).

        Raises `StoreError` if the session has a stream in `creating` or `open`.
        """
        await self._writer.write(lambda connection: streams.record_stream(connection, stream))

    async def bind_stream(self, stream_id: str, upstream_id: str) -> bool:
        """Store the provider's id of the stream. False if the stream is unknown.

        Raises `StoreError` if another stream of the provider has that id.
        """
        return await self._writer.write(lambda connection: streams.bind_stream(connection, stream_id, upstream_id))

    async def advance_stream(
        self,
        stream_id: str,
        state: StreamState,
        *,
        hls_url: str | None = None,
        detail: str | None = None,
        closed_at: datetime | None = None,
    ) -> bool:
        """Move a stream forward and set what is given; `closed` and `lost` set the time from the clock where
        `closed_at` does not tell it.

        False, and no change, where it is further already. A `lost` stream that turns up may still be closed.
        """
        moment = closed_at or self._clock.now()
        return await self._writer.write(
            lambda connection: streams.advance_stream(
                connection, stream_id, state, hls_url=hls_url, detail=detail, moment=moment
            )
        )

    async def unsettled_streams(self) -> list[Stream]:
        """Every stream the provider may still hold open (`creating`, `open`, `closing`), oldest first."""
        return await self._connections.read(streams.unsettled_streams)

    async def lost_streams(self, provider: str) -> list[Stream]:
        """Every stream of a provider whose create got no reply and whose id is still not known."""
        return await self._connections.read(lambda connection: streams.lost_streams(connection, provider))

    async def known_upstream_ids(self, provider: str, upstream_ids: Collection[str]) -> set[str]:
        """Which of the provider's ids of streams a row has, whatever its state."""
        return await self._connections.read(
            lambda connection: streams.known_upstream_ids(connection, provider, upstream_ids)
        )

    async def streams_since(self, moment: datetime) -> list[StreamUsage]:
        """For how long streams were open of those that were open at `moment` or later."""
        return await self._connections.read(lambda connection: streams.streams_since(connection, moment))

    # --- utterances --------------------------------------------------------------------------------------------------

    async def accept(self, keys: Sequence[str], utterance: Utterance | None) -> bool:
        """Record the de-duplication keys and the utterance in one transaction (rule 7).

        False if any key was seen before: the utterance is not written, its new keys are. No keys always accepts.
        """
        return await self._writer.write(AcceptedMessage(tuple(keys), utterance, self._clock.now()))

    async def was_seen(self, keys: Sequence[str]) -> bool:
        """Whether any of the de-duplication keys was recorded before."""
        return await self._connections.read(lambda connection: utterances.was_seen(connection, keys))

    async def advance_utterance(self, utterance_id: str, state: UtteranceState, *, detail: str | None = None) -> None:
        """Move an utterance to another state; a final one sets its end from the clock and is never left again."""
        await self._writer.write(Advance(utterance_id, state, detail, self._clock.now()))

    def advance_utterance_soon(
        self, utterance_id: str, state: UtteranceState, on_error: Callable[[BaseException], None]
    ) -> None:
        """As `advance_utterance`, with the next commit or within `bot.store.writer.MAX_DELAY`; nobody waits for it, and
        `on_error` is called with what went wrong."""
        self._writer.advance_soon(Advance(utterance_id, state, None, self._clock.now()), on_error)

    async def queued_utterances(self, session_ids: Sequence[str]) -> dict[str, list[Utterance]]:
        """The queue of each of the sessions, oldest first; an empty list where nothing waits."""
        return await self._connections.read(lambda connection: utterances.queued_utterances(connection, session_ids))

    async def busy_sessions(self, session_ids: Sequence[str]) -> set[str]:
        """Which of the sessions have something waiting, or being said."""
        return await self._connections.read(lambda connection: utterances.busy_sessions(connection, session_ids))

    async def drop_queued(self, session_id: str) -> int:
        """Drop what waits in a session's queue. Returns how many."""
        moment = self._clock.now()
        return await self._writer.write(lambda connection: utterances.drop_queued(connection, session_id, moment))

    async def mark_in_flight_unknown(self, session_ids: Sequence[str]) -> dict[str, list[Utterance]]:
        """What was in flight (`sending`, `speaking`) becomes `unknown` (rule 7). Returns it as it was, by session,
        oldest first."""
        moment = self._clock.now()
        return await self._writer.write(
            lambda connection: utterances.mark_in_flight_unknown(connection, session_ids, moment)
        )

    async def last_activity(self, session_ids: Sequence[str]) -> dict[str, datetime]:
        """When something was last accepted or ended in each session; those without utterances are left out."""
        return await self._connections.read(lambda connection: utterances.last_activity(connection, session_ids))

    async def reword(self, utterance_id: str, text: str) -> bool:
        """Change what a waiting utterance says. False if it no longer waits."""
        return await self._writer.write(lambda connection: utterances.reword(connection, utterance_id, text))

    async def forget_events(self, before: datetime) -> int:
        """Forget the de-duplication keys seen before a moment. Returns how many."""
        return await self._writer.write(lambda connection: utterances.forget_events(connection, before))

    # --- panels, blocks, installations --------------------------------------------------------------------------------

    async def place_panel(self, platform: str, panel: PanelMessage) -> None:
        """Remember where the panel of a session stands; a second one takes the place of the first."""
        await self._writer.write(lambda connection: platforms.place_panel(connection, platform, panel))

    async def panels(self, platform: str) -> list[PanelMessage]:
        """Every panel of a platform that has not been drawn for the last time."""
        return await self._connections.read(lambda connection: platforms.panels_of(connection, platform))

    async def forget_panel(self, session_id: str) -> None:
        """The panel of a session has been drawn for the last time, or is gone."""
        await self._writer.write(lambda connection: platforms.forget_panel(connection, session_id))

    async def block(self, person: str, workspace: str, by: str) -> bool:
        """Block a person, as `Block` says. False if that was so already."""
        block = Block(person, workspace, by, self._clock.now())
        return await self._writer.write(lambda connection: platforms.block(connection, block))

    async def unblock(self, person: str, workspace: str) -> bool:
        """Unblock a person. False if nobody had blocked them there."""
        return await self._writer.write(lambda connection: platforms.unblock(connection, person, workspace))

    async def blocked(self) -> list[Block]:
        """Everybody who is blocked, the newest first."""
        return await self._connections.read(platforms.blocked)

    async def save_installation(self, platform: str, workspace: str, sealed: str) -> None:
        """Keep what a workspace gave the app, encrypted; a second one takes the place of the first."""
        moment = self._clock.now()
        await self._writer.write(
            lambda connection: platforms.save_installation(connection, platform, workspace, sealed, moment)
        )

    async def installation(self, platform: str, workspace: str) -> str | None:
        """What a workspace gave the app, encrypted; None if it is not installed there."""
        return await self._connections.read(lambda connection: platforms.installation(connection, platform, workspace))

    async def installed_in(self, platform: str) -> list[str]:
        """The workspaces the app is installed in."""
        return await self._connections.read(lambda connection: platforms.installed_in(connection, platform))

    async def forget_installation(self, platform: str, workspace: str) -> None:
        """The app was removed from a workspace."""
        await self._writer.write(lambda connection: platforms.forget_installation(connection, platform, workspace))

    async def issue_state(self, state: str, expires_at: datetime) -> None:
        """Remember a one-time state of an installation that has begun; forgets those that have expired."""
        moment = self._clock.now()
        await self._writer.write(lambda connection: platforms.issue_state(connection, state, expires_at, moment))

    async def consume_state(self, state: str) -> bool:
        """Use a state up. False if it was never issued, was used before, or has expired."""
        moment = self._clock.now()
        return await self._writer.write(lambda connection: platforms.consume_state(connection, state, moment))

    async def count_by_state(self, table: sa.Table) -> dict[str, int]:
        """How many rows of sessions, streams or utterances are in each state."""
        query = sa.select(table.c.state, sa.func.count()).group_by(table.c.state)
        rows = await self._connections.read(lambda connection: connection.execute(query).all())
        return {state.value: count for state, count in rows}

    # --- channels and the audit --------------------------------------------------------------------------------------

    async def channel_settings(self, channel: Channel) -> ChannelSettings:
        """What the channel has chosen for its next sessions."""
        return await self._connections.read(lambda connection: sessions.settings_of(connection, channel))

    async def chosen_idle_timeouts(self) -> dict[Channel, float]:
        """The idle time, seconds, of every channel that has chosen one."""
        return await self._connections.read(sessions.chosen_idle_timeouts)

    async def set_channel_mode(self, channel: Channel, mode: Mode | None) -> None:
        """Remember the mode of the channel's next sessions; None follows the operator's setting again."""
        await self._writer.write(lambda connection: sessions.choose_for_channel(connection, channel, "mode", mode))

    async def set_channel_idle_timeout(self, channel: Channel, seconds: float | None) -> None:
        """Remember the idle time of the channel's next sessions; None follows the operator's setting again."""
        await self._writer.write(
            lambda connection: sessions.choose_for_channel(connection, channel, "idle_timeout", seconds)
        )

    async def audit(self, entry: AuditEntry) -> None:
        """Write down who did what; the same refusal of the same person at most once a minute."""
        await self._writer.write(lambda connection: audit.add_entry(connection, entry))

    async def audit_entries(self, limit: int) -> list[AuditEntry]:
        """The newest `limit` entries of the audit, newest first."""
        return await self._connections.read(lambda connection: audit.newest_entries(connection, limit))

    async def forget_audit(self, before: datetime) -> int:
        """Forget what is in the audit from before a moment. Returns how many entries."""
        return await self._writer.write(lambda connection: audit.forget_entries(connection, before))
