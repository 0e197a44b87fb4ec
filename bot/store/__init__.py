"""What the program remembers: the database behind one class, `bot.store.store.Store`."""
