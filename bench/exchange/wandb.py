"""Runs into a folder of Weights & Biases, offline, by its own client: https://docs.wandb.ai/ref/python."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.exchange.tracked_run import TrackedRun, client

PACKAGE = "wandb"
# Nothing goes anywhere before `wandb sync`, and a busy machine gets the time that it needs.
OFFLINE = {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false", "WANDB__SERVICE_WAIT": "300"}
# The client would add what it finds on this machine now, which says nothing of the machine and time of the run.
NOTHING_OF_HERE = {
    "console": "off", "disable_code": True, "disable_git": True, "init_timeout": 300.0, "silent": True,
    "x_disable_machine_info": True, "x_disable_meta": True, "x_disable_stats": True, "x_save_requirements": False,
}  # fmt: skip


def log_runs(runs: Sequence[TrackedRun], folder: Path, project: str) -> Iterator[tuple[TrackedRun, Path | None]]:
    """Write each run to `folder/wandb`; its folder there, None for a run that is there already.

    Raises MissingError without the package, OSError where it cannot be written.
    """
    os.environ.update(OFFLINE)
    wandb = client("wandb", PACKAGE)
    folder.mkdir(parents=True, exist_ok=True)
    for one in runs:
        run_id = re.sub(r"[^A-Za-z0-9._-]", "-", one.run.run_id)
        is_there = any((folder / "wandb").glob(f"offline-run-*-{run_id}"))
        yield one, None if is_there else _log(wandb, one, folder, project, run_id)


def _log(wandb: Any, one: TrackedRun, folder: Path, project: str, run_id: str) -> Path:
    settings = {name: value for name, value in NOTHING_OF_HERE.items() if name in wandb.Settings.model_fields}
    logged = wandb.init(
        project=project,
        dir=str(folder),
        id=run_id,
        name=one.name,
        group=one.group,
        job_type=one.run.measure,
        notes="\n".join(one.run.notes) or None,
        tags=list(one.run.tags) or None,
        config=one.params | one.facts,
        mode="offline",
        reinit="create_new",
        settings=wandb.Settings(**settings),
    )
    for point in one.epochs():
        logged.log(point.metrics | {"ended_at_s": point.at_s}, step=point.epoch)
    logged.summary.update({f"final/{name}": value for name, value in one.metrics.items()})
    made = Path(logged.dir).parent
    logged.finish(exit_code=0 if one.is_finished else 1)
    return made
