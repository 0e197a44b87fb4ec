"""Who takes commands into an avatar's LiveKit room, and brings back what the avatar says there."""
