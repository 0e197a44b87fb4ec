"""What every session of a process shares, as one value."""

from dataclasses import dataclass

from bot.core.audience import Audiences
from bot.core.bus import Cluster
from bot.core.errors import Refused
from bot.core.events import EventBus
from bot.core.outlets import OutletsByPlatform
from bot.core.policy import SessionPolicy
from bot.core.ports import AvatarProvider, ChatModel, Clock, WatchLinks
from bot.core.precedence import Precedence
from bot.sentences import chat_not_configured
from bot.store.store import Store
from bot.streams.catalogue import Catalogue
from bot.streams.opening_times import OpeningTimes
from bot.streams.pictures import StreamPictures
from bot.streams.streams import StreamCloser


@dataclass(frozen=True, slots=True)
class Services:
    """What every session shares."""

    provider: AvatarProvider
    chat_model: ChatModel | None
    store: Store
    closer: StreamCloser
    event_bus: EventBus
    audiences: Audiences
    links: WatchLinks
    clock: Clock
    policy: SessionPolicy
    catalogue: Catalogue
    opening_times: OpeningTimes
    pictures: StreamPictures
    outlets: OutletsByPlatform
    cluster: Cluster
    precedence: Precedence

    @property
    def can_answer(self) -> bool:
        """Whether `chat` works here at all."""
        return self.provider.capabilities.chat or self.chat_model is not None

    def require_answers(self) -> None:
        """Raises `Refused` with a sentence where `chat` does not work here."""
        if not self.can_answer:
            raise Refused(chat_not_configured(self.provider.capabilities.chat_setting), stage="mode")
