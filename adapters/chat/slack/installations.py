"""The workspaces that installed the app over OAuth, kept in the project's database with their tokens encrypted.

The key is derived from the web secret (HKDF, RFC 5869): with another secret the tokens cannot be read any more, and the
app has to be installed again."""

import base64
import json
from dataclasses import asdict, dataclass, field

import structlog
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from bot.store.store import Store

log = structlog.get_logger(__name__)

PURPOSE = b"avatar-relay: Slack installations, version 1"
"""Keeps this key apart from others that are made from the same secret."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The app in one workspace. The token is kept out of `repr`."""

    team_id: str
    token: str = field(repr=False)
    bot_user: str
    bot_id: str


class Installations:
    """Reads and writes installations."""

    def __init__(self, store: Store, secret: SecretStr) -> None:
        """`secret` is what `bot.settings.web_secret` gives."""
        self._store = store
        self._fernet = Fernet(_key(secret))

    async def keep(self, installation: Installation) -> None:
        """Remember a workspace, or what is new about it. Raises `StoreError`."""
        sealed = self._fernet.encrypt(json.dumps(asdict(installation)).encode()).decode()
        await self._store.keep_installation("slack", installation.team_id, sealed)

    async def read(self, team_id: str) -> Installation | None:
        """What is known of a workspace; None where nothing is, or where nobody can read it. Raises `StoreError`."""
        sealed = await self._store.installation("slack", team_id)
        if sealed is None:
            return None
        try:
            return Installation(**json.loads(self._fernet.decrypt(sealed.encode())))
        except (InvalidToken, ValueError, TypeError):
            log.error("an installation cannot be decrypted: WEB_SECRET has changed; install the Slack app again")
            return None

    async def forget(self, team_id: str) -> None:
        """The app was removed from a workspace. Raises `StoreError`."""
        await self._store.forget_installation("slack", team_id)


def _key(secret: SecretStr) -> bytes:
    derived = HKDF(SHA256(), length=32, salt=None, info=PURPOSE).derive(secret.get_secret_value().encode())
    return base64.urlsafe_b64encode(derived)
