"""The user's token for Ray's clusters, which a cluster of `ray start` asks for if there was one when it was started."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

MODE = "RAY_AUTH_MODE"
TOKEN, TOKEN_FILE = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
USUAL_FILE = Path(".ray", "auth_token")


def present_token() -> None:
    """Let Ray present the token; call it before Ray is imported, which looks at the environment then.

    By itself Ray does so only to a cluster that it starts or finds, and never to one at a given address. Clusters
    without a token do not mind. A mode that the user has set stays.
    """
    if MODE not in os.environ and _has_token():
        os.environ[MODE] = "token"


def _has_token() -> bool:
    with suppress(RuntimeError, OSError):  # no home
        return TOKEN in os.environ or Path(os.environ.get(TOKEN_FILE) or Path.home() / USUAL_FILE).is_file()
    return False
