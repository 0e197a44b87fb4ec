"""The picture of a LiveKit room as HLS: the bot, which is in the room anyway, encodes what it receives.

The `livekit` package and PyAV come with the extra `livekit`; only the modules that need them import them.
"""
