"""A random secret in a file of its own, made once, readable by its owner alone.

Knows nothing of what the secret is for.
"""

import contextlib
import os
import secrets
from pathlib import Path

from pydantic import SecretStr

MIN_LENGTH = 16
"""Characters a secret has at least."""


def kept_secret(file: Path) -> SecretStr:
    """Return the secret in `file`, making folder, file and secret where there is none.

    Raises `OSError` if that is not possible and `ValueError` where the file holds no secret.
    """
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_once(file)
    if file.stat().st_mode & 0o077:
        file.chmod(0o600)
    secret = file.read_text(encoding="ascii").strip()
    if len(secret) < MIN_LENGTH:
        raise ValueError("it holds no secret")
    return SecretStr(secret)


def _write_once(file: Path) -> None:
    # Written whole under another name and then linked: a crash leaves no half of it, and of two processes one wins.
    draft = file.with_name(f".{file.name}-{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as out:
            out.write(secrets.token_urlsafe(32))
            out.flush()
            os.fsync(out.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, file)
    finally:
        draft.unlink(missing_ok=True)
