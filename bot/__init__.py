"""The shared core of avatar-relay: sessions, queue, speaking. It knows no chat platform and no avatar vendor."""
