"""Client of HeyGen's v3 Avatar Realtime."""
