"""Signatures that only this user's processes on this machine can make, to recognise files they have written."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from bench.files import open_regular, private_folder, user_cache

KEY_BYTES = 32


def sign(text: str) -> str | None:
    """The signature of a text, 64 hex digits; None if there is no place for a key."""
    key = _key()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest() if key else None


def is_signed(text: str, mark: object) -> bool:
    """Whether this user signed exactly this text."""
    own = sign(text)
    return own is not None and isinstance(mark, str) and mark.isascii() and hmac.compare_digest(own, mark)


def _key() -> bytes | None:
    """The key of this user on this machine, created when first needed."""
    try:
        path = private_folder(user_cache()) / "key"
        # Writing a file and then linking it is atomic and never replaces an existing key.
        draft = path.with_name(f".key.{secrets.token_hex(4)}")
        if not path.exists():
            draft.write_bytes(secrets.token_bytes(KEY_BYTES))
            draft.chmod(0o600)
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return _read(path)
    except (OSError, RuntimeError):
        return None


def _read(path: Path) -> bytes | None:
    with open(open_regular(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        key = file.read(KEY_BYTES + 1)
    return key if len(key) == KEY_BYTES else None
