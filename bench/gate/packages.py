"""The installed packages that measurements were made with, which can change a time as much as code can."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

from bench.execution import imports

MOST_TOLD = 4
TIMEOUT_S = 60.0
# In the order of the module path, so that of two versions the first one is imported. A side's own code is known by its
# sources, and what is installed of it in development mode has no version that says more.
_DESCRIBE = """
import importlib.metadata, json, os, sys
own = [os.path.realpath(path) for path in (".", "src")]
found = {"python": "{}.{}.{}".format(*sys.version_info[:3])}
for one in importlib.metadata.distributions():
    in_development = "dir_info" in json.loads(one.read_text("direct_url.json") or "{}")
    if not in_development and os.path.realpath(str(one.locate_file(""))) not in own:
        found.setdefault(str(one.metadata["Name"]).lower().replace("_", "-"), one.version)
print(json.dumps(found))
"""


def installed(python: str | Path, root: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """The versions of all packages that `python` imports in a side's folder; empty if it cannot say."""
    try:
        told = subprocess.run(
            [python, "-c", _DESCRIBE],
            cwd=root,
            env=imports.ENVIRONMENT | dict(variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        found: dict[str, str] = json.loads(told.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return {}
    return found


def difference(before: Mapping[str, str], after: Mapping[str, str]) -> str | None:
    """`numpy 1.26.4 → 2.1.0`, and so on; None if there is no difference, or one side is not known."""
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if not (before and after and names):
        return None
    told = [f"{name} {before.get(name, 'none')} → {after.get(name, 'none')}" for name in names[:MOST_TOLD]]
    return ", ".join(told) + (f", and {len(names) - MOST_TOLD} more" if len(names) > MOST_TOLD else "")
