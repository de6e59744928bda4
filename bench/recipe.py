"""A recipe: every value that decides how a network is trained, checked before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from bench.document import Document, check_name, merge, nearest, parse_setting
from bench.errors import UsageError
from bench.ingredients import (
    Augment,
    BatchSizes,
    Constant,
    Count,
    CutMix,
    Ema,
    Evaluation,
    Fraction,
    ImageSize,
    Lookahead,
    Loss,
    LrWarmUp,
    Named,
    NotNegative,
    Optimizer,
    Positive,
    Schedule,
    Strict,
    check_stages,
)
from bench.machine import native_precision
from bench.measures import ON_SEVERAL_DEVICES
from bench.run import cell_id
from models import MODELS
from pipelines.datasets import DATASETS
from pipelines.loaders import LOADERS

RECIPES = Path(__file__).parent / "recipes"
OVERLAYS = ("on_cpu", "on_cuda")
WORDS = ("summary", "source", "published")


class Published(Strict):
    """What the recipe's source measured: facts as it states them, null where it says nothing.

    `accuracy` is a fraction, a mean where `n` runs are more than one; `clock` names what the time contains.
    """

    hardware: str
    time_s: Positive | None = None
    accuracy: Fraction | None = None
    epochs: Positive | None = None
    n: Count | None = None
    cost_usd: NotNegative | None = None
    clock: str | None = None
    note: str = ""


class Recipe(Strict):
    summary: str = ""
    source: str = ""
    published: list[Published] = Field(default=[])

    data: Named
    loader: str = "resident"
    workers: Annotated[int, Field(ge=0)] | None = None
    augment: Augment = Augment()
    cutmix: CutMix | None = None
    image_sizes: Annotated[list[ImageSize], Field(min_length=1)] | None = None

    model: Named
    ghost_batch: Annotated[int, Field(ge=2)] | None = None
    memory_format: Literal["channels_last", "contiguous"] = "channels_last"
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16", "pure_fp16", "pure_bf16"] = "auto"
    compile: bool = False
    warm_up_steps: Annotated[int, Field(ge=0)] = 0
    # CPU threads of each process; null leaves the choice to torch, or its share of that to each of several devices.
    threads: Count | None = None
    # Null is one. `batch_per` says what batch_size is: of all devices together (null, `global`) or of each.
    devices: Count | None = None
    batch_per: Literal["global", "device"] | None = None

    batch_size: Count
    batch_sizes: BatchSizes | None = None
    accumulate: Count | None = None
    epochs: Positive
    target_accuracy: Annotated[float, Field(gt=0, lt=1)] | None = None
    stop_at_target: bool = False
    evaluation: Evaluation = Evaluation()
    loss: Loss = Loss()
    optimizer: Optimizer
    schedule: Schedule = Constant(name="constant")
    lr_warm_up: LrWarmUp | None = None
    lookahead: Lookahead | None = None
    ema: Ema | None = None

    seeds: Count = 1
    price_per_hour: NotNegative | None = None

    @model_validator(mode="before")
    @classmethod
    def _schedule_from_name(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("schedule"), str):
            return {**value, "schedule": {"name": value["schedule"]}}
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        check_name("data", self.data.name, DATASETS)
        check_name("loader", self.loader, LOADERS)
        check_name("model", self.model.name, MODELS)
        if self.target_accuracy is not None and not DATASETS[self.data.name].learnable:
            raise ValueError(
                f"target_accuracy: {self.data.name} data has nothing to learn; set it to null to time throughput"
            )
        if self.stop_at_target and self.target_accuracy is None:
            raise ValueError("stop_at_target: needs a target_accuracy")
        if self.stop_at_target and not self.evaluation.every_epochs:
            raise ValueError("stop_at_target: needs evaluation.every_epochs of at least 1")
        if self.compile and not self.warm_up_steps:
            raise ValueError("compile: needs warm_up_steps of at least 1, or the first epoch would pay for compilation")
        return self

    @model_validator(mode="before")
    @classmethod
    def _one_device_says_nothing(cls, value: Any) -> Any:
        """One device is every run without these keys, and so is the same cell."""
        if not isinstance(value, dict):
            return value
        usual: dict[str, Any] = {}
        if value.get("devices") == 1 and type(value["devices"]) is int:
            usual["devices"] = None
        if value.get("batch_per") == "global" or (
            value.get("batch_per") == "device" and value.get("devices") in (None, 1)
        ):
            usual["batch_per"] = None
        return {**value, **usual}

    @model_validator(mode="after")
    def _devices_share_the_batch(self) -> Self:
        sizes = {"batch_size": self.batch_size}
        for index, stage in enumerate(self.batch_sizes.stages if self.batch_sizes else []):
            sizes[f"batch_sizes.stages.{index}.examples"] = stage.examples
        for key, size in sizes.items():
            if self.batch_per is None and size % self.device_count:
                raise ValueError(
                    f"{key}: {size} cannot be shared evenly by {self.devices} devices; "
                    "take a multiple, or batch_per: device to give each so many"
                )
            if self.accumulate and self.of_one_device(size) % self.accumulate and self.device_count > 1:
                raise ValueError(
                    f"accumulate: {self.accumulate} equal parts cannot be made of the {self.of_one_device(size)} "
                    f"examples that each of {self.devices} devices gets of {key}"
                )
        return self

    @property
    def device_count(self) -> int:
        return self.devices or 1

    def of_one_device(self, examples: int) -> int:
        """Of so many examples, as the recipe counts them, those that one of its devices gets."""
        return examples if self.batch_per == "device" else examples // self.device_count

    @model_validator(mode="after")
    def _ingredients_fit(self) -> Self:
        check_stages("image_sizes", self.image_sizes or [])
        stages = self.batch_sizes.stages if self.batch_sizes else []
        check_stages("batch_sizes.stages", stages)
        sizes = {"batch_size": self.batch_size}
        for index, stage in enumerate(stages):
            key = f"batch_sizes.stages.{index}.examples"
            if self.batch_size % stage.examples:
                raise ValueError(
                    f"{key}: {stage.examples} does not divide the batch_size of {self.batch_size}, "
                    "which the loader delivers and the smaller batches are cut from"
                )
            sizes[key] = stage.examples
        for key, size in sizes.items():
            part = self.of_one_device(size)
            if self.accumulate and part % self.accumulate:
                raise ValueError(f"accumulate: {self.accumulate} equal parts cannot be made of a {key} of {part}")
        kinds = {"optimizer": self.optimizer.name} | {
            f"optimizer.groups.{role}": group.name for role, group in self.optimizer.groups.items()
        }
        for key, name in kinds.items():
            if name == "adamw" and self.precision == "pure_fp16":
                raise ValueError(
                    f"{key}.name: adamw divides by squares of gradients, most of which are 0 in pure_fp16; "
                    "set precision to fp16 or pure_bf16, or take another optimiser"
                )
        if self.lr_warm_up and self.lr_warm_up.epochs > self.epochs:
            raise ValueError(f"lr_warm_up.epochs: {self.lr_warm_up.epochs:g} is more than the {self.epochs:g} epochs")
        return self

    def config(self) -> dict[str, Any]:
        """Every value that is no prose, as plain JSON types."""
        return self.model_dump(mode="json", exclude=set(WORDS))


def names() -> list[str]:
    """The recipes that come with the project."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def find(name: str) -> Path:
    """The file of a recipe, by the name of a shipped one or by a path.

    Raises `UsageError` when there is none.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise UsageError(f"there is no recipe file {path}")
        return path
    if name not in names():
        raise UsageError(
            f"unknown recipe {name!r}{nearest(name, names())}; there are: {', '.join(names())}; or give a .yaml file"
        )
    return RECIPES / f"{name}.yaml"


def draft(name: str, device: str) -> Document:
    """What the recipe `name` says for a device (`cpu` or `cuda`), to be changed and then made a `Recipe`.

    Raises `UsageError` when there is no such recipe, or it is no mapping.
    """
    document = Document.read(find(name), RECIPES / "digits.yaml", transparent=OVERLAYS)
    for key in OVERLAYS:
        overlay = document.values.pop(key, None) or {}
        if not isinstance(overlay, dict):
            raise UsageError(f"{document.path}: {key} holds the keys that differ on that device, not {overlay!r}")
        if key == f"on_{device}":
            merge(document.values, overlay)
    return document


def load(name: str, device: str, settings: Iterable[str] = ()) -> Recipe:
    """The recipe `name` for a device (`cpu` or `cuda`), with `key=value` settings on top.

    Raises `UsageError`, naming the file, the key, its line, what is allowed and the nearest name.
    """
    document = draft(name, device)
    for setting in settings:
        key, value = parse_setting("--set", setting)
        document.change(key, value, f"--set {setting}")
    return document.validate(Recipe)


def lack_of_devices(recipe: Recipe, device: str, measure: str, found: int) -> str | None:
    """Why a run of the recipe, with as many devices as it asks for, cannot be where `found` are; None where it can."""
    count = recipe.device_count
    if count > 1 and measure not in ON_SEVERAL_DEVICES:
        return f"{measure} uses one device, not {count}; {' and '.join(ON_SEVERAL_DEVICES)} can use several"
    if count > max(found, 1):
        return f"needs {count} {'GPUs' if device == 'cuda' else 'CPU cores'}, found {found}"
    return None


def identify(config: Mapping[str, Any], device: str, measure: str) -> tuple[dict[str, Any], str]:
    """The config that a record holds, and the id of its cell, which every command gives the same point.

    `precision: auto` becomes what it means on this machine, or two machines would call two things one cell.
    """
    recorded = {**config, "device": device}
    if recorded.get("precision") == "auto":
        recorded["precision"] = native_precision(device)
    return recorded, cell_id(recorded | {"measure": measure})
