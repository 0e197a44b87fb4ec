"""Who may do what. The last word on every command and every message; platforms only say what they know of a person."""

from collections.abc import Collection
from dataclasses import replace

from bot.errors import Refused
from bot.model import Actor, Role
from bot.sentences import not_allowed


class Permissions:
    """The operator's admins over what the platform says of an actor."""

    def __init__(self, admin_users: Collection[str]) -> None:
        """`admin_users`: actors as `platform:user`, the form of `ADMIN_USERS`."""
        self._admins = frozenset(admin_users)

    def recognise(self, actor: Actor) -> Actor:
        """The actor with the role that counts here."""
        return replace(actor, role=Role.ADMIN) if actor.key in self._admins else actor

    def require(self, actor: Actor, role: Role) -> None:
        """Raises `Refused` with a sentence where the actor has less than `role`."""
        has = self.recognise(actor).role
        if has < role:
            raise Refused(not_allowed(has if has is Role.BLOCKED else role), stage="permission")
