"""The console as a chat platform: one channel, one person. `make demo` and `avatar-relay run --console` use it."""

from adapters.chat.console.adapter import ConsoleAdapter

__all__ = ["ConsoleAdapter"]
