"""One bot per database: the lock of the file, the lock of PostgreSQL."""
