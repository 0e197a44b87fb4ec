"""A room of the operator's own in which everybody watches."""
