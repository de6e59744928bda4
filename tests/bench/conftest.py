"""What tests of the harness share: a run to vary, a fork server, and DAWNBench's entries where there are any."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.execution import runner
from bench.runs.run import Run, new_run_id
from tests.command import ENVIRONMENT


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Run]:
    """A small valid run, a new one at each call, with the given fields on top."""

    def make(**fields: Any) -> Run:
        standard: dict[str, Any] = {
            "run_id": new_run_id(),
            "cell": "0123456789abcdef",
            "recipe": "digits",
            "seed": 0,
            "status": "ok",
            "started_at": "2026-11-20T10:00:00.000Z",
        }
        return Run(**standard | fields)

    return make


@pytest.fixture(scope="module")
def fork_server() -> Iterator[None]:
    """One fork server for all workers of a module: otherwise each of them, or the server of each sweep, imports torch.

    Its environment is that of `tests.command`, as it was when the module began: workers see no later change.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", ENVIRONMENT["OMP_NUM_THREADS"])
        patch.setenv("PYTHONSAFEPATH", "1")  # as the server's start sets it, so that it goes with the module
        # Where a new start costs little, a sweep renews the server for another seed.
        patch.setattr("bench.execution.executors.local.RENEWAL_SHARE", 0.0)
        runner.renew_fork_server()
        yield
        runner.end_fork_server()


@pytest.fixture(scope="session")
def real_entries() -> Path:
    """DAWNBench's CIFAR10 folder, $BENCH_DATA/dawnbench-entries/CIFAR10; the test is skipped where it is missing."""
    named = os.environ.get("BENCH_DATA")
    if named and (entries := Path(named) / "dawnbench-entries" / "CIFAR10").is_dir():
        return entries
    pytest.skip("no DAWNBench entries: $BENCH_DATA has no dawnbench-entries/CIFAR10")
