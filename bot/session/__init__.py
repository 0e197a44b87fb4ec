"""One open session, seen from inside: its task, its row, its streams, its end, and what it tells the world."""
