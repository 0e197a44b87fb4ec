"""Finding the panels that earlier runs left, for every platform: tried until it is done, since none is posted before.

Decides nothing about how a panel is drawn (`adapters.chat.redraw`, and each platform's `panels`).
"""

from collections.abc import Awaitable, Callable

import structlog

from adapters.chat.redraw import RETRY_DELAYS
from bot.core.backoff import Backoff
from bot.core.errors import StoreError
from bot.core.ports import Clock
from bot.core.unexpected import report_unexpected
from bot.core.views import SessionView
from bot.store.store import Store

log = structlog.get_logger(__name__)

ViewOf = Callable[[str], Awaitable[SessionView | None]]
TakeUp = Callable[[SessionView, str], None]


async def take_up_kept_panels(platform: str, store: Store, clock: Clock, view_of: ViewOf, take_up: TakeUp) -> None:
    """Hand each panel whose session is still known to `take_up`, and forget the others. Returns once all are done.

    view_of: finds a session by its id. take_up: is given its view and where the panel stands, in the words of the
    platform; raises `ValueError` if it cannot read them; may be called again with the same panel.
    """
    backoff = Backoff(RETRY_DELAYS)
    while True:
        try:
            for panel in await store.panels(platform):
                view = await view_of(panel.session_id)
                if view is None or not _takes_up(view, panel.reference, take_up):
                    await store.forget_panel(panel.session_id)
        except StoreError as error:
            log.error(
                "the panels of the run before are not found yet; trying again", platform=platform, error=str(error)
            )
        except Exception as error:  # noqa: BLE001 - no panel would be drawn any more
            report_unexpected("the panels of the run before were not found: unexpected error", error, platform=platform)
        else:
            return
        await clock.sleep(backoff.next())


def _takes_up(view: SessionView, reference: str, take_up: TakeUp) -> bool:
    try:
        take_up(view, reference)
    except ValueError:
        # Nobody can tell where it stands, so a session that goes on is given a new one.
        log.error("where a panel stands cannot be read; forgetting it", session=view.session_id, reference=reference)
        return False
    return True
