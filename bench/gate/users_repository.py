"""Two revisions of a user's repository, whose commands and networks are measured by this harness."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench.errors import BenchError, MissingError, UsageError
from bench.execution.imports import ENVIRONMENT, ROOT
from bench.execution.interpreter import Interpreter, interpreter_of
from bench.execution.packages import installed
from bench.gate.agent_process import AgentProcess
from bench.gate.checkout import for_both, is_elsewhere, resolve
from bench.gate.packages import difference
from bench.gate.paired_cell import open_paired_cells
from bench.gate.paired_comparison import Arm
from bench.gate.preparation import Environment, PreparationFailed, prepare
from bench.gate.report import Side
from bench.gate.snapshot import Snapshot, Snapshots, repository_at, side_by_side, told_changes
from bench.gate.subject import SAME_SOURCES, Sides, base_side, matrix_files, name_of
from bench.gate.users_side import UsersSide
from bench.host.provenance import code_identity
from bench.spec import matrix as matrices
from bench.spec.command import Command

DEFAULT = "bench.yaml"


@dataclass
class UsersRepository:
    """The working tree at `top` against the revision `base_name`; logs go to `folder`, what is done to `say`."""

    top: Path
    base_name: str
    matrices: Sequence[Path]
    machine: dict[str, Any]
    device: str
    found: int
    folder: Path
    say: Callable[[str], None]
    base: Side = field(init=False)
    head: Side = field(init=False)

    def __post_init__(self) -> None:
        """Raises UsageError for a revision that is not here, and for matrices whose mistakes can be seen at once."""
        self._commit = resolve(self.top, self.base_name)
        self.base = base_side(self.base_name, self._commit)
        self.head = Side("the working tree")
        specs = [matrices.load(str(path)).spec for path in self.matrices]
        self._prepare = list(dict.fromkeys(command for spec in specs for command in spec.prepare))
        # Recipes run in this harness's Python, and what is prepared for them goes over that.
        self._python = sys.executable if any(spec.command is None for spec in specs) else None
        commands = [spec.command for spec in specs if spec.command]
        self._interpreter = Interpreter(self._python) if self._python else _interpreter(commands, self.top)
        self._shared = list(dict.fromkeys(path for spec in specs for path in spec.shared))

    def open(self, place: int, open_sides: ExitStack) -> Sides:
        found = open_sides.enter_context(side_by_side(self.top, self._commit, self._shared, place))
        harness = code_identity()
        arms, packages = [], []
        for name, snapshot, whose in (
            ("base", found.base, f"the base {self.base_name}"),
            ("head", found.head, "head"),
        ):
            code = snapshot.code  # before anything is prepared, which may change files
            side = self._side(name, snapshot, whose, found.head.root)
            open_sides.callback(side.close)
            own = side.environment.python
            python = self._interpreter if own is None else Interpreter(str(own))
            packages.append(installed(python, snapshot.root, side.environment.variables))
            arms.append(Arm(name, side, {**code, "harness": harness}, self.machine))
        base, head = arms
        self.base, self.head = Side(self.base.name, base.code), Side(name_of(head.code), head.code)
        pairs = [for_both(path, self.top, found.base.root, found.head.root) for path in self.matrices]
        paired_cells = open_paired_cells(pairs, base.agent, head.agent, self.device, self.found)
        # The harness's own sources too: it may run a command otherwise than the one of an earlier call.
        sources = [arm.code["sources_sha256"] for arm in arms]
        key = {
            "repository": str(self.top),
            "sources": sources,
            "harness": harness["sources_sha256"],
            "packages": packages,
        }
        notes = self._notes(found, sources)
        if (told := difference(*packages)) is not None:
            notes.append(f"the sides have other packages, by `prepare`: {told}")
        return Sides(base, head, paired_cells, key, notes)

    def check_unchanged(self) -> None:
        """Both sides are copies, so nothing can have changed them."""

    def _side(self, name: str, snapshot: Snapshot, whose: str, head: Path) -> UsersSide:
        if self._prepare:
            self.say(f"Preparing {whose}: {'; '.join(self._prepare)}")
        try:
            log = self.folder / "logs" / f"prepare-{name}.log"
            environment = prepare(snapshot.root, self._prepare, log, self._python)
        except PreparationFailed as error:
            kind = MissingError if name == "base" else BenchError
            raise kind(f"{whose} cannot be prepared: {error}") from None
        agent_log = self.folder / "logs" / f"{name}.log"
        return UsersSide(snapshot, environment, head, partial(_agent, environment, agent_log))

    def _notes(self, found: Snapshots, sources: Sequence[str]) -> list[str]:
        notes = list(dict.fromkeys([*found.base.notes, *found.head.notes]))
        if sources[0] == sources[1]:
            notes.append(SAME_SOURCES)
        if (told := told_changes(found.head)) is not None:
            notes.append(told)
        return notes


def users_repository(folder: Path, names: Sequence[str]) -> Path | None:
    """The top of the user's repository that a folder is in; None where the gate is to compare its own sources.

    Those are compared within their own repository, unless a matrix is named whose cells are commands, and outside any.
    Raises UsageError for a repository that cannot be measured.
    """
    if is_elsewhere(Path(ROOT), folder):
        return repository_at(folder)
    if any(Path(name).suffix and matrices.load(name).spec.command is not None for name in names):
        return repository_at(folder)
    return None


def _interpreter(commands: Sequence[Command], top: Path) -> Interpreter:
    """The Python of the first command that has one, else that of the user's shell."""
    for command in commands:
        found = interpreter_of(command.argv, top / command.cwd, ENVIRONMENT | command.env)
        if found is not None:
            return found
    shells = next(filter(None, map(shutil.which, ("python", "python3"))), sys.executable)
    return Interpreter(shells)


def _agent(environment: Environment, log: Path) -> AgentProcess:
    """An agent with this harness's code, which sees a side's modules too."""
    log.unlink(missing_ok=True)
    return AgentProcess(Path(ROOT), log, environment)


def matrices_of(top: Path, names: Sequence[str]) -> list[Path]:
    """The files of these matrices, by default bench.yaml at the top of the repository.

    Raises UsageError where that is not there, and as `matrix_files` does.
    """
    if not names and not (top / DEFAULT).is_file():
        raise UsageError(
            f"there is no {DEFAULT} in {top}, which says what to measure; `bench init` writes one, or name a matrix"
        )
    return matrix_files(names or [str(top / DEFAULT)])
