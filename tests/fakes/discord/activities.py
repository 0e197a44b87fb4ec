"""The application's Activity: which instances run, where, and who is in them. It serves no page.

[D] https://docs.discord.com/developers/activities/development-guides/multiplayer-experience: one instance in a channel
at a time, everybody who launches there joins it, it ends with the last of them and its id is not used again; what its
route answers, and the 404 without a code. That Discord does not know an instance at once is an assumption.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.fakes.discord.state import Channel, DiscordState, User

EMBEDDED = 1 << 17
"""The flag of an application with Activities [D application resource]."""


@dataclass(eq=False)
class ActivityInstance:
    """One instance. young: how many questions are still answered as if it were not there."""

    id: str
    launch_id: int
    channel: Channel
    users: list[User] = field(default_factory=list)
    young: int = 0


class Activities:
    """What runs."""

    def __init__(self, world: DiscordState) -> None:
        self._world = world
        self.is_enabled = False
        self.young = 0
        """Questions about each new instance that are answered with 404."""
        self.running: list[ActivityInstance] = []

    def launch(self, channel: Channel, user: User) -> ActivityInstance:
        """Somebody launches it in a channel, or joins who has."""
        instance = next((one for one in self.running if one.channel is channel), None)
        if instance is None:
            number = self._world.snowflake()
            instance = ActivityInstance(f"i-{number}-{_place(channel)}", number, channel, young=self.young)
            self.running.append(instance)
        if user not in instance.users:
            instance.users.append(user)
        return instance

    def leave(self, instance: ActivityInstance, user: User) -> None:
        """Somebody closes it."""
        instance.users.remove(user)
        if not instance.users:
            self.running.remove(instance)

    def shape(self, instance_id: str) -> dict[str, Any] | None:
        """What the route shows of an instance; None where there is none, or none yet."""
        instance = next((one for one in self.running if one.id == instance_id), None)
        if instance is None:
            return None
        if instance.young:
            instance.young -= 1
            return None
        channel = instance.channel
        location = {"id": _place(channel), "kind": "pc", "channel_id": str(channel.id)}
        if channel.guild is not None:
            location |= {"kind": "gc", "guild_id": str(channel.guild.id)}
        return {
            "application_id": str(self._world.bot.id),
            "instance_id": instance.id,
            "launch_id": str(instance.launch_id),
            "location": location,
            "users": [str(user.id) for user in instance.users],
        }


def _place(channel: Channel) -> str:
    return f"pc-{channel.id}" if channel.guild is None else f"gc-{channel.guild.id}-{channel.id}"
