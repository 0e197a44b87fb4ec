"""Chat platforms, one package each, behind `bot.ports.ChatAdapter`."""
