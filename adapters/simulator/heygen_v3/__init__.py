"""HeyGen's v3 Avatar Realtime, as the simulator serves it."""
