"""Who has read that their words were taken, and is told where the end of a session leaves them unsaid.

A command is answered ("Queued, with 1 message ahead of it."), so its author has to hear how that ended; a message that
was written in the channel has its mark, which says so. Collects and groups; who is reached how is up to the platform.
"""

from collections.abc import Iterable

from bot import sentences
from bot.core.events import Delivery, EventBus, LeftUnsaid, UtteranceChanged
from bot.core.models import Session, Utterance, UtteranceState
from bot.core.views import Reply, UnsaidWords, Visibility


class UnsaidPromises:
    """The promises of one session that are not kept."""

    def __init__(self) -> None:
        self._made: set[str] = set()
        self._broken: list[Utterance] = []

    def make(self, utterance_id: str) -> None:
        """The author of an utterance reads that it was taken."""
        self._made.add(utterance_id)

    def settle(self, utterance: Utterance, *, is_left: bool) -> None:
        """An utterance has reached a final state. `is_left`: because nothing more is said in the session."""
        was_promised = self._is_made(utterance)
        self._made.discard(utterance.id)
        if is_left and was_promised and utterance.state in (UtteranceState.DROPPED, UtteranceState.UNKNOWN):
            self._broken.append(utterance)

    def words_for_expired(self, utterances: Iterable[Utterance], seconds: float) -> tuple[UnsaidWords, ...]:
        """What everybody is told who had read that their words were taken, and whose words are among these: they have
        waited for so many seconds and are about to be dropped."""
        by_author = _by_author(utterance for utterance in utterances if self._is_made(utterance))
        return tuple(
            UnsaidWords(
                author,
                theirs[0].author_name,
                Reply(sentences.dropped_unsaid([each.text for each in theirs], seconds), Visibility.PRIVATE),
            )
            for author, theirs in by_author.items()
        )

    def take_broken(self) -> tuple[UnsaidWords, ...]:
        """What everybody concerned is told, each of them once; nothing is left to tell afterwards."""
        by_author = _by_author(self._broken)
        self._broken.clear()
        return tuple(_words_for(author, utterances) for author, utterances in by_author.items())

    def _is_made(self, utterance: Utterance) -> bool:
        # Of what an earlier process took only the row is known: what is no message of the channel was a command.
        return utterance.id in self._made or utterance.message_id is None


def _by_author(utterances: Iterable[Utterance]) -> dict[str, list[Utterance]]:
    by_author: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        by_author.setdefault(utterance.author, []).append(utterance)
    return by_author


def tell_left(
    session: Session,
    utterances: Iterable[Utterance],
    state: UtteranceState,
    event_bus: EventBus,
    delivery: Delivery | None = None,
) -> None:
    """Tell that an earlier process left these utterances, which are in `state` now and are not said any more.

    delivery: held by everything that is told.
    """

    def held() -> Delivery | None:
        return None if delivery is None else delivery.hold()

    promises = UnsaidPromises()
    for utterance in utterances:
        left = utterance._replace(state=state)
        event_bus.publish(UtteranceChanged(session.channel, left, delivery=held()))
        promises.settle(left, is_left=True)
    if people := promises.take_broken():
        event_bus.publish(LeftUnsaid(session.channel, session.id, people, delivery=held()))


def _words_for(author: str, utterances: Iterable[Utterance]) -> UnsaidWords:
    texts: dict[UtteranceState, list[str]] = {UtteranceState.DROPPED: [], UtteranceState.UNKNOWN: []}
    name = ""
    for utterance in utterances:
        texts[utterance.state].append(utterance.text)
        name = utterance.author_name
    sentence = sentences.left_unsaid(texts[UtteranceState.DROPPED], texts[UtteranceState.UNKNOWN])
    return UnsaidWords(author, name, Reply(sentence, Visibility.PRIVATE))
