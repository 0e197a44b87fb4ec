"""Chat platforms, one package each, behind `bot.facade.ChatAdapter`."""
