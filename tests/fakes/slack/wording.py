"""What Slack makes of the words that a person types (docs.slack.dev, formatting text; slash commands).

In a message `@ana` becomes `<@U…>`, `#general` `<#C…|general>`, `@group` `<!subteam^S…>`, `@here` `<!here>`, and a link
`<https://…>`; `&`, `<` and `>` are written as entities. A slash command is treated likewise if it asks for that with
`should_escape`, and then a person is `<@U…|ana>`; otherwise its words come as they were typed."""

import re

from tests.fakes.slack.records import Team, User
from tests.fakes.slack.state import SlackState

_SPECIAL = re.compile(r"https?://[^\s<>]+|(?<![\w@#])[@#][\w.-]*\w")
BROADCASTS = ("here", "channel", "everyone")


def _is_of(user: User, team: Team) -> bool:
    """Whether a name means this user in a workspace; of the app's users the one whose installation serves it."""
    return user is team.bot or (user.team is team and not (user.is_bot and user.name == team.bot.name))


def escape(text: str) -> str:
    """The three characters that Slack writes as entities."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def as_message(world: SlackState, team: Team, typed: str, *, named: bool = False) -> str:
    """A message as it goes over the wire; `named` puts names behind the ids of people and groups, as commands do."""
    parts, last = [], 0
    for match in _SPECIAL.finditer(typed):
        parts += [escape(typed[last : match.start()]), _special(world, team, match.group(), named)]
        last = match.end()
    return "".join([*parts, escape(typed[last:])])


def _special(world: SlackState, team: Team, word: str, named: bool) -> str:
    if word.startswith("http"):
        return f"<{escape(word)}>"
    name = word[1:]
    if word.startswith("#"):
        found = [c for c in world.channels.values() if c.name == name and c.team is team and c.kind != "im"]
        return f"<#{found[0].id}|{name}>" if found else escape(word)
    if name in BROADCASTS:
        return f"<!{name}>"
    for user in world.users.values():
        if user.name.lower() == name.lower() and _is_of(user, team):
            return f"<@{user.id}|{user.name}>" if named else f"<@{user.id}>"
    for group in world.usergroups.values():
        if group.handle == name and group.team is team:
            return f"<!subteam^{group.id}|@{name}>" if named else f"<!subteam^{group.id}>"
    return escape(word)
