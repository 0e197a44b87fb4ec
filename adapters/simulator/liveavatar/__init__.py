"""LiveAvatar's API, as the simulator serves it."""
