"""Who may do what, where. The last word on every command and message; platforms only say what they know of a person.

A block wins over everything, then the operator's own lists, then what the platform says. Whoever belongs to another
company may speak and no more, whatever the platform or a group says: only the operator can give them more, by naming
the person.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bot.core.errors import Refused
from bot.core.models import Actor, Block, Channel, Role
from bot.sentences import CHANNEL_DENIED, not_allowed

EVERYWHERE = ""
"""The workspace of a block that holds in all of them."""


@dataclass(frozen=True, slots=True)
class AccessLists:
    """The operator's lists.

    operators: people (`platform:user`) who are admins in every workspace; other admins are so in their own.
    admins, hosts, speakers: people, and groups they may have (`platform:id` of a role or a user group). Where hosts are
    named for a platform, nobody else of it is one; the same for speakers.
    channels_allowed, channels_denied: channels (`platform:id`); where none is allowed by name, all are.
    """

    operators: frozenset[str] = frozenset()
    admins: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    speakers: frozenset[str] = frozenset()
    channels_allowed: frozenset[str] = frozenset()
    channels_denied: frozenset[str] = frozenset()


class Permissions:
    """The operator's lists and the blocks over what the platform says of an actor."""

    def __init__(self, access: AccessLists | None = None) -> None:
        self._access = access or AccessLists()
        self._blocked: frozenset[tuple[str, str]] = frozenset()

    def set_blocks(self, blocks: Iterable[Block]) -> None:
        """Take over who is blocked from now on."""
        self._blocked = frozenset((block.person, block.workspace) for block in blocks)

    def recognise(self, actor: Actor, channel: Channel) -> Actor:
        """The actor with the role that counts in a channel."""
        role, is_operator = self._role(actor, channel), self._is_operator(actor)
        if role is actor.role and is_operator is actor.is_operator:
            return actor
        return replace(actor, role=role, is_operator=is_operator)

    def require(self, actor: Actor, role: Role, channel: Channel) -> Actor:
        """The actor with the role that counts. Raises `Refused` with a sentence where that is less than `role`."""
        actor = self.recognise(actor, channel)
        if actor.role < role:
            raise Refused(not_allowed(actor.role if actor.role is Role.BLOCKED else role), stage="permission")
        return actor

    def require_channel(self, channel: Channel) -> None:
        """Raises `Refused` with a sentence where the operator wants no avatar in a channel."""
        name = f"{channel.platform}:{channel.id}"
        allowed = self._access.channels_allowed
        if name in self._access.channels_denied or (allowed and name not in allowed):
            raise Refused(CHANNEL_DENIED, stage="permission")

    def _role(self, actor: Actor, channel: Channel) -> Role:
        access = self._access
        places = (EVERYWHERE, _workspace(channel))
        if any((actor.key, place) in self._blocked for place in places) or actor.role is Role.BLOCKED:
            return Role.BLOCKED
        names = self._names_of(actor)
        if (actor.role is Role.ADMIN and not actor.is_external) or self._is_operator(actor) or names & access.admins:
            return Role.ADMIN
        if names & access.hosts or not (actor.is_external or _names(access.hosts, actor.platform)):
            return min(actor.role, Role.HOST)
        if not _names(access.speakers, actor.platform) or names & access.speakers:
            return min(actor.role, Role.SPEAKER)
        return min(actor.role, Role.VIEWER)

    def _names_of(self, actor: Actor) -> set[str]:
        """What the operator's lists may call an actor. Groups are our own: nobody of another company is in one."""
        groups = () if actor.is_external else actor.groups
        return {actor.key, *(f"{actor.platform}:{group}" for group in groups)}

    def _is_operator(self, actor: Actor) -> bool:
        return actor.is_operator or actor.key in self._access.operators


def block_of(person: str, channel: Channel, by: Actor) -> tuple[str, str]:
    """(person, workspace) of a block that an admin sets or lifts from a channel: everywhere for an operator."""
    return person, EVERYWHERE if by.is_operator else _workspace(channel)


def _workspace(channel: Channel) -> str:
    return f"{channel.platform}:{channel.workspace}"


def _names(listed: frozenset[str], platform: str) -> bool:
    return any(name.startswith(f"{platform}:") for name in listed)
