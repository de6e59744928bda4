"""`bench --version`."""

from __future__ import annotations

import platform
from importlib import metadata

from bench.about import VERSION
from bench.text.console import write_out


def print_version() -> None:
    write_out(f"bench {VERSION} (Python {platform.python_version()}, torch {metadata.version('torch')})\n")
