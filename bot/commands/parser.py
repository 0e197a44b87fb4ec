"""The words of a command, the same on every platform: `/avatar VERB [name=value ...] [text]`.

Parses text into a `Command`; platforms with forms (Discord) build the same `Command` from their options. Runs nothing.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from bot import sentences
from bot.core.errors import Refused
from bot.core.models import Actor, Channel, Role
from bot.core.views import Reply

AVATAR = "avatar"
ADMIN = "avatar-admin"

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
"""Nobody types these; a database may not even be able to keep them."""

_OPTION = re.compile(r"(?P<name>[a-z]+)=(?:\"(?P<quoted>[^\"]*)\"|(?P<plain>\S+))\s*")


@dataclass(frozen=True, slots=True)
class Command:
    """What somebody asked for. `text` is what follows the verb, untouched; `options` are `name=value` pairs."""

    group: str
    verb: str
    text: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    """How a command is written and what it does; help, menus and documentation are made from this.

    argument: what follows the verb, for people (`TEXT`); required: whether it must be there.
    options: the names that `name=value` may have; `choices` are their values to choose from, where they are few.
    not_offered: further names, read so that the command can say why it does not take them here.
    """

    group: str
    verb: str
    summary: str
    argument: str = ""
    required: bool = False
    options: tuple[str, ...] = ()
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    not_offered: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """How it is typed."""
        options = " ".join(f"[{name}=…]" for name in self.options)
        return " ".join(part for part in (f"/{self.group} {self.verb}", self.argument, options) if part)


def parse(line: str, usages: Mapping[tuple[str, str], Usage], group: str) -> Command:
    """Read what follows the name of a command group, such as `say good morning`.

    Raises `Refused` with a sentence where the verb is unknown, its argument is missing, or an option is not known.
    """
    verb, _, rest = _CONTROL.sub("", line).strip().partition(" ")
    verb = verb.lower() or ("help" if group == AVATAR else "sessions")
    if any(place == group and name.startswith(f"{verb} ") for place, name in usages):
        # A verb of two words.
        second, _, rest = rest.strip().partition(" ")
        verb = f"{verb} {second.lower()}".rstrip()
    usage = usages.get((group, verb))
    if usage is None:
        known = [name for place, name in usages if place == group]
        raise Refused(sentences.unknown_command(verb[:40], known), stage="grammar")
    options, rest = _options(usage, rest.strip())
    if usage.required and not rest:
        raise Refused(sentences.needs_argument(f"/{group} {verb}", usage.argument), stage="grammar")
    if rest and not usage.argument:
        raise Refused(sentences.takes_nothing(usage.line, rest[:40]), stage="grammar")
    return Command(group, verb, rest, options)


def _options(usage: Usage, rest: str) -> tuple[dict[str, str], str]:
    options: dict[str, str] = {}
    while usage.options and (found := _OPTION.match(rest)):
        name = found["name"]
        if name not in usage.options and name not in usage.not_offered:
            raise Refused(sentences.unknown_option(name[:40], usage.options), stage="grammar")
        options[name] = found["plain"] if found["quoted"] is None else found["quoted"]
        rest = rest[found.end() :]
    return options, rest


@dataclass(frozen=True, slots=True)
class CommandContext:
    """A command, where it was given, and by whom. `message_id` and `keys` as in `bot.relay.Message`.

    session_id: the session whose panel a button was pressed on; it must still be the one in the channel.
    """

    command: Command
    channel: Channel
    actor: Actor
    keys: tuple[str, ...] = ()
    message_id: str | None = None
    names: Mapping[str, str] | None = None
    session_id: str | None = None


Handler = Callable[[CommandContext], Awaitable[Reply | None]]
"""What a command does."""


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """A line of the table."""

    usage: Usage
    role: Role
    run: Handler
    is_message: bool = False
    """It is a message for the queue, which looks after its keys itself."""
    idempotent: bool = False
    """Done twice, minutes apart, because of a crash in between, it does no harm."""
