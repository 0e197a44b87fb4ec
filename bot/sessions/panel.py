"""What a session's panel shows, the same on every platform; a platform only decides how it looks.

Pure: drawn from a `SessionView` alone. Knows no platform and does no I/O.
"""

from dataclasses import dataclass
from datetime import datetime

from bot import sentences
from bot.core.views import Button, Phase, SessionView

WATCH = Button("watch", "Watch")
INTERRUPT = Button("interrupt", "Interrupt")
SKIP = Button("skip", "Skip")
WAKE = Button("wake", "Wake")
STOP = Button("stop", "Stop")
JOIN = Button("voice join", "Join voice")
LEAVE = Button("voice leave", "Leave voice")


@dataclass(frozen=True, slots=True)
class Panel:
    """A session at a glance.

    title: the avatar and how it is doing, one line. fields: facts as pairs.
    buttons: what can be pressed, in order; none once it is over. link: what Watch opens; without one Watch is a
    command like the others.
    ends_at: when the session ends at the latest; platforms show it as a time that counts down.
    ended: why it is over, a sentence.
    """

    title: str
    fields: tuple[tuple[str, str], ...]
    buttons: tuple[Button, ...]
    link: str | None
    picture: str | None
    ends_at: datetime | None
    ended: str | None


def panel_of(view: SessionView, *, offers_voice: bool = False) -> Panel:
    """The panel of a session as it is now. offers_voice: its channel has a place where it can be heard besides the page
    (`bot.core.outlets`)."""
    name = view.avatar[:1].upper() + view.avatar[1:]
    if view.phase is Phase.ENDED:
        by = (("Started by", view.started_by_name),)
        state = sentences.PHASES[Phase.ENDED] if view.ended else sentences.CLOSING_PANEL
        return Panel(f"{name}: {state}", by, (), None, view.avatar_picture, None, view.ended)
    waiting = sentences.count(view.queue_length, "message")
    fields: tuple[tuple[str, str], ...] = (
        ("Mode", sentences.MODES[view.mode]),
        ("Waiting", f"{waiting}, held back by an interrupt" if view.held else waiting),
        ("Started by", view.started_by_name),
    )
    if view.watched_by:
        fields += (("Watching here", sentences.people(view.watched_by)),)
    if view.heard_in:
        fields += (("Heard in", view.heard_in),)
    if view.price_per_minute:
        fields += (("Cost", f"up to {sentences.dollars(view.price_per_minute)} a minute"),)
    return Panel(
        f"{name}: {sentences.state(view)}",
        fields,
        _buttons(view, offers_voice=offers_voice),
        view.watch_url,
        view.avatar_picture,
        view.ends_at,
        None,
    )


def _buttons(view: SessionView, *, offers_voice: bool) -> tuple[Button, ...]:
    """At most five, which is what a row on Discord and an actions block on phones hold."""
    voice = (LEAVE,) if view.heard_in else (JOIN,) if offers_voice else ()
    *others, last = _speech_buttons(view)
    return (*others, *voice, last)


def _speech_buttons(view: SessionView) -> tuple[Button, ...]:
    if view.phase is not Phase.WAITING_FOR_TEXT or view.queue_length:
        return WATCH, INTERRUPT, SKIP, STOP
    # Whoever has not opened the link yet wakes it by that.
    return (WATCH, STOP) if view.needs_viewer else (WATCH, WAKE, STOP)
