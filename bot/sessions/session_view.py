"""What may be shown of a session, drawn from the session and its parts; the panel and the watch page see nothing
else."""

from datetime import datetime, timedelta
from decimal import Decimal

from bot.core.billing import StreamSeconds, cost_of, sum_of
from bot.core.models import Session, SessionState
from bot.core.ports import CatalogueEntry
from bot.core.views import Phase, SessionView
from bot.sentences import UNNAMED_AVATAR, ended
from bot.services import Services
from bot.speaking.speaker import Speaker
from bot.streams.streams import SessionStream


def view_of_running(
    session: Session,
    services: Services,
    speaker: Speaker,
    stream: SessionStream,
    avatar: CatalogueEntry | None,
    *,
    waiting: int,
    is_opening_stream: bool,
    avatar_is_away: bool,
    is_missed: bool,
    is_ending: bool,
    heard_in: str | None,
    watched_by: tuple[str, ...],
) -> SessionView:
    """A session that this process runs. `waiting` counts utterances that have not begun. `avatar_is_away`: the avatar
    is missing in its room; `is_missed`: nothing is said, since nobody watches. `heard_in` and `watched_by` are as in
    `SessionView`."""
    phase = _phase(session, speaker, stream, is_starting=is_opening_stream or avatar_is_away, is_ending=is_ending)
    is_waking = phase is Phase.STARTING and is_opening_stream and session.state is SessionState.LIVE
    is_asleep = phase is Phase.WAITING_FOR_TEXT
    hls_url = stream.playback.hls_url if stream.playback else None
    current = speaker.current
    return SessionView(
        session_id=session.id,
        channel=session.channel,
        phase=phase,
        mode=session.mode,
        avatar=avatar.name if avatar else session.avatar or UNNAMED_AVATAR,
        avatar_picture=avatar.picture if avatar else None,
        started_by_name=session.started_by_name,
        queue_length=waiting,
        speaking=current.utterance.text if current and current.sent else None,
        held=speaker.status.is_paused,
        ends_at=session.created_at + timedelta(seconds=services.policy.max_duration),
        watch_url=services.links.url(session.link_nonce) or hls_url,
        hls_url=hls_url,
        picture=services.pictures.name_of(stream.current, stream.playback),
        has_room=stream.playback is not None and stream.playback.has_room,
        price_per_minute=services.provider.capabilities.price_per_minute if stream.current else None,
        is_waking=is_waking,
        wakes_in=_whole_seconds(services.opening_times.usual) if is_waking or is_asleep else None,
        needs_viewer=is_missed,
        is_refused=is_asleep and speaker.status.is_refused,
        language=session.language,
        heard_in=heard_in,
        watched_by=watched_by,
    )


def _phase(session: Session, speaker: Speaker, stream: SessionStream, *, is_starting: bool, is_ending: bool) -> Phase:
    if is_ending or session.state in (SessionState.CLOSING, SessionState.CLOSED):
        return Phase.ENDED
    if session.state is SessionState.OPENING or is_starting:
        return Phase.STARTING
    if speaker.status.waits_for_viewer:
        return Phase.WAITING_FOR_VIEWER
    return Phase.WAITING_FOR_TEXT if stream.current is None else Phase.LIVE


def _whole_seconds(usual: float | None) -> int | None:
    """A usual time as it is told: a view must not change by a fraction of a second."""
    return None if usual is None else max(1, round(usual))


async def view_of_row(session: Session, services: Services) -> SessionView:
    """A session that this process does not run, as its rows say: over, or about to be taken up again after a
    restart."""
    uses = (await services.store.streams.usage_of([session.id]))[session.id]
    capabilities = services.provider.capabilities if session.provider == services.provider.name else None
    used = sum_of(uses, capabilities, services.clock.now())
    cost = None if capabilities is None else cost_of(capabilities, used.billed)
    over_at = session.closed_at or services.clock.now()
    is_over = session.state in (SessionState.CLOSING, SessionState.CLOSED)
    return SessionView(
        session_id=session.id,
        channel=session.channel,
        phase=Phase.ENDED if is_over else Phase.STARTING,
        mode=session.mode,
        avatar=session.avatar or UNNAMED_AVATAR,
        avatar_picture=None,
        started_by_name=session.started_by_name,
        queue_length=0,
        speaking=None,
        held=False,
        ends_at=over_at if is_over else session.created_at + timedelta(seconds=services.policy.max_duration),
        ended=end_message(session, over_at, used, cost) if is_over else None,
    )


def end_message(session: Session, over_at: datetime, used: StreamSeconds, cost: Decimal | None) -> str:
    """The sentence a session ends with."""
    return ended(session.end_reason, over_at - session.created_at, session.end_detail, used, cost)
