"""What a channel is told besides the panel: that a session ended or is in trouble, and what the avatar has answered."""

from adapters.chat.discord import words
from adapters.chat.discord.outbox import Letter, Outbox
from adapters.chat.discord.render import answer_of, escape, pieces_of, split
from bot.desk import Desk
from bot.presentation import Notice, Occasion, UtteranceChanged
from bot.settings import Answers

_ON_THE_PANEL = (Occasion.LIVE, Occasion.WAITING)
_LONGEST_QUESTION = 200


class Notices:
    """Turns events into messages for the outbox."""

    def __init__(self, desk: Desk, outbox: Outbox) -> None:
        self._answers = desk.settings.session.answers
        self._outbox = outbox

    def show(self, notice: Notice) -> None:
        """Tell a channel what it should read although nobody asked; the panel says some of it already."""
        if notice.occasion in _ON_THE_PANEL:
            return
        reply = notice.reply
        letter = Letter(pieces_of(reply), buttons=reply.buttons, session_id=notice.session_id, link=reply.link)
        self._outbox.post(notice.channel, letter)

    def show_answer(self, event: UtteranceChanged) -> None:
        """Write down what the avatar has answered, under the question where that is a message."""
        utterance, answer = event.utterance, answer_of((event.answer or "").strip())
        if self._answers is Answers.OFF or not answer or not utterance.state.is_final:
            return
        if utterance.message_id is None:
            question = escape(words.asked(utterance.author_name, utterance.text[:_LONGEST_QUESTION]))
            self._outbox.post(event.channel, Letter(split(f"{question}\n{answer}")))
            return
        thread = utterance.text if self._answers is Answers.THREAD else None
        self._outbox.post(event.channel, Letter(split(answer), reply_to=int(utterance.message_id), thread=thread))
