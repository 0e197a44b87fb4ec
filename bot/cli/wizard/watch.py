"""How people will watch, in one question of `init`: the ways there are, what each needs and costs, and what to do first
where one cannot work here. Asks and tells; writes nothing, and opens nothing.
"""

import secrets
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from bot.core.errors import SettingsError
from bot.core.ports import Echo
from bot.settings import Settings, WatchChoice
from bot.watching import can_encode

Ask = Callable[[str, bool], str]
"""Asks a person with these words, unseen where the second argument says so, and returns what was typed."""

WAYS = {
    WatchChoice.HLS: "everybody, 2 to 4 s behind. The bot shows the picture itself: a third of a core and 80 MB for "
    "each avatar at 720p. Needs the extra livekit",
    WatchChoice.LIVEKIT: "everybody, without that delay. A LiveKit server of your own shows it, which `docker compose "
    "--profile livekit up` brings: half a core for each avatar at 720p. Needs the extra livekit as well",
    WatchChoice.SEAT: "one viewer at a time, without that delay, in the service's own room. Needs and costs nothing",
}
"""What each is, needs and costs. The figures are those of docs/watching.md."""

INSTALL = (
    "The extra livekit is not installed here, and {way} needs it: pip install 'avatar-relay[livekit]', before the bot "
    "starts. The image of compose.yaml has it."
)
NO_ADDRESS = (
    "livekit needs an address that browsers reach: set up WEB_PUBLIC_URL first, or name a server that there is "
    "(docs/watching.md)."
)
START = (
    "Start the server with: docker compose --profile livekit up -d. docs/watching.md has its ports and the lines for "
    "the reverse proxy."
)
KEY = "relay"
"""The name of a key that is made here. It is no secret; what belongs to it is."""

OF_ANY_KEY = {"LIVEKIT_API_KEY": KEY, "LIVEKIT_API_SECRET": KEY}
"""What goes with an address that is looked at before its key is asked for."""


class WatchQuestion:
    """The question for one provider with LiveKit rooms, or with HLS of its own, where there is nothing to choose."""

    def __init__(self, echo: Echo, ask: Ask | None, settings_with: Callable[[Mapping[str, str]], Settings]) -> None:
        """`ask`: None if nobody is there. `settings_with`: the settings that more values would make, which raises
        `SettingsError`, and `ValueError` for a line break."""
        self._echo = echo
        self._ask = ask
        self._settings_with = settings_with
        self._settings = settings_with({})

    def answers(self, *, shows_hls: bool) -> dict[str, str]:
        """What is to be written, by variable. Raises `SettingsError` if nobody is there to be asked and a value is
        missing."""
        chosen = self._settings.avatar.watch
        if shows_hls:
            if chosen not in (WatchChoice.LIVEKIT, WatchChoice.SEAT):
                return {}
            self._echo(f"AVATAR_WATCH was {chosen.value}; this service shows HLS, so it is auto now.")
            return {"AVATAR_WATCH": WatchChoice.AUTO.value}
        if self._ask is not None:
            return self._interview(self._ask)
        if chosen not in WAYS:
            return {}
        self._tell_what_is_missing(chosen)
        found = {"AVATAR_WATCH": chosen.value}
        if chosen is WatchChoice.LIVEKIT and not self._settings.livekit.is_set:
            url = address_beside(self._settings.web.public_url)
            if url is None:
                raise SettingsError(f"LIVEKIT_URL is not set. {NO_ADDRESS}")
            found |= {"LIVEKIT_URL": url} | self._new_key()
        return found

    def _interview(self, ask: Ask) -> dict[str, str]:
        for way, what in WAYS.items():
            self._echo(f"  {way.value:<8} {what}.")
        likely = self._settings.avatar.watch if self._settings.avatar.watch in WAYS else WatchChoice.HLS
        while True:
            way = self._choose(ask, likely)
            server = self._server(ask) if way is WatchChoice.LIVEKIT else {}
            if server is not None:
                return {"AVATAR_WATCH": way.value} | server
            self._echo(NO_ADDRESS)
            likely = WatchChoice.HLS

    def _choose(self, ask: Ask, likely: WatchChoice) -> WatchChoice:
        """A way that works here, or one that was named again after it was said what it lacks."""
        names = ", ".join(way.value for way in WAYS)
        told: WatchChoice | None = None
        while True:
            answer = ask(f"How will people watch: {names} (empty: {likely.value})", False).strip().lower()
            if (answer or likely.value) not in list(WAYS):
                self._echo(f"It must be one of {names}.")
                continue
            likely = WatchChoice(answer or likely.value)
            if likely is told or not self._tell_what_is_missing(likely):
                return likely
            self._echo(f"Once more: empty goes on with {likely.value}.")
            told = likely

    def _tell_what_is_missing(self, way: WatchChoice) -> bool:
        is_missing = way is not WatchChoice.SEAT and not can_encode()
        if is_missing:
            self._echo(INSTALL.format(way=way.value))
        return is_missing

    def _server(self, ask: Ask) -> dict[str, str] | None:
        """The address of the LiveKit server and its key; None if there is no address."""
        own = self._settings.livekit
        likely = own.url or address_beside(self._settings.web.public_url)
        self._echo(
            "LIVEKIT_URL: where browsers reach the LiveKit server; behind the page's own proxy it is the page's host"
        )
        while url := ask(f"Address of the LiveKit server (empty: {likely or 'none'})", False).strip() or likely:
            address = {"LIVEKIT_URL": url}
            if own.is_set and self._is_accepted(address):
                return address
            if not own.is_set and self._is_accepted(address | OF_ANY_KEY):
                return address | self._key(ask, address)
        return None

    def _key(self, ask: Ask, address: dict[str, str]) -> dict[str, str]:
        self._echo("LIVEKIT_API_KEY: of a server that there is already; for the one of compose.yaml a key is made")
        while key := ask("Its API key (empty: make one)", False).strip():
            typed = {"LIVEKIT_API_KEY": key, "LIVEKIT_API_SECRET": ask("Its API secret", True).strip()}
            if self._is_accepted(address | typed):
                return typed
        return self._new_key()

    def _is_accepted(self, values: dict[str, str]) -> bool:
        try:
            self._settings_with(values)
        except (SettingsError, ValueError) as error:
            self._echo(str(error))
            return False
        return True

    def _new_key(self) -> dict[str, str]:
        self._echo(START)
        return {"LIVEKIT_API_KEY": KEY, "LIVEKIT_API_SECRET": secrets.token_hex(32)}


def address_beside(public_url: str | None) -> str | None:
    """Where browsers reach the LiveKit server of compose.yaml: at the host of the page, whose proxy passes it on."""
    if public_url is None:
        return None
    parts = urlsplit(public_url)
    return f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc.rpartition('@')[2]}"
