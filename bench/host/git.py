"""Asking git about a folder: in its own words where it refuses, and deaf to the environment of a hook."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

# What says how git is to behave, such as which folders of others it trusts; all else may name another repository.
KEPT = "GIT_CONFIG"


class GitFailed(Exception):
    """git is not there, or said no; the text is what it said."""

    @property
    def reason(self) -> str:
        """The first thing it said, without its loud beginning."""
        return (str(self).splitlines() or ["no reason"])[0].removeprefix("fatal: ")


def git(folder: Path, *arguments: str, stdin: str = "", timeout_s: float | None = None) -> str:
    """What git prints, without white space around it. Raises GitFailed."""
    # A lock would disturb the user's own git, and a hook of theirs is not to run.
    command = ["git", "--no-optional-locks", "-C", str(folder), "-c", "core.hooksPath=/dev/null", *arguments]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name.startswith(KEPT)
    }
    try:
        done = subprocess.run(
            command, capture_output=True, input=os.fsencode(stdin), env=environment, timeout=timeout_s, check=False
        )
    except OSError as error:
        raise GitFailed(f"git cannot be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise GitFailed(f"git {arguments[0]} did not answer in {timeout_s:g} s") from None
    if done.returncode:
        said = os.fsdecode(done.stderr).strip()
        raise GitFailed(said or f"git {arguments[0]} ended with exit code {done.returncode}")
    return os.fsdecode(done.stdout).strip()
