"""LiveAvatar's session endpoints: what is asked, and what the answers say. Keeps no session and enters no room."""

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

from pydantic import BeforeValidator, Field, SecretStr

from adapters.avatars.http import Answer, ProviderHttpClient, RetryPolicy
from adapters.avatars.liveavatar.body import session_body
from adapters.avatars.liveavatar.catalogue import LiveAvatarCatalogue, Page
from adapters.avatars.liveavatar.errors import LiveAvatarErrors
from adapters.wire.lenient import DataModel, HttpUrl, LenientModel, LongText, RoomUrl, Text, Token
from bot.core.errors import Invalid, StreamGone, Transient
from bot.core.models import Playback
from bot.core.ports import OpenStream, StreamRequest
from bot.settings import LiveAvatarOptions

EVERY_PAGE = 1000
"""Pages of the list of open sessions that are read: all of them, and not without end."""


def _moment(value: object) -> datetime:
    moment = datetime.fromisoformat(value if isinstance(value, str) else "")
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


class NewSession(DataModel):
    """A session that can be started with its token."""

    session_id: Text
    session_token: Token


class _StartedSession(DataModel):
    hls_url: HttpUrl | None = None  # Not LiveAvatar's: the simulator's fake rooms are watched this way.
    livekit_url: RoomUrl | None = None
    livekit_client_token: LongText | None = Field(default=None, repr=False)


class _Session(DataModel):
    id: Text
    end_reason: Text | None = None
    end_at: object = None


class _ListedSession(LenientModel):
    id: Text
    created_at: Annotated[datetime, BeforeValidator(_moment)] | None = None


@dataclass(slots=True)
class LiveAvatarSessions:
    """The endpoints, for one account. `longest`: the most seconds a session is asked to last."""

    connection: ProviderHttpClient
    errors: LiveAvatarErrors
    catalogue: LiveAvatarCatalogue
    context_id: str
    sandbox: bool
    longest: float
    options: LiveAvatarOptions | None = None
    _asks_for_duration: bool = field(default=True, init=False)

    async def mint(self, request: StreamRequest) -> NewSession:
        """A session with a token. It costs nothing, but only a known effect is none: it is not asked for twice."""
        try:
            avatar = await self.catalogue.choice(request.avatar)
        except Transient as trouble:
            raise trouble.without_effect() from None
        try:
            answer = await self._mint(self._body(request, avatar))
        except Invalid as refusal:
            if not self._gives_in(refusal):
                raise
            answer = await self._mint(self._body(request, avatar))
        return answer.read(NewSession, "LiveAvatar gave no session to start", may_have_taken_effect=True)

    async def start(self, session_id: str, token: SecretStr) -> Playback:
        """Start a session and learn its room, which is told once: where the reply is lost the session is stopped, and
        `StreamGone` is raised."""

        async def once() -> Answer:
            return await self.connection.request_once(
                "POST", "/v1/sessions/start", self.errors.of_session, body={}, token=token
            )

        told = _StartedSession()
        try:
            told = _StartedSession.model_validate((await self.connection.retry(RetryPolicy.IF_NOT_SENT, once)).json)
        except Invalid as refusal:
            if not self._gives_in(refusal):
                raise
            raise StreamGone("the plan allows less time than we asked for; the next session does not ask") from None
        except Transient as trouble:
            if not trouble.may_have_taken_effect:
                raise
        if told.livekit_url is None or told.livekit_client_token is None:
            await self.stop(session_id)
            raise StreamGone("LiveAvatar's reply to the start was lost, and with it the room; the session was stopped")
        return Playback(told.hls_url, told.livekit_url, told.livekit_client_token)

    async def stop(self, session_id: str) -> None:
        """Stop a session, by the one path that does (a DELETE leaves it open: 405)."""
        with suppress(StreamGone):
            await self._post("stop", {"session_id": session_id, "reason": "USER_CLOSED"})

    async def keep_alive(self, session_id: str) -> None:
        """Reset the idle timer; doing it twice is doing it once."""
        await self._post("keep-alive", {"session_id": session_id})

    async def end_of(self, session_id: str) -> str | None:
        """Why a session is over; None while it is not. Raises `StreamGone` if LiveAvatar does not know it."""
        answer = await self.connection.request(
            "GET", f"/v1/sessions/{quote(session_id, safe='')}", self.errors.of_session, RetryPolicy.IDEMPOTENT
        )
        told = answer.read(_Session, "LiveAvatar told nothing of the session", may_have_taken_effect=False)
        return told.end_reason or (None if told.end_at is None else "ended")

    async def active(self) -> AsyncIterator[OpenStream]:
        """Every active session of the account."""
        async for row in self.catalogue.rows("/v1/sessions", Page[_ListedSession], EVERY_PAGE, type="active"):
            yield OpenStream(row.id, row.created_at)

    def _body(self, request: StreamRequest, avatar: str) -> Mapping[str, object]:
        duration = int(min(self.longest, max(1.0, request.max_duration)))
        return session_body(
            request,
            self.options,
            avatar=avatar,
            context_id=self.context_id,
            sandbox=self.sandbox,
            duration=duration if self._asks_for_duration else None,
        )

    def _gives_in(self, refusal: Invalid) -> bool:
        """Whether to ask again without a duration. A plan that allows less than we ask for sets its own limit where
        nothing is asked for; how much it allows is told nowhere, and often only the start refuses."""
        is_new = self._asks_for_duration and refusal.parameter == "max_duration"
        self._asks_for_duration = self._asks_for_duration and not is_new
        return is_new

    async def _mint(self, body: Mapping[str, object]) -> Answer:
        return await self.connection.request(
            "POST", "/v1/sessions/token", self.errors.of_account, RetryPolicy.IF_NOT_SENT, body=body
        )

    async def _post(self, call: str, body: Mapping[str, object]) -> Answer:
        return await self.connection.request(
            "POST", f"/v1/sessions/{call}", self.errors.of_session, RetryPolicy.IDEMPOTENT, body=body
        )
