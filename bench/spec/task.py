"""The task of a recipe: which there are, and what goes with them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

from pydantic import Field

from bench.models import OF_TASKS
from bench.pipelines.loaders import LOADERS
from bench.tasks.cyclegan_settings import CycleGanSettings
from bench.tasks.dense_settings import RestorationGanSettings, RestorationSettings, SegmentationSettings
from bench.tasks.settings import TaskSettings
from bench.tasks.wgan_settings import WganSettings

SETTINGS: Mapping[str, type[TaskSettings]] = MappingProxyType(
    {
        "cyclegan": CycleGanSettings,
        "wgan": WganSettings,
        "segmentation": SegmentationSettings,
        "restoration": RestorationSettings,
        "restoration_gan": RestorationGanSettings,
    }
)
TaskConfig = Annotated[
    CycleGanSettings | WganSettings | SegmentationSettings | RestorationSettings | RestorationGanSettings,
    Field(discriminator="name"),
]
# The measures of a recipe with a task.
MEASURED = ("time_to_accuracy", "throughput", "loading")


def check_task(task: TaskSettings | None, model: str, asked: Mapping[str, object]) -> None:
    """Raise ValueError, beginning with a key, if the network is not for this task, or for any at all.

    The same for what is `asked` for, by key, and is of classifiers alone.
    """
    trained_by = OF_TASKS.get(model, ())
    if task is None:
        if trained_by:
            raise ValueError(f"model: {model} is no classifier; add task: {' or task: '.join(trained_by)}")
        return
    if task.name not in trained_by:
        own = " or ".join(name for name, tasks in OF_TASKS.items() if task.name in tasks)
        raise ValueError(f"model: task {task.name} trains {own}, not {model}")
    for key, value in asked.items():
        if value and key not in task.INGREDIENTS:
            raise ValueError(f"{key}: task {task.name} has no use for it; leave it out")


def check_loader(task: TaskSettings | None, loader: str) -> None:
    """Raise ValueError if one of bench's own loaders delivers something else than what the task trains on."""
    wanted = task.LOADERS if task else ()
    if wanted and loader in LOADERS and loader not in wanted:
        assert task is not None
        raise ValueError(f"loader: task {task.name} is trained on batches of {' or '.join(wanted)}, not of {loader}")
    takers = [name for name, settings in SETTINGS.items() if loader in settings.LOADERS]
    if takers and loader not in wanted:
        raise ValueError(f"loader: {loader} is for task {' or '.join(takers)} alone; take resident, ffcv or torch")
