"""The commands that have a session heard outside the watch page, and leave there: who may, where, and what is in the
way. Part of the one table of `bot.commands.router`; knows the places only by `bot.core.outlets`.
"""

from bot import sentences
from bot.access.permissions import Permissions
from bot.commands.parser import AVATAR, CommandContext, CommandSpec, Usage
from bot.core.errors import Refused
from bot.core.models import Role, Session
from bot.core.outlets import Place
from bot.core.views import Reply, Visibility
from bot.sessions.registry import SessionRegistry
from bot.sessions.session import AvatarSession

NOWHERE = "none"
"""Behind `channel=` of a start: do not go into the voice channel of the chat."""


class VoiceCommands:
    """The part of the table about being heard."""

    def __init__(self, sessions: SessionRegistry, permissions: Permissions) -> None:
        self._sessions = sessions
        self._permissions = permissions

    @property
    def entries(self) -> list[CommandSpec]:
        """The lines of the table."""
        join = Usage(AVATAR, "voice join", "let it speak in a voice channel: yours, or the one you name", "CHANNEL")
        leave = Usage(AVATAR, "voice leave", "let it leave the voice channel; it stays here")
        return [
            CommandSpec(join, Role.HOST, self._join, idempotent=True),
            CommandSpec(leave, Role.HOST, self._leave, idempotent=True),
        ]

    def check_start(self, ctx: CommandContext) -> Place | None:
        """Where a session that is about to start is to be heard at once; None for nowhere. Raises `Refused` where
        somebody has named a place (`channel=`) in which it cannot be: nothing is opened then."""
        wanted = ctx.command.options.get("channel")
        if wanted is not None and wanted.strip().lower() == NOWHERE:
            return None
        if wanted is not None:
            return self._place(ctx, wanted)
        outlets = self._sessions.services.outlets.of(ctx.channel)
        if outlets is None or not outlets.joins_by_itself or not outlets.has_place(ctx.channel):
            return None
        try:
            return self._place(ctx, "")
        except Refused:
            # Nobody has asked for it: the session is there all the same, and the command says what is in the way.
            return None

    def join(self, session: Session, place: Place) -> None:
        """Have a session heard at a place that was checked."""
        outlets = self._sessions.services.outlets.of(session.channel)
        if outlets is not None:
            outlets.join(session.id, place.id)

    async def _join(self, ctx: CommandContext) -> Reply:
        running = self._running(ctx)
        place = self._place(ctx, ctx.command.text, running)
        self.join(running.session, place)
        await self._sessions.audit(ctx.actor, "voice join", running.session, place.name)
        return Reply(sentences.joining(place.name), Visibility.PRIVATE)

    async def _leave(self, ctx: CommandContext) -> Reply:
        running = self._running(ctx)
        outlets = self._sessions.services.outlets.of(ctx.channel)
        if outlets is None:
            raise Refused(sentences.NO_OUTLETS, stage="voice")
        if not outlets.leave(running.session.id):
            raise Refused(sentences.NOT_HEARD, stage="voice")
        await self._sessions.audit(ctx.actor, "voice leave", running.session)
        return Reply(sentences.LEAVING_PLACE, Visibility.PRIVATE)

    def _running(self, ctx: CommandContext) -> AvatarSession:
        running = self._sessions.in_channel(ctx.channel)
        if ctx.session_id is not None and (running is None or running.session.id != ctx.session_id):
            raise Refused(sentences.PANEL_OVER, stage="channel")
        if running is None:
            raise Refused(sentences.NO_SESSION, stage="channel")
        if running.stop.is_set:
            raise Refused(sentences.CLOSING, stage="channel")
        return running

    def _place(self, ctx: CommandContext, wanted: str, running: AvatarSession | None = None) -> Place:
        """The place that is meant. Raises `Refused` with what is in the way."""
        offers = self._sessions.services.outlets
        outlets = offers.of(ctx.channel)
        if outlets is None:
            raise Refused(sentences.NO_OUTLETS, stage="voice")
        if (why := outlets.unavailable or offers.silent_because) is not None:
            raise Refused(why, stage="voice")
        wanted = wanted.strip()
        place = outlets.find(ctx.channel, ctx.actor, wanted)
        if place is None:
            raise Refused(sentences.no_such_place(wanted[:60]) if wanted else sentences.NO_PLACE, stage="voice")
        if not place.may_enter:
            raise Refused(sentences.place_closed(place.name), stage="permission")
        if running is not None and running.heard_in == place.name:
            raise Refused(sentences.heard_already(place.name), stage="voice")
        if place.taken_by is not None:
            raise Refused(sentences.place_taken(place.taken_by), stage="voice")
        if place.missing:
            raise Refused(sentences.place_forbidden(place.name, place.missing), stage="voice")
        if place.is_full:
            raise Refused(sentences.place_full(place.name), stage="voice")
        return place
