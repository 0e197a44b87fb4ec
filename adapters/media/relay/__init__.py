"""Hands on a provider's HLS: fetched once, however many watch, and nothing of its address in what is handed out.

What others use is exported here; everything else is internal.
"""

from adapters.media.relay.factory import RelayFactory

__all__ = ["RelayFactory"]
