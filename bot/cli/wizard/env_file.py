"""Writes settings into a `.env` file: lines that are there stay, readable by its owner alone, all or nothing."""

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

_ASSIGNMENT = re.compile(r"^\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@,+-]*")


def write_env(file: Path, values: Mapping[str, str]) -> None:
    """Set `values` in `file`: a line that sets one of them is replaced, the others are put at the end.

    Written whole under another name first, with mode 0600, and then renamed: a crash leaves the old file or the new
    one. Raises `OSError`, and `ValueError` for a value with a line break.
    """
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    left = dict(values)
    for place, line in enumerate(lines):
        found = _ASSIGNMENT.match(line)
        if found is not None and found["name"] in values:
            lines[place] = _line(found["name"], values[found["name"]])
            left.pop(found["name"], None)
    lines += [_line(name, value) for name, value in left.items()]
    draft = file.with_name(f".{file.name}-{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write("\n".join(lines) + "\n")
            out.flush()
            os.fsync(out.fileno())
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


def _line(name: str, value: str) -> str:
    if "\n" in value or "\r" in value:
        raise ValueError(f"{name} cannot hold a line break")
    if _PLAIN.fullmatch(value):
        return f"{name}={value}"
    # python-dotenv takes what is between single quotes as it is, but for these two.
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{name}='{escaped}'"
