"""A recipe: every value that decides how a network is trained, checked before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bench.document import Document, check_name, merge, nearest, parse_setting
from bench.errors import UsageError
from bench.machine import native_precision
from bench.run import cell_id
from models import MODELS
from pipelines.datasets import DATASETS
from pipelines.loaders import LOADERS

RECIPES = Path(__file__).parent / "recipes"
OVERLAYS = ("on_cpu", "on_cuda")
WORDS = ("summary", "source", "published")

Role = Literal["filters", "head", "biases", "norm_weights", "whiten_bias"]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(gt=0)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Named(BaseModel):
    """A registered name with options that its registry checks; the bare name is short for no options."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    name: str

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class Augment(Strict):
    flip: Literal["none", "random", "alternating"] = "none"
    shift_pixels: Annotated[int, Field(ge=0)] = 0
    pad: Literal["reflect", "zero"] = "reflect"
    cutout_pixels: Annotated[int, Field(ge=0)] = 0
    brightness: NotNegative = 0.0
    contrast: NotNegative = 0.0


class OptimizerGroup(Strict):
    name: Literal["sgd", "muon", "adamw"] | None = None
    lr: Positive | None = None
    momentum: Fraction | None = None
    nesterov: bool | None = None
    weight_decay: NotNegative | None = None
    newton_schulz_steps: Count | None = None
    unit_filters: bool | None = None
    betas: tuple[Fraction, Fraction] | None = None
    epochs: Positive | None = None

    @model_validator(mode="before")
    @classmethod
    def _betas_from_list(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("betas"), list):
            return {**value, "betas": tuple(value["betas"])}
        return value

    def settings(self) -> dict[str, Any]:
        """What the recipe set, nothing else, so that each optimiser's own defaults hold."""
        return {key: value for key, value in self if value is not None and key != "groups"}


# Which options an optimiser understands, beside name, lr, weight_decay and epochs.
_OPTIMIZER_OPTIONS = {
    "sgd": {"momentum", "nesterov"},
    "muon": {"momentum", "nesterov", "newton_schulz_steps", "unit_filters"},
    "adamw": {"betas"},
}


class Optimizer(OptimizerGroup):
    name: Literal["sgd", "muon", "adamw"] = "sgd"
    lr: Positive
    groups: dict[Role, OptimizerGroup] = {}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.epochs is not None:
            raise ValueError(
                "optimizer.epochs: name the role that stops early, as in optimizer.groups.whiten_bias.epochs"
            )
        everything: list[tuple[str, OptimizerGroup]] = [("optimizer", self)]
        everything += [(f"optimizer.groups.{role}", group) for role, group in self.groups.items()]
        for where, group in everything:
            name = group.name or self.name
            known = _OPTIMIZER_OPTIONS[name] | {"name", "lr", "weight_decay", "epochs"}
            for key in group.settings():
                if key not in known:
                    raise ValueError(f"{where}.{key}: {name} has no such option; it has {', '.join(sorted(known))}")
            if group.lr is None and name != self.name:
                raise ValueError(f"{where}.lr: needed, because {name} does not share {self.name}'s learning rate")
        return self


class Constant(Strict):
    name: Literal["constant"]


class Linear(Strict):
    name: Literal["linear"]
    start: NotNegative = 1.0
    end: NotNegative = 0.0


class Triangular(Strict):
    name: Literal["triangular"]
    start: NotNegative = 0.2
    peak: Annotated[float, Field(gt=0, lt=1)] = 0.23
    end: NotNegative = 0.07


class OneCycle(Strict):
    name: Literal["one_cycle"]
    div: Annotated[float, Field(ge=1)] = 20.0
    pct: Annotated[float, Field(ge=0, lt=100)] = 20.0
    max_momentum: Fraction = 0.95
    min_momentum: Fraction = 0.85


class Step(Strict):
    name: Literal["step"]
    milestones: list[Fraction] = [0.3, 0.6, 0.8]
    gamma: Positive = 0.2


Schedule = Annotated[Constant | Linear | Triangular | OneCycle | Step, Field(discriminator="name")]


class Loss(Strict):
    label_smoothing: Fraction = 0.0
    reduction: Literal["mean", "sum"] = "mean"


class Lookahead(Strict):
    every: Count = 5
    decay: Fraction = 0.95


class Evaluation(Strict):
    """`tta` is the level that decides; `epoch_tta` the one of the evaluations between epochs."""

    tta: Literal[0, 1, 2] = 0
    epoch_tta: Literal[0, 1, 2] = 0
    every_epochs: Annotated[int, Field(ge=0)] = 1
    batch_size: Count = 1000


class Recipe(Strict):
    summary: str = ""
    source: str = ""
    published: str = ""

    data: Named
    loader: str = "resident"
    workers: Annotated[int, Field(ge=0)] | None = None
    augment: Augment = Augment()

    model: Named
    memory_format: Literal["channels_last", "contiguous"] = "channels_last"
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16", "pure_fp16", "pure_bf16"] = "auto"
    compile: bool = False
    warm_up_steps: Annotated[int, Field(ge=0)] = 0
    threads: Count | None = None

    batch_size: Count
    epochs: Positive
    target_accuracy: Annotated[float, Field(gt=0, lt=1)] | None = None
    stop_at_target: bool = False
    evaluation: Evaluation = Evaluation()
    loss: Loss = Loss()
    optimizer: Optimizer
    schedule: Schedule = Constant(name="constant")
    lookahead: Lookahead | None = None

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


def identify(config: Mapping[str, Any], device: str, measure: str) -> tuple[dict[str, Any], str]:
    """The config that a record holds, and the id of its cell, which every command gives the same point.

    `precision: auto` becomes what it means on this machine, or two machines would call two things one cell.
    """
    recorded = {**config, "device": device}
    if recorded.get("precision") == "auto":
        recorded["precision"] = native_precision(device)
    return recorded, cell_id(recorded | {"measure": measure})
