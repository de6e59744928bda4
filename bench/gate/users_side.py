"""One side of a user's repository as somebody who measures when asked, as `AgentProcess` is one of this project's own.

The harness is the same for both sides: commands are started by this process in the side's folder, and recipes, which
may name networks of that folder, run in workers of this harness's own agent.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.execution.host_check import measured_apart
from bench.execution.interrupts import Interrupts
from bench.execution.measured import Measured
from bench.execution.script import run_script
from bench.gate.agent_process import AgentFailed, AgentProcess
from bench.gate.function_profile import function_seconds, profiled
from bench.gate.preparation import OF_A_HOOK, Environment
from bench.gate.quantity import QUANTITIES, quantity_of
from bench.gate.snapshot import Snapshot
from bench.measures.script_timeline import LOOKS
from bench.profiling.host_speed import reference_kernels
from bench.spec import matrix as matrices
from bench.spec.command import Command
from bench.text.nearest import did_you_mean

LEAST_EPOCHS = 2


@dataclass
class _Opened:
    """A matrix: of commands with its cells here, of recipes with its number in the agent."""

    measure: str
    timeout_s: float | None
    cells: list[matrices.Cell]
    number: int | None = None


@dataclass
class UsersSide:
    """A side with its environment; `head` is the folder of head's side, whose files say what a cell needs.

    `open_agent` starts an agent of this harness for it, which is done at most once.
    """

    snapshot: Snapshot
    environment: Environment
    head: Path
    open_agent: Callable[[], AgentProcess]
    _opened: list[_Opened] = field(default_factory=list)
    _agent: AgentProcess | None = None

    @property
    def has_run(self) -> bool:
        """Whether the next round needs a new start. A command is a start of its own."""
        return self._agent is not None and self._agent.has_run

    def start(self) -> None:
        if self._agent is not None:
            self._agent.start()

    def await_ready(self) -> None:
        if self._agent is not None:
            self._agent.await_ready()

    def close(self) -> None:
        if self._agent is not None:
            self._agent.close()

    def ask(self, do: str, **arguments: Any) -> Any:
        """The answer to a request that `bench.gate.agent` describes. Raises AgentFailed."""
        return getattr(self, f"_{do}")(**arguments)

    def _open(self, path: str, device: str, found: int) -> dict[str, Any]:
        try:
            matrix = matrices.load(path)
            if matrix.spec.command is None:
                return self._open_in_agent(matrix, device, found)
            cells = matrices.expand(matrix, device, found)
        except BenchError as error:
            raise AgentFailed(str(error), error.exit_code, True) from None
        self._opened.append(_Opened(matrix.spec.measure, matrix.spec.timeout_s, cells))
        return {
            "matrix": len(self._opened) - 1,
            "measure": matrix.spec.measure,
            "recipe": matrix.spec.command.script,
            "judge": checked_judge(matrix, "command"),
            "cells": [
                {"values": dict(cell.values), "id": cell.id, "config": cell.config, "skip": self._skip(cell)}
                for cell in cells
            ],
        }

    def _open_in_agent(self, matrix: matrices.Matrix, device: str, found: int) -> dict[str, Any]:
        if self._agent is None:
            self._agent = self.open_agent()
            self._agent.await_ready()
        reply: dict[str, Any] = self._agent.ask("open", path=str(matrix.path), device=device, found=found)
        self._opened.append(_Opened(reply["measure"], None, [], reply["matrix"]))
        return {**reply, "matrix": len(self._opened) - 1, "judge": checked_judge(matrix, reply["measure"])}

    def _skip(self, cell: matrices.Cell) -> str | None:
        """Why a cell cannot be measured here: a folder or a script that head has is not there."""
        if cell.skip or cell.command is None:
            return cell.skip
        for name in (cell.command.cwd, *(f"{cell.command.cwd}/{argument}" for argument in cell.command.argv)):
            inside = Path(os.path.normpath(name))
            # Not by `Path.exists`, which raises for a text too long to be a name, such as that of `sh -c`.
            if os.path.exists(self.head / inside) and not os.path.exists(self.snapshot.root / inside):
                return f"there is no {inside}"
        return None

    def _run(
        self, matrix: int, cell: int, seed: int, device: str, data: str | None, cache: str, log: str
    ) -> dict[str, Any]:
        opened = self._opened[matrix]
        if opened.number is not None:
            assert self._agent is not None
            asked = {"cell": cell, "seed": seed, "device": device, "data": data, "cache": cache, "log": log}
            reply: dict[str, Any] = self._agent.ask("run", matrix=opened.number, **asked)
            return reply
        command = opened.cells[cell].command
        assert command is not None
        started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        measured = self._run_command(command, seed, Path(log), device, opened.timeout_s)
        measured.metrics |= epoch_times(measured.spans)
        if os.path.exists(log) and not os.path.getsize(log):
            os.unlink(log)
        return {"started_at": started_at} | asdict(measured)

    def _run_command(self, command: Command, seed: int, log: Path, device: str, timeout_s: float | None) -> Measured:
        """Raises KeyboardInterrupt where the user ended it."""
        here = {
            "env": {**self.environment.variables, **command.env},
            "timeout_s": command.timeout_s or timeout_s,
        }
        with Interrupts() as interrupts:
            measured = run_script(
                command.model_copy(update=here),
                seed,
                self.snapshot.root,
                log,
                interrupts=interrupts,
                device=device,
                without=OF_A_HOOK,
            )
        if interrupts.count:  # also by a Ctrl-C after the command's end, which the run's status says nothing of
            raise KeyboardInterrupt
        return measured

    def _profile(self, matrix: int, cell: int, device: str, data: str | None, cache: str) -> dict[str, Any]:
        """Seconds of each function of a Python script, or of each operator of a recipe's training step."""
        opened = self._opened[matrix]
        if opened.number is not None:
            assert self._agent is not None
            asked = {"cell": cell, "device": device, "data": data, "cache": cache}
            told: dict[str, Any] = self._agent.ask("profile", matrix=opened.number, **asked)
            return told
        command = opened.cells[cell].command
        assert command is not None
        with tempfile.TemporaryDirectory(prefix="bench-profile-") as folder:
            out = Path(folder, "profile")
            argv = profiled(command.argv, out)
            if argv is None:
                return {"kind": "function", "seconds": {}}
            profiled_command, log = command.model_copy(update={"argv": argv}), Path(folder, "log")
            self._run_command(profiled_command, 0, log, device, opened.timeout_s)
            return {"kind": "function", "seconds": function_seconds(out, self.snapshot.root)}

    def _reference(self, device: str) -> dict[str, float | None]:
        if self._agent is not None:
            told: dict[str, float | None] = self._agent.ask("reference", device=device)
            return told
        # In this process they would keep a CUDA context, and memory of the GPU, while the commands are timed.
        return dict(measured_apart(reference_kernels, device) or {})


def epoch_times(spans: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The least time from the end of one epoch to that of the next, where at least three ends are known.

    The first epoch is left out, because all that comes before it (imports, data, compilation) may be in it. Of the
    others the least, because what disturbs a run only ever adds.
    """
    ends_s = [float(span["end_s"]) for span in spans if span.get("epoch") is not None and span["name"] in LOOKS]
    took_s = [after - before for before, after in itertools.pairwise(ends_s)]
    return {"epoch_min_s": min(took_s)} if len(took_s) >= LEAST_EPOCHS and min(took_s) > 0 else {}


def checked_judge(matrix: matrices.Matrix, measure: str) -> list[str]:
    """The metrics that the matrix wants judged. Raises UsageError for one that is none of this measure's."""
    known = [quantity.metric for quantity in QUANTITIES[measure]]
    for position, metric in enumerate(matrix.spec.judge):
        if quantity_of(measure, metric) is None:
            told = f"{metric!r} is no metric of this{did_you_mean(metric, known)}; there are: {', '.join(known)}"
            own = ", and the script's own whose names end in _s, _per_s or _bytes" if measure == "command" else ""
            matrix.refuse(f"judge.{position}", told + own)
    return matrix.spec.judge
