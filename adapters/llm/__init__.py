"""Language models that answer where the avatar provider cannot. Each implements `bot.core.ports.ChatModel`."""
