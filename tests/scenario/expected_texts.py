"""What people read on the console when something fails: which lines tell of trouble, and the sentences that more than
one test expects."""

import re

from bot import sentences
from bot.core.errors import Transient, Trouble
from bot.core.models import UtteranceState

_CALM = re.compile(
    r"> |  (Watch|saying|said|cut|answering|answered|not sure it was said|failed|dropped): |$|"
    r"Starting the avatar… |The avatar is live\. |Stopping the avatar…$|The avatar has left after |"
    r"Got it\. |Queued, with |The avatar is (saying it now|waking up to say it)\.$|"
    r"The avatar is waiting for a viewer\. |\(Waiting until |"
    r"Quiet\. |Skipped\. |The avatar now leaves this channel after |Closed no sessions\.|Going on with "
)
"""The lines that tell of no trouble."""

_REFERENCE = re.compile(r" \(ref [0-9a-z]{8}\)$")


def trouble_in(output: str) -> list[str]:
    """The lines that tell of trouble, without their references."""
    return [_REFERENCE.sub("", line) for line in output.splitlines() if not _CALM.match(line)]


def words(said: tuple[str, str]) -> str:
    """A sentence without its reference."""
    return said[0].partition(" (ref ")[0]


MAYBE_SAID = words(
    sentences.not_said(UtteranceState.UNKNOWN, Transient("", may_have_taken_effect=True, trouble=Trouble.UNCONFIRMED))
)
NOT_CUT = words(sentences.interrupt_failed(Transient("", may_have_taken_effect=False)))
