"""The steps that bring a database to the shape of `bot.store.tables`, for SQLite and PostgreSQL; run by Alembic."""
