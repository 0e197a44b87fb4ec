"""HeyGen's Streaming API v1, as the simulator serves it."""
