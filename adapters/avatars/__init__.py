"""Clients of the avatar providers, one module each, behind `bot.core.ports.AvatarProvider`."""
