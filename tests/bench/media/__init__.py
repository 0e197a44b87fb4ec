"""What it costs to bring the avatar's picture to those who watch (`make bench-media`)."""
