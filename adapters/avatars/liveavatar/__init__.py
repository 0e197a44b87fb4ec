"""Client of LiveAvatar."""
