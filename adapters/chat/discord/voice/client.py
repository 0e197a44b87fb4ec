"""discord.py's voice connection, with what it knows and does not tell: whether Discord answered, whether the encryption
is ready, and how the connection ended. The one place that looks inside the library (2.7.1).
"""

from typing import TYPE_CHECKING, Any

import discord

if TYPE_CHECKING:
    from discord.types.voice import VoiceServerUpdate


class AvatarVoice(discord.VoiceClient):
    """One connection to a voice channel."""

    was_answered = False
    """Whether Discord has named a voice server: what is missing afterwards is the way there."""

    async def on_voice_server_update(self, data: "VoiceServerUpdate") -> None:
        """See discord.py."""
        self.was_answered = self.was_answered or data.get("endpoint") is not None
        await super().on_voice_server_update(data)

    @property
    def is_ready(self) -> bool:
        """Whether what is sent now can be understood: while there is no encryption group discord.py sends what others
        cannot decode, and a Stage channel has none. Cheap, and asked from the player's thread."""
        connection = self._connection
        return connection.is_connected() and (connection.dave_protocol_version == 0 or connection.can_encrypt)

    @property
    def has_broken(self) -> bool:
        """Whether it ended by something that a new connection may mend; without `reconnect` discord.py raises that in a
        task of its own, where nobody would look."""
        runner = self._connection._runner  # noqa: SLF001 - there is no other way to it
        return runner is not None and runner.done() and not runner.cancelled() and runner.exception() is not None

    @property
    def is_open(self) -> bool:
        """Whether the connection stands. discord.py goes on sending while it waits to resume one that was closed."""
        socket: Any = self._connection.ws
        return self._connection.is_connected() and not getattr(getattr(socket, "ws", None), "closed", True)

    @property
    def close_code(self) -> int | None:
        """With what Discord closed the connection, where it did."""
        socket: Any = self._connection.ws
        return getattr(getattr(socket, "ws", None), "close_code", None)

    async def hang_up(self) -> None:
        """Leave the channel, whatever discord.py is at: what it still waits for would come to nothing."""
        runner = self._connection._runner  # noqa: SLF001 - as above
        if runner is not None:
            runner.cancel()
        await self.disconnect(force=True)
