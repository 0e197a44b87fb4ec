"""Which sessions there are, and the life of each."""
