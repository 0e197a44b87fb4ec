"""Reading what comes over a wire: JSON fields of an unknown shape, server-sent events."""
