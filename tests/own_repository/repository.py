"""A user's repository, outside this one: her own package `models`, her own data, and a train.py that knows no bench."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FILES = Path(__file__).parent / "files"
# The user has no settings of git's that another machine would not have.
_GIT = ("git", "-c", "user.name=A user", "-c", "user.email=user@example.org", "-c", "commit.gpgsign=false")


@dataclass(frozen=True)
class OwnRepository:
    """A git repository at `root`, whose first commit on the branch `main` holds all of FILES and shapes.npz."""

    root: Path

    @classmethod
    def make(cls, root: Path) -> OwnRepository:
        """Written to `root`, which must not exist."""
        shutil.copytree(FILES, root, ignore=shutil.ignore_patterns("__pycache__"))
        subprocess.run([sys.executable, "make_data.py"], cwd=root, check=True)
        made = cls(root)
        made.git("init", "--quiet", "--initial-branch", "main")
        made.commit("The network, its data and its training")
        return made

    def git(self, *arguments: str) -> str:
        """What git says there; raises CalledProcessError."""
        ran = subprocess.run([*_GIT, *arguments], cwd=self.root, check=True, capture_output=True, text=True)
        return ran.stdout.strip()

    def commit(self, message: str) -> str:
        """Commit all that is there; the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def change(self, file: str, old: str, new: str) -> None:
        """Replace the one occurrence of a text in a file, which is not committed by that."""
        path = self.root / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{file} holds {old!r} {text.count(old)} times"
        path.write_text(text.replace(old, new), encoding="utf-8")
