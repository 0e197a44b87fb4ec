"""What one session tells the world: its channel reads notices, its panel and its watch page follow its state.

Publishes on the bulletin and decides only what is news. The sentences are from `bot.sentences`.
"""

import structlog

from bot import sentences
from bot.core.errors import AvatarRelayError
from bot.core.events import EventBus, LeftUnsaid, Notice, NoticeKind, SessionChanged, UtteranceChanged
from bot.core.models import Channel
from bot.core.views import Phase, Reply, SessionView, UnsaidWords
from bot.sessions import panel
from bot.speaking.item import SpeechItem

log = structlog.get_logger(__name__)


class Announcer:
    """Speaks for one session."""

    def __init__(self, session_id: str, channel: Channel, event_bus: EventBus) -> None:
        self._session_id = session_id
        self._channel = channel
        self._event_bus = event_bus
        self._shown: SessionView | None = None
        self._is_silent = False

    def fall_silent(self) -> None:
        """The channel reads nothing any more, not even a goodbye: it may have been closed on purpose, and on Discord
        a message would open it again. The panel and the watch page still follow."""
        self._is_silent = True

    def announce(self, reply: Reply, occasion: NoticeKind) -> None:
        """Tell the channel."""
        if not self._is_silent:
            self._event_bus.publish(Notice(self._channel, self._session_id, reply, occasion))

    def warn_of_idle_end(self, left: float, is_unwatched: bool) -> None:
        """Tell the channel that the session ends in `left` seconds unless somebody wants it to stay; `is_unwatched`:
        somebody who watches would be enough."""
        text = sentences.idle_warning(left, is_unwatched=is_unwatched)
        self.announce(Reply(text, buttons=(panel.KEEP,)), NoticeKind.WARNING)

    def report_error(self, said: tuple[str, str], error: AvatarRelayError) -> None:
        """Tell the channel what went wrong: a sentence with its reference, which is in the log, too."""
        sentence, reference = said
        log.warning("speech failed", session=self._session_id, reference=reference, error=str(error))
        self.announce(Reply(sentence), NoticeKind.TROUBLE)

    def tell(self, line: SpeechItem) -> None:
        """Publish what became of a line."""
        answer = None if self._is_silent else line.answer
        self._event_bus.publish(UtteranceChanged(self._channel, line.utterance, answer))

    def tell_people(self, people: tuple[UnsaidWords, ...]) -> None:
        """Tell people what was not said of their words, each alone where the channel is to read nothing; nobody where
        nobody is concerned."""
        if people:
            self._event_bus.publish(
                LeftUnsaid(self._channel, self._session_id, people, may_tell_channel=not self._is_silent)
            )

    def show(self, view: SessionView) -> None:
        """Publish what may be shown of the session, where it is different now."""
        if view != self._shown:
            waits_now = view.phase is Phase.WAITING_FOR_VIEWER
            if waits_now and (self._shown is None or self._shown.phase is not view.phase):
                self.announce(Reply(sentences.waiting_for_viewer(), link=view.watch_url), NoticeKind.WAITING)
            self._shown = view
            self._event_bus.publish(SessionChanged(view))

    def announce_end(self, view: SessionView, sentence: str) -> None:
        """Publish that the session is over, and how it ended."""
        self._event_bus.publish(SessionChanged(view))
        self.announce(Reply(sentence), NoticeKind.ENDED)
