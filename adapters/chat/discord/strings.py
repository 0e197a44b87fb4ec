"""What only Discord gives a reason to say. The sentences every platform shares are in `bot.sentences`."""

from collections.abc import Sequence

PORTAL = "https://discord.com/developers/applications"

TOKEN_MISSING = f"DISCORD_TOKEN is not set: it is the bot's token, on the Bot page of {PORTAL}."
TOKEN_REFUSED = (
    f"Discord does not accept DISCORD_TOKEN: copy the bot's token again (Bot page of {PORTAL}, Reset Token) and set it."
)
INTENT_MISSING = (
    "SESSION_RELAY=all needs every message, which Discord does not give to this bot: switch on Message Content Intent "
    f"on the Bot page of {PORTAL}, or set SESSION_RELAY=mentions."
)
NO_HISTORY = (
    "what was written in a channel while the bot was away is not said: it lacks the permission Read Message History "
    "there"
)
DISCONNECTED = "the connection to Discord is down; reconnecting"
CONNECTING = "the bot is still connecting to Discord"
REGISTERING = "the commands are still being registered with Discord"

LEAVING = "The bot is shutting down. Try again in a minute."
ONLY_IN_SERVERS = "I bring an avatar into the channels of a server. Invite me to one and type `/avatar start` there."
NOT_A_MEMBER = (
    "I am not a member of this server, only my commands are here, so nobody would see the avatar. "
    "Ask who manages the server to invite me with this link, then try again."
)
LOCKED = "This thread is locked, and I may not write in it. Ask a moderator to unlock it, or use another channel."
CANNOT_SEE = "I cannot see this channel. Mention me in it to add me, if it is a private thread; then try again."
UNREADABLE = "I cannot read that message. Mention me in it, or leave the mention on when you reply to me."
NO_ACTIVITY = (
    "You cannot watch inside Discord here. Type `/avatar start` in a channel to bring an avatar there; its panel has "
    "the link."
)
NOT_MINE = "That button or form no longer works. Use `/avatar help` to see what there is."
COMMAND_CHANGED = "That command has changed since your Discord loaded it. Reload Discord (Ctrl+R) and try again."
BROKEN = "Something went wrong. Try again, and tell the operator if it keeps happening."
SAY_THIS = "Let the avatar say this"

VOICE_OFF = "The operator has switched the avatar's voice in voice channels off (DISCORD_VOICE)."
VOICE_NOT_INSTALLED = (
    "The bot cannot speak in voice channels yet: the operator installs avatar-relay[voice] and starts it again."
)
VOICE_TOO_OLD = (
    "Discord's voice channels are encrypted end to end, which the bot's library does not know yet: the operator "
    "installs avatar-relay[voice] again and restarts the bot."
)
OPUS_MISSING = (
    "The bot cannot encode its voice: libopus is missing. The operator installs it (on Debian: apt install libopus0), "
    "or avatar-relay[voice], and starts the bot again."
)

BOT_REMOVED = "the bot was removed from the server"
CHANNEL_DELETED = "the channel was deleted"
THREAD_DELETED = "the thread was deleted"
THREAD_ARCHIVED = "the thread was archived"
NOT_SHOWN = "its panel could not be posted"
THREAD_LOCKED = "the thread was locked"
THREAD_LEFT = "the bot was removed from the thread"


def wrong_api(url: str, what: str) -> str:
    """What answers at `DISCORD_API_URL` is not Discord."""
    return f'DISCORD_API_URL is "{url}", which does not answer as Discord ({what}): it must be Discord\'s REST API.'


def missing_permissions(names: Sequence[str]) -> str:
    """The refusal of a start in a channel where the bot could not do its work."""
    *others, last = (f"**{name}**" for name in names)
    which = f"{', '.join(others)} and {last}" if others else last
    things = "permissions" if others else "permission"
    return f"I lack the {things} {which} in this channel. Ask who manages the server to allow it, then try again."


def connected(name: str, servers: int, link: str) -> str:
    """The line for whoever started the program."""
    return f"Discord: connected as {name}, in {servers} {'server' if servers == 1 else 'servers'}. Invite it: {link}"


