"""The watch page: signed links, the page behind them, its live feed, health and metrics.

What others use is exported here; everything else is internal.
"""

from adapters.web.links import SignedWatchLinks
from adapters.web.lookup import SessionLookup
from adapters.web.server import WebServer

__all__ = ["SessionLookup", "SignedWatchLinks", "WebServer"]
