"""Chat platforms, one package each, behind `bot.core.ports.ChatAdapter`."""