def logged_in(name: str, link: str) -> str:
    """The line for whoever started the program, where processes share the connection."""
    return f"Discord: logged in as {name}. Invite it: {link}"


def shards_here(numbers: Sequence[int], count: int) -> str:
    """Which shards a process has."""
    if not numbers:
        return f"Discord: none of {count} shards is here."
    if len(numbers) == 1:
        return f"Discord: shard {numbers[0]} of {count} is here."
    return f"Discord: shards {', '.join(map(str, numbers))} of {count} are here."


def other_shards(count: int, wanted: int) -> str:
    """The line for the operator where the number of shards has changed."""
    return (
        f"Discord's servers are split among {count} shards, and should be among {wanted}: stop every process and start "
        "them again to change that"
    )


def not_in_server(guild_id: int, link: str) -> str:
    """The line for an entry of `DISCORD_GUILD_IDS` where the commands cannot be put."""
    return f"Discord: the commands cannot be put into server {guild_id} of DISCORD_GUILD_IDS. Invite it: {link}"


def not_registered(request: str) -> str:
    """Why the commands may be missing or old, for `/readyz` and the log; `request` is what failed, and how."""
    return f"the commands could not be registered with Discord, so they may be missing or old ({request})"


def answered_late(name: str) -> str:
    """Told to the channel where the private answer could not be delivered any more."""
    return f"{name}, Discord did not let me answer you in time. What you asked for was done if it was possible."


def asked(name: str, question: str) -> str:
    """The head of an answer to a question that is no message in the channel."""
    return f"{name} asked: {question}"


# --- voice channels --------------------------------------------------------------------------------------------------


def voice_udp_blocked(name: str) -> str:
    """Discord let the bot into a voice channel, and no sound would get there."""
    return (
        f"I cannot speak in {name}: UDP to Discord's voice servers does not get through. The operator allows outgoing "
        "UDP (ports 50000 to 65535). The avatar goes on here."
    )


def voice_no_answer(name: str) -> str:
    """Discord did not let the bot into a voice channel, nor say why."""
    return (
        f"Discord did not let me into {name}. Is it full? Ask again with `/avatar voice join`. The avatar goes on here."
    )


def voice_lost(name: str) -> str:
    """The connection broke again and again."""
    return (
        f"My connection to {name} broke again and again, so I left it. Try `/avatar voice join` in a minute. The "
        "avatar goes on here."
    )


def voice_too_many(name: str) -> str:
    """Discord limits how often the bot may connect."""
    return f"Discord wants me to connect to voice less often, so I left {name}. Try again in a few minutes."


def voice_kicked(name: str) -> str:
    """Somebody disconnected the bot."""
    return (
        f"I was disconnected from {name}, so the avatar is silent there and goes on here. `/avatar voice join` brings "
        "it back."
    )


def voice_channel_deleted(name: str) -> str:
    """The voice channel is gone."""
    return f"The voice channel {name} is gone, so the avatar is heard there no more. It goes on here."


def voice_moved(name: str) -> str:
    """A moderator moved the bot."""
    return f"I was moved to {name}, and speak there now."


def voice_not_encrypted(name: str) -> str:
    """Discord's encryption did not come about with those who are there."""
    return (
        f"Discord's encryption did not come about in {name}, so nobody would hear me and I left. Go out of the channel "
        "and in again, then `/avatar voice join`."
    )


def voice_muted(name: str) -> str:
    """A moderator muted the bot, or it was moved where it may not speak."""
    return f"I am muted in {name}: a moderator right-clicks my name there and takes **Server Mute** off."


def stage_asked(name: str) -> str:
    """The bot has asked to speak on a stage."""
    return (
        f"{name} is a stage, and I have asked to speak. A moderator opens the list of requests there (the raised hand) "
        "and invites me to speak."
    )


def stage_closed(name: str) -> str:
    """The bot could not even ask to speak on a stage."""
    return (
        f"{name} is a stage, and I could not ask to speak. A moderator right-clicks my name there: **Invite to Speak**."
    )
