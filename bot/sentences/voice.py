"""The words about being heard outside the watch page. A platform adds only what it alone gives a reason to say."""

from collections.abc import Sequence

NO_OUTLETS = "There is no voice channel here that I could speak in. The watch link has picture and sound."
NO_PLACE = "Which voice channel? Go into one and ask again, or name it: `/avatar voice join NAME`."
NOT_HEARD = "The avatar is in no voice channel. `/avatar voice join` brings it into yours."
LEAVING_PLACE = "The avatar leaves the voice channel. It goes on here."
NO_SOUND = (
    "The bot does not have this avatar's sound, since the picture does not come by way of it (AVATAR_WATCH). The watch "
    "link has picture and sound."
)
NO_DECODER = "The bot cannot decode the avatar's sound. Ask the operator to install avatar-relay[voice]."


def joining(name: str) -> str:
    """The answer to a request to speak in a place."""
    return f"The avatar goes into {name}. It speaks there as soon as somebody is there to hear it."


def no_such_place(wanted: str) -> str:
    """The refusal where no place of that name is known."""
    return f"I know no voice channel “{wanted}” here. Write its name as it stands in the list, or its link."


def heard_already(name: str) -> str:
    """The refusal where it speaks in that very place."""
    return f"The avatar is in {name} already."


def place_taken(name: str) -> str:
    """The refusal where another place has it, of those that can be used one at a time."""
    return f"I am in {name} already, and can be in one voice channel of a server at a time. Have it leave there first."


def place_closed(name: str) -> str:
    """The refusal of somebody who may not go there themselves."""
    return f"You may not go into {name} yourself, so I do not speak there for you."


def place_full(name: str) -> str:
    """The refusal where nobody more fits in."""
    return f"{name} is full. Make room, or raise its limit, and ask again."


def place_forbidden(name: str, missing: Sequence[str]) -> str:
    """The refusal where the bot lacks something, in the platform's words."""
    which = " and ".join(f"**{each}**" for each in missing)
    things = "permissions" if len(missing) > 1 else "permission"
    return f"I lack the {things} {which} in {name}. Ask who manages the server to allow it there, then try again."


def left_alone(name: str, lasted: str) -> str:
    """Told to the channel when the avatar has left a place where nobody was."""
    return f"Nobody was in {name} for {lasted}, so the avatar has left it. `/avatar voice join` brings it back."
