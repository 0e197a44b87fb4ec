"""The speaking loop of a session and its parts: what waits, what has been sent, and how far the avatar has come."""
