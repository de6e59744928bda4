"""The gate's side of an agent: starts `agent.py` of a source tree and sends it requests."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from bench.errors import UsageError
from bench.execution import imports, scratch
from bench.gate import LEAST_PROTOCOL, PROTOCOL
from bench.gate.preparation import Environment

# The packages at the top of a tree, by protocol.
PACKAGES = {1: ("bench", "models", "pipelines"), 2: ("bench",)}
AGENT = Path("bench", "gate", "agent.py")
CHANGED = "the sources were changed while they were measured; run it again, and leave them alone"
LOG_TAIL_LINES = 15
GRACE_S = 5.0


class AgentFailed(Exception):
    """The tree's code raised an error; `exit_code` is that of an expected error, else None.

    `loaded` is False where the code could not even be imported.
    """

    def __init__(self, message: str, exit_code: int | None, loaded: bool) -> None:
        super().__init__(message)
        self.exit_code, self.loaded = exit_code, loaded


class Measurer(Protocol):
    """Measures one side on request: an `AgentProcess`, or a `bench.gate.users_side.UsersSide`."""

    @property
    def has_run(self) -> bool:
        """Whether something ran since the last start, so that the next round needs a new start."""

    def start(self) -> None: ...

    def await_ready(self) -> None: ...

    def ask(self, do: str, **arguments: Any) -> Any:
        """Send a request of `bench.gate.agent` and wait for the answer. Raises AgentFailed."""

    def close(self) -> None: ...


class AgentProcess:
    """The process of the agent in the sources at `root`; what it prints goes to `log`.

    Raises AgentFailed if the sources have no agent with a known protocol.

    A start fixes memory layout, hash seeds and heap size for all runs of its fork server. Runs of one start are
    therefore not independent; `renew` makes a new start.
    """

    def __init__(self, root: Path, log: Path, environment: Environment | None = None) -> None:
        """With an `environment` it also sees the modules of a user's checkout, which come after those of `root`."""
        protocol = protocol_of(root)
        self.root, self.log = root, log
        self._environment = environment or Environment({})
        log.parent.mkdir(parents=True, exist_ok=True)
        self._path = imports.path_of(str(root.absolute()), PACKAGES[protocol])
        self._opened: list[dict[str, Any]] = []
        self._sources: str | None = None
        self.start()

    def start(self) -> None:
        """Start the agent, which imports the tree's code immediately; `await_ready` waits for it."""
        variables = os.environ | dict(self._environment.variables)
        others = [path for path in (variables.get("PYTHONPATH"),) if path]
        environment = variables | {
            "PYTHONPATH": os.pathsep.join([self._path, *others]),
            # Python would put the current folder first, which may contain the other revision.
            "PYTHONSAFEPATH": "1",
            # Short enough for any revision's sockets, and removed with this process.
            "TMPDIR": str(scratch.for_sockets()),
        }
        self.has_run = self._closed = False
        with self.log.open("ab") as file:
            self._process = subprocess.Popen(
                [str(self._environment.python or sys.executable), str(self.root / AGENT), str(self.root)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env=environment,
                # A terminal's Ctrl-C should reach only this process, which ends its agents itself.
                start_new_session=True,
            )

    def await_ready(self) -> None:
        """Wait until the code is imported and the matrices of earlier starts are open again, with the same numbers.

        Raises AgentFailed, and UsageError if the sources have changed since the first start.
        """
        sources = self.ask("sources")
        if self._sources not in (None, sources):
            raise UsageError(CHANGED)
        self._sources = sources
        for opened in self._opened:
            self._request("open", opened)

    def ask(self, do: str, **arguments: Any) -> Any:
        """Send one request and wait for the answer. Raises AgentFailed."""
        self.has_run |= do == "run"
        reply = self._request(do, arguments)
        if do == "open":
            self._opened.append(arguments)
        return reply

    def _request(self, do: str, arguments: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
            answer = json.loads(line)
        except (OSError, ValueError):
            raise AgentFailed(f"its process ended in the middle of `{do}`; {self.last_words()}", None, False) from None
        if error := answer.get("error"):
            known = error["exit_code"] is not None
            message = error["message"] if known else f"{error['type']}: {error['message']}"
            raise AgentFailed(message, error["exit_code"], error["loaded"])
        return answer["reply"]

    def last_words(self) -> str:
        """The end of its log, as words for an error."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return "it said: " + "\n  ".join(lines) if lines else "it said nothing"

    def close(self) -> None:
        """End it with all its processes; `start` starts it again."""
        if self._closed:
            return  # its process id may have been reused
        self._closed = True
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            # Its whole session, including the fork server and the workers.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
            try:
                self._process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                continue
            break
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


def protocol_of(root: Path) -> int:
    """The protocol of the agent in these sources. Runs none of their code.

    Raises AgentFailed if this gate does not support it.
    """
    try:
        text = (root / AGENT).with_name("__init__.py").read_text(encoding="utf-8")
        found = re.search(r"^PROTOCOL = (\d+)$", text, re.MULTILINE) if (root / AGENT).is_file() else None
    except (OSError, UnicodeDecodeError):
        found = None
    if found is None:
        raise AgentFailed(
            "it is older than the gate's protocol, so it cannot measure itself; name a younger revision, or check it "
            "out and use the `bench compare` of its time",
            None,
            False,
        )
    if not LEAST_PROTOCOL <= (number := int(found[1])) <= PROTOCOL:
        raise AgentFailed(
            f"its gate speaks protocol {number}, and this one {LEAST_PROTOCOL} to {PROTOCOL}; "
            + ("run `bench regress` of that revision" if number > PROTOCOL else "name a younger revision"),
            None,
            False,
        )
    return number


def renew(agents: Sequence[Measurer]) -> None:
    """Restart each agent that has run something since its last start, all at the same time.

    Raises what `AgentProcess.await_ready` does.
    """
    used = [agent for agent in agents if agent.has_run]
    for agent in used:
        agent.close()
    for agent in used:
        agent.start()
    for agent in used:
        agent.await_ready()
