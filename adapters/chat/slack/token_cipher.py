"""Encrypts what is kept of the app's installations. Alone in its module, since `cryptography` takes 7 MB that only an
app with OAuth needs.

The key is derived from the web secret (HKDF, RFC 5869): with another secret nothing can be read any more."""

import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

PURPOSE = b"avatar-relay: Slack installations, version 1"
"""Keeps this key apart from others that are made from the same secret."""


class TokenCipher:
    """Encrypts and decrypts with one secret."""

    def __init__(self, secret: SecretStr) -> None:
        key = HKDF(SHA256(), length=32, salt=None, info=PURPOSE).derive(secret.get_secret_value().encode())
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    def encrypt(self, text: str) -> str:
        """The text, sealed."""
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, sealed: str) -> str:
        """What was sealed. Raises `ValueError` if it was with another secret, or changed since."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise ValueError("sealed with another secret") from None
