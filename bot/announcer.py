"""What one session tells the world: its channel reads notices, its panel and its watch page follow its state, and
people hear of their words that it leaves unsaid.

Publishes on the event bus and decides only what is news. The sentences are from `bot.sentences`.
"""

from collections.abc import Sequence

import structlog

from bot import sentences
from bot.core.errors import AvatarRelayError
from bot.core.events import EventBus, LeftUnsaid, Notice, NoticeKind, SessionChanged, UtteranceChanged
from bot.core.models import Channel, Utterance
from bot.core.views import Button, Phase, Reply, SessionView
from bot.unsaid import UnsaidPromises

log = structlog.get_logger(__name__)

KEEP = Button("keep", "Keep it here")


class Announcer:
    """Speaks for one session.

    is_closing: what is not said from now on is left unsaid by the end of the session.
    """

    def __init__(self, session_id: str, channel: Channel, event_bus: EventBus) -> None:
        self._session_id = session_id
        self._channel = channel
        self._event_bus = event_bus
        self._promises = UnsaidPromises()
        self._shown: SessionView | None = None
        self._is_silent = False
        self._was_asked_to_watch = False
        self.is_closing = False

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
        self.announce(Reply(text, buttons=(KEEP,)), NoticeKind.WARNING)

    def report_error(self, said: tuple[str, str], error: AvatarRelayError) -> None:
        """Tell the channel what went wrong: a sentence with its reference, which is in the log, too."""
        sentence, reference = said
        log.warning("speech failed", session=self._session_id, reference=reference, error=str(error))
        self.announce(Reply(sentence), NoticeKind.TROUBLE)

    def tell_trouble(self, sentence: str) -> None:
        """Tell the channel of something that went wrong and is no failure of the session."""
        self.announce(Reply(sentence), NoticeKind.TROUBLE)

    def report_unconfirmed_close(self) -> None:
        """Tell the channel that the provider did not confirm at once that a stream is closed."""
        self.announce(Reply(sentences.close_not_confirmed()), NoticeKind.TROUBLE)

    def promise(self, utterance_id: str) -> None:
        """The author of an utterance that is about to arrive reads that it was taken, and hears if it is not said."""
        self._promises.make(utterance_id)

    def utterance_changed(self, utterance: Utterance, answer: str | None) -> None:
        """Publish what became of an utterance, and the answer to it as far as it is known."""
        self._event_bus.publish(UtteranceChanged(self._channel, utterance, None if self._is_silent else answer))
        if utterance.state.is_final:
            self._promises.settle(utterance, is_left=self.is_closing)

    def tell_left_unsaid(self) -> None:
        """Tell people what was not said of their words, each alone where the channel is to read nothing; nobody where
        nobody is concerned."""
        if people := self._promises.take_broken():
            self._event_bus.publish(
                LeftUnsaid(self._channel, self._session_id, people, may_tell_channel=not self._is_silent)
            )

    def show(self, view: SessionView) -> None:
        """Publish what may be shown of the session, where it is different now."""
        if view != self._shown:
            is_news = self._shown is None or self._shown.phase is not view.phase
            if view.phase is Phase.WAITING_FOR_VIEWER and is_news:
                self._ask_for_viewer(view)
            self._was_asked_to_watch &= view.needs_viewer
            self._shown = view
            self._event_bus.publish(SessionChanged(view))

    def _ask_for_viewer(self, view: SessionView) -> None:
        """Where nobody watches at all, no panel that may be far above is enough; but people who write among themselves
        are asked once."""
        reply = Reply(sentences.waiting_for_viewer(), link=view.watch_url)
        if not view.needs_viewer:
            self.announce(reply, NoticeKind.WAITING)
        elif not self._was_asked_to_watch:
            self._was_asked_to_watch = True
            self.announce(reply, NoticeKind.WARNING)

    def tell_waited_in_vain(self, utterances: Sequence[Utterance], seconds: float, *, is_first: bool) -> None:
        """Tell of messages that are dropped, since they could not be said for so long: each who used a command, and the
        channel where `is_first`, as it reads the same of the next ones on their marks."""
        people = self._promises.words_for_expired(utterances, seconds)
        if people:
            self._event_bus.publish(
                LeftUnsaid(self._channel, self._session_id, people, may_tell_channel=not self._is_silent)
            )
        if is_first:
            names = list(dict.fromkeys(utterance.author_name for utterance in utterances))
            text = sentences.waited_in_vain(names, seconds)
            self.announce(Reply(text, link=self._shown.watch_url if self._shown else None), NoticeKind.TROUBLE)

    def announce_end(self, view: SessionView, sentence: str) -> None:
        """Publish that the session is over, and how it ended."""
        self._event_bus.publish(SessionChanged(view))
        self.announce(Reply(sentence), NoticeKind.ENDED)
