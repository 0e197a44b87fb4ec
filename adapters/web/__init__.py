"""The watch page: signed links and tickets, the page behind them, its live feed, health and metrics.

What others use is exported here; everything else is internal.
"""

from adapters.web.access import Embeds
from adapters.web.links import SignedWatchLinks
from adapters.web.lookup import SessionLookup
from adapters.web.server import WebServer
from adapters.web.tickets import SignedTickets

__all__ = ["Embeds", "SessionLookup", "SignedTickets", "SignedWatchLinks", "WebServer"]
