"""A process that measures with the code of one source tree: a script that is run by its path.

Each tree has its own copy of this file, and the gate of another revision may send the requests. The requests and
replies, which are the methods of `Agent`, their arguments and results, must not change without a new
`bench.gate.PROTOCOL`. They are lines of JSON on stdin and stdout, and the process ends when its stdin closes. All other
output goes to stderr.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import util
from pathlib import Path
from typing import Any


class Agent:
    """The tree's code, imported when this is made, and the matrices opened with it."""

    def __init__(self, root: str) -> None:
        from bench.execution import runner
        from bench.host import fingerprint, provenance
        from bench.spec import job, kept_nets, matrix

        self._runner, self._fingerprint, self._provenance = runner, fingerprint, provenance
        self._job, self._kept_nets, self._matrix = job, kept_nets, matrix
        self._root = Path(root).resolve()
        self._opened: list[tuple[Any, list[Any]]] = []
        runner.warm_up_fork_server()
        for places in (_places(), _in_worker(_places)):
            # A wrong PYTHONPATH would compare a revision with itself.
            for name, place in places.items():
                if place is None or not Path(place).resolve().is_relative_to(self._root):
                    raise ImportError(f"{name} was imported from {place}, and not from {self._root}")

    def describe(self) -> dict[str, Any]:
        """The identities of the code and the machine."""
        return {
            "code": self._provenance.code_identity(self._root),
            "sources": self.sources(),
            "machine": self._fingerprint.fingerprint(),
        }

    def sources(self) -> str:
        """The hash of the tree's present sources."""
        return str(self._provenance.sources_sha256(self._root))

    def open(self, path: str, device: str, found: int) -> dict[str, Any]:
        """The cells of a matrix; `run` identifies them by the number of the matrix and of the cell."""
        matrix = self._matrix.load(path)
        cells = self._matrix.expand(matrix, device, found)
        self._opened.append((matrix, cells))
        return {
            "matrix": len(self._opened) - 1,
            "measure": matrix.spec.measure,
            "recipe": Path(matrix.spec.recipe or "").stem,
            "cells": [
                {"values": dict(cell.values), "id": cell.id, "config": cell.config, "skip": cell.skip} for cell in cells
            ],
        }

    def run(
        self, matrix: int, cell: int, seed: int, device: str, data: str | None, cache: str, log: str
    ) -> dict[str, Any]:
        """One run in a new process, however it ends."""
        opened, cells = self._opened[matrix]
        recipe, measure = cells[cell].recipe, opened.spec.measure
        values = {
            "recipe": recipe,
            "seed": seed,
            "device": device,
            "data_dir": None if data is None else Path(data),
            "cache": Path(cache),
            "log": Path(log),
            "origin_s": time.monotonic(),
            "measure": measure,
            "sampling": opened.spec.sampling.bounds(),
            "nets": self._kept_nets.needed(recipe, measure, cells[cell].config),
        }
        started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        runner = self._runner
        try:
            job = self._job.Job(**values)
            measured = runner.execute(job, lambda _: None, "forkserver", opened.spec.timeout_s)
        except runner.Refused as refusal:
            return {"started_at": started_at, "status": "skipped", "reason": str(refusal)}
        finally:
            with contextlib.suppress(OSError):
                if not os.path.getsize(log):
                    os.unlink(log)  # empty logs of hundreds of runs
        return {"started_at": started_at} | dataclasses.asdict(measured)

    def profile(self, matrix: int, cell: int, device: str, data: str | None, cache: str) -> dict[str, Any]:
        """Seconds of each operator in a training step of a recipe, measured in a new process."""
        _, cells = self._opened[matrix]
        folder = None if data is None else Path(data)
        return {"kind": "operator", "seconds": _in_worker(_operators, cells[cell].recipe, device, folder, Path(cache))}

    def reference(self, device: str) -> dict[str, float | None]:
        """Seconds of reference kernels, which do not depend on the code, and the clock during them in Hz."""
        from bench.profiling.host_speed import reference_kernels

        return dict(_in_worker(reference_kernels, device))


def _in_worker(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a function in a process like those of runs."""
    context = multiprocessing.get_context("forkserver")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_result, args=(sender, function, arguments))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    finally:
        process.join()


def _send_result(sender: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    sender.send(function(*arguments))


def _places() -> dict[str, str | None]:
    """The places from which this process imports the tree's packages."""
    found = {name: util.find_spec(name) for name in ("bench", "bench.models", "bench.pipelines")}
    return {name: spec.origin if spec is not None else None for name, spec in found.items()}


def _operators(recipe: Any, device: str, data_dir: Path | None, cache: Path) -> dict[str, float]:
    from bench.pipelines.datasets import load_dataset
    from bench.profiling.operators import operator_seconds
    from bench.profiling.workbench import Workbench, at_full_size

    try:
        data = load_dataset(recipe.data.name, data_dir=data_dir, options=recipe.data.options)
        workbench = Workbench(at_full_size(recipe), device, data)
        with workbench.loader("train", cache) as train:
            return operator_seconds(workbench.trainer(train), train)
    except Exception:
        traceback.print_exc()
        return {}  # the verdict is valid without its cause


def _plain(value: Any) -> Any:
    """Convert NumPy's numbers and paths for JSON."""
    return value.item() if hasattr(value, "item") else str(value)


def main() -> None:
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    agent: Agent | None = None
    failure: Exception | None = None
    try:
        agent = Agent(sys.argv[1])  # immediately, so that two agents import at the same time
    except Exception as error:
        traceback.print_exc()
        failure = error
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if failure is not None:
                raise failure
            reply = {"reply": getattr(agent, request.pop("do"))(**request)}
        except Exception as error:
            if error is not failure:
                traceback.print_exc()
            reply = {"error": {"type": type(error).__name__, "message": str(error), "loaded": agent is not None}}
            reply["error"]["exit_code"] = getattr(error, "exit_code", None)
        replies.write(json.dumps(reply, default=_plain) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
