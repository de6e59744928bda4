"""A tree of sources as somebody who measures when asked: the other end of `agent`, which runs with that tree's code."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

AGENT = Path(__file__).with_name("agent.py")
LOG_TAIL_LINES = 15
GRACE_S = 5.0


class TreeFailed(Exception):
    """The tree's code raised an error; `exit_code` is that of an expected one, else None.

    `loaded` is False where the code could not even be imported.
    """

    def __init__(self, message: str, exit_code: int | None, loaded: bool) -> None:
        super().__init__(message)
        self.exit_code, self.loaded = exit_code, loaded


class Tree:
    """The agent's process for the sources in `root`; what it prints goes to `log`."""

    def __init__(self, root: Path, log: Path) -> None:
        self.root, self.log = root, log
        log.parent.mkdir(parents=True, exist_ok=True)
        others = [path for path in (os.environ.get("PYTHONPATH"),) if path]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(root), *others]),
            # Python would put the present folder first, and it may hold the other revision.
            "PYTHONSAFEPATH": "1",
        }
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, str(AGENT), str(root)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env=environment,
                # A terminal's Ctrl-C is for this process, which ends its agents itself.
                start_new_session=True,
            )

    def ask(self, do: str, **arguments: Any) -> Any:
        """The answer to one request, waited for. Raises TreeFailed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
            answer = json.loads(line)
        except (OSError, ValueError):
            raise TreeFailed(f"its process ended in the middle of `{do}`; {self.last_words()}", None, False) from None
        if error := answer.get("error"):
            known = error["exit_code"] is not None
            message = error["message"] if known else f"{error['type']}: {error['message']}"
            raise TreeFailed(message, error["exit_code"], error["loaded"])
        return answer["reply"]

    def last_words(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return "it said: " + "\n  ".join(lines) if lines else "it said nothing"

    def close(self) -> None:
        """End it and whatever runs for it."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            # Its whole session: the fork server and the workers too.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
            try:
                self._process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                continue
            break
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
