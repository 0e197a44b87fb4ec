"""Language models that answer where the avatar provider cannot. Each implements `bot.ports.ChatModel`."""
