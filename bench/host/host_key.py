"""The key of a host: equal for all runs of a user on it, and without the host's name.

The key is a keyed hash (HMAC, RFC 2104) of the host's name. Its salt is random and belongs to the user, so that nobody
who sees a record can find the name by trying likely ones, and the same host has other keys for other users. Where the
home folder is shared, as on a cluster, all hosts use the same salt.

A container has a new name at each start. There the key is a hash of the boot id of the kernel, which all containers of
a host share. It holds 122 random bits, so that it needs no salt, and it changes when the host boots.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import platform
import secrets
from pathlib import Path

from bench.files import private_folder, user_config

DIGITS = 12
# Replaces the host's name, for example in CI, where each job has a container of its own.
VARIABLE = "BENCH_HOST"
SALT_FILE = "host_salt"
SALT_BYTES = 16
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Docker and Podman make these files; every container of Kubernetes has the variable.
CONTAINER_FILES = (Path("/.dockerenv"), Path("/run/.containerenv"))
CONTAINER_VARIABLE = "KUBERNETES_SERVICE_HOST"


def host_key(salt: str | None = None) -> str:
    """12 hex digits for the host that this process runs on.

    `salt` is that of another host of the user, by default this one's. Raises OSError if no salt can be kept, and
    RuntimeError for a user without a home.
    """
    named = os.environ.get(VARIABLE)
    if not named and _in_container() and BOOT_ID.exists():
        return hashlib.sha256(b"boot " + BOOT_ID.read_bytes().strip()).hexdigest()[:DIGITS]
    key, name = (salt or own_salt()).encode(), (named or platform.node()).encode(errors="surrogateescape")
    return hmac.new(key, name, "sha256").hexdigest()[:DIGITS]


def own_salt() -> str:
    """This user's salt, made on first use. Raises what `host_key` raises."""
    path = private_folder(user_config()) / SALT_FILE
    if not path.exists():
        _make_salt(path)
    return path.read_text(encoding="ascii").strip()


def _make_salt(path: Path) -> None:
    """Write a new salt, unless another process does so at the same time."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        draft.touch(mode=0o600)
        draft.write_text(f"{secrets.token_hex(SALT_BYTES)}\n", encoding="ascii")
        os.link(draft, path)  # complete from the first moment, and never replaced
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)


def _in_container() -> bool:
    return CONTAINER_VARIABLE in os.environ or any(path.exists() for path in CONTAINER_FILES)
