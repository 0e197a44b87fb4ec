"""One bot per SQLite file: its lock."""
