"""Client of HeyGen's Streaming API v1."""
