"""The task of a run, under which leaderboards list it: its data set, and training or inference."""

from __future__ import annotations

from typing import Any

from bench.pipelines.datasets import DATASETS
from bench.pipelines.datasets.catalog import is_part
from bench.runs.run import Run
from bench.text import units

# The target of a task if a run does not state one: DAWNBench's, which others adopted.
TASK_TARGETS = {"cifar10/train": 0.94, "cifar10/inference": 0.94}


def task(run: Run) -> str:
    """The task of a run, such as `cifar10/train`: the data set, and training or inference."""
    return f"{data_name(run)}/{'inference' if run.measure == 'inference' else 'train'}"


def data_name(run: Run) -> str:
    """The name of the data set; with other numbers of images than usual it is another set, whose name contains them."""
    name = run.data.get("name") or _name_asked_for(run.config) or "unknown"
    info = DATASETS.get(name)
    told = run.data.get("train_count"), run.data.get("test_count")
    if info is None or not info.learnable or not all(isinstance(count, int) for count in told):
        return str(name)
    return name if told == (info.train_count, info.test_count) else f"{name}-{told[0]}-{told[1]}"


def _name_asked_for(config: dict[str, Any]) -> Any:
    """The name of the data set that a config asks for, of a run that ended before it had any."""
    name, held_out = (units.get(config, "data", key) for key in ("name", "held_out"))
    return f"{name}-held-out-{held_out}" if name and held_out else name


def is_subset(run: Run) -> bool:
    """Whether it used only some of the images of a published set, for a quick try: its figures compare with nothing."""
    data = run.config.get("data")
    return isinstance(data, dict) and is_part(str(data.get("name")), data)


def has_other_quality(run: Run) -> bool:
    """Whether it is judged by something other than accuracy, such as a GAN's images. No rule book scores that."""
    return units.get(run.config, "task", "name") is not None


def is_own_data(run: Run) -> bool:
    """Whether it used a user's own data, which cannot be compared with a publisher's files."""
    return run.data.get("official", False) is None and bool(run.data.get("fingerprint"))


def stated_target(run: Run) -> float | None:
    target = run.metrics.get("target_accuracy") or run.config.get("target_accuracy")
    return None if target is None else float(target)
