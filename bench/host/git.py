"""Runs git in a folder. Errors keep git's words; variables that a git hook sets are ignored."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

# Variables that configure git, such as which folders it trusts and how it fetches what a checkout still needs; the
# others may name another repository.
KEPT = ("GIT_CONFIG", "GIT_LFS_", "GIT_SSH", "GIT_ASKPASS", "GIT_TERMINAL_PROMPT")
# How many digits of a commit are shown.
SHORT_COMMIT = 9


class GitFailed(Exception):
    """git is missing or refused; the text is its message."""

    @property
    def reason(self) -> str:
        """The first line of its message, without `fatal:`."""
        return (str(self).splitlines() or ["no reason"])[0].removeprefix("fatal: ")


def git(folder: Path, *arguments: str, stdin: str = "", timeout_s: float | None = None) -> str:
    """What git prints, stripped of surrounding white space. Raises GitFailed."""
    # A lock would disturb the user's own git commands, and the user's hooks should not run.
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
