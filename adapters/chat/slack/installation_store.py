"""The workspaces and organisations that installed the app over OAuth, kept in the project's database with their tokens
encrypted (`token_cipher`): with another web secret they cannot be read any more, and the app has to be installed again.
"""

import json
from dataclasses import asdict, dataclass, field

import structlog
from pydantic import SecretStr

from bot.store.store import Store

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Installation:
    """The app in one workspace, or in an organisation (Enterprise Grid). The token is kept out of `repr`.

    team_id: the id of the workspace, or of the organisation.
    enterprise_id: the organisation that a workspace belongs to; empty where it belongs to none, or nobody told.
    teams: the workspaces of the organisation that are known to have the app.
    """

    team_id: str
    token: str = field(repr=False)
    bot_user: str
    bot_id: str
    enterprise_id: str = ""
    teams: tuple[str, ...] = ()

    @property
    def is_of_organisation(self) -> bool:
        """Whether one token serves many workspaces."""
        return is_organisation(self.team_id)


def is_organisation(team_id: str) -> bool:
    """Whether an id is that of an organisation: Slack's begin with E, and those of workspaces with T."""
    return team_id.startswith("E")


class Installations:
    """Reads and writes installations."""

    def __init__(self, store: Store, secret: SecretStr) -> None:
        """`secret` is what `bot.settings.web_secret` gives."""
        from adapters.chat.slack.token_cipher import TokenCipher  # 7 MB, see there

        self._store = store
        self._cipher = TokenCipher(secret)

    async def keep(self, installation: Installation) -> None:
        """Remember a workspace or an organisation, or what is new about it. Raises `StoreError`."""
        sealed = self._cipher.encrypt(json.dumps(asdict(installation)))
        await self._store.installations.save("slack", installation.team_id, sealed)

    async def read(self, team_id: str) -> Installation | None:
        """What is known of a workspace; None if nothing is, or where nobody can read it. Raises `StoreError`."""
        sealed = await self._store.installations.get("slack", team_id)
        if sealed is None:
            return None
        try:
            kept = json.loads(self._cipher.decrypt(sealed))
            return Installation(**{**kept, "teams": tuple(kept.get("teams", ()))})
        except (ValueError, TypeError, AttributeError):
            log.error("an installation cannot be decrypted: WEB_SECRET has changed; install the Slack app again")
            return None

    async def organisations(self) -> list[Installation]:
        """The organisations that installed the app. Raises `StoreError`."""
        ids = filter(is_organisation, await self._store.installations.workspaces("slack"))
        return [found for team_id in ids if (found := await self.read(team_id)) is not None]

    async def forget(self, team_id: str, token: str | None = None) -> bool:
        """The app was removed from a workspace; or `token` no longer works: then an installation with another token,
        which another process was told of, stays. False if it does. Raises `StoreError`."""
        if token is not None and (kept := await self.read(team_id)) is not None and kept.token != token:
            return False
        await self._store.installations.forget("slack", team_id)
        return True
