"""The settings of plain training as config values: what each is called, which values it allows, and its defaults."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from bench.documents.document import nearest, refuse
from bench.documents.limits import (
    LARGEST_NUMBER,
    LEAST_EPOCHS,
    MOST_COUNT,
    MOST_EPOCHS,
    MOST_PIXELS,
    MOST_THREADS,
)
from bench.documents.strict import Strict
from bench.pipelines.augmentations import AUGMENTATIONS
from bench.registry.checks import check_known
from bench.registry.reference import parse
from bench.training.registries import OPTIMIZERS, SCHEDULES


def _enough_for_a_step(epochs: float) -> float:
    if epochs < LEAST_EPOCHS:
        raise PydanticCustomError("too_few", "Input should be at least {least}", {"least": LEAST_EPOCHS})
    return epochs


MemoryFormat = Literal["channels_last", "contiguous"]
NumberFormat = Literal["fp32", "tf32", "bf16", "fp16", "pure_fp16", "pure_bf16"]
Role = Literal["filters", "head", "biases", "norm_weights", "whiten_bias"]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=LARGEST_NUMBER)]
# How much of a running average is kept at each step; 1 would keep all of it for ever.
Kept = Annotated[float, Field(ge=0, lt=1)]
NotNegative = Annotated[float, Field(ge=0, le=LARGEST_NUMBER)]
Epochs = Annotated[float, Field(gt=0, le=MOST_EPOCHS), AfterValidator(_enough_for_a_step)]
Count = Annotated[int, Field(gt=0, le=MOST_COUNT)]
Threads = Annotated[int, Field(gt=0, le=MOST_THREADS)]
Pixels = Annotated[int, Field(ge=0, le=MOST_PIXELS)]
Number = Annotated[float, Field(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER)]
# A share of the training that is over, counted in examples.
Share = Annotated[float, Field(gt=0, le=1)]


class Named(BaseModel):
    """A registered name with options that its registry checks; the bare name is short for no options.

    An option that is null is absent, as it is from a cell's identity: so a matrix takes back what a recipe sets.
    """

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    name: str

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def options(self) -> dict[str, Any]:
        return {key: value for key, value in (self.model_extra or {}).items() if value is not None}


class Augment(Strict):
    flip: Literal["none", "random", "alternating"] = "none"
    """Mirror no images, each with probability 1/2, or each in every other epoch."""
    shift_pixels: Pixels = 0
    """Translate by up to so many pixels along each axis."""
    pad: Literal["reflect", "zero"] = "reflect"
    """What a translation uncovers: the mirrored border, or black."""
    cutout_pixels: Pixels = 0
    """Side of a square that is set to the mean."""
    cutout_inside: bool | None = None
    """Keep the whole square inside the image; null lets the border clip it."""
    brightness: NotNegative = 0.0
    """Largest number added to the normalised image."""
    contrast: NotNegative = 0.0
    """Largest relative change of the normalised image."""
    then: Annotated[list[Named], Field(min_length=1)] | None = None
    """Your own augmentations, applied after these."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        for index, named in enumerate(self.then or []):
            check_known(f"augment.then.{index}", named.name, AUGMENTATIONS)
        return self


class OptimizerGroup(Strict):
    """The options of an optimiser; one of a user's own may have others, which it checks when it is made."""

    model_config = ConfigDict(extra="allow")
    name: str | None = None
    """`sgd`, `muon`, `adamw`, or your own."""
    lr: Positive | None = None
    """Learning rate at a schedule's factor of 1."""
    momentum: Kept | None = None
    """Momentum; sgd and muon."""
    nesterov: bool | None = None
    """Nesterov momentum; sgd and muon."""
    weight_decay: NotNegative | None = None
    """Weight decay, multiplied by the learning rate."""
    decoupled: bool | None = None
    """Decay the weights directly instead of through the gradient."""
    newton_schulz_steps: Annotated[int, Field(gt=0, le=100)] | None = None
    """Muon: steps of the orthogonalisation."""
    newton_schulz_coefficients: tuple[Number, Number, Number] | None = None
    """Muon: coefficients of its polynomial."""
    unit_filters: bool | None = None
    """Muon: rescale filters to unit length."""
    unit_filters_every: tuple[Count, Count] | None = None
    """Muon: steps between rescalings, at the beginning and at the end."""
    betas: tuple[Kept, Kept] | None = None
    """AdamW: decay of its two averages."""
    epochs: Epochs | None = None
    """Of a group: stop training it after so many epochs."""
    squeeze: bool | None = None
    """With `epochs`: whether the group's schedule is compressed into them (true) or cut off."""

    @model_validator(mode="before")
    @classmethod
    def _tuples_from_lists(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        keys = ("betas", "newton_schulz_coefficients", "unit_filters_every")
        return {**value, **{key: tuple(value[key]) for key in keys if isinstance(value.get(key), list)}}

    def settings(self) -> dict[str, Any]:
        """What the recipe set, nothing else, so that each optimiser's own defaults hold."""
        return {key: value for key, value in self if value is not None and key != "groups"}


# Which options an optimiser understands, beside those that all of them do.
_OPTIMIZER_OPTIONS = {
    "sgd": {"momentum", "nesterov"},
    "muon": {
        "momentum",
        "nesterov",
        "newton_schulz_steps",
        "newton_schulz_coefficients",
        "unit_filters",
        "unit_filters_every",
    },
    "adamw": {"betas"},
}


class Optimizer(OptimizerGroup):
    name: str = "sgd"
    lr: Positive
    groups: dict[Role, OptimizerGroup] = Field(default={})
    """Other options for `filters`, `head`, `biases`, `norm_weights` or `whiten_bias`."""

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
            check_known(f"{where}.name", name, OPTIMIZERS)
            if group.lr is None and name != self.name:
                raise ValueError(f"{where}.lr: needed, because {name} does not share {self.name}'s learning rate")
            if name not in OPTIMIZERS:
                continue
            known = _OPTIMIZER_OPTIONS[name] | {"name", "lr", "weight_decay", "decoupled", "epochs", "squeeze"}
            if group.squeeze is not None and group.epochs is None:
                raise ValueError(f"{where}.squeeze: there is nothing to squeeze without {where}.epochs")
            for key in group.settings():
                if key not in known:
                    near = nearest(key, known)
                    why = f"{name} has no such option{near}; it has {', '.join(sorted(known))}"
                    if key in (group.model_extra or {}):
                        refuse(f"{where}.{key}", why)
                    raise ValueError(f"{where}.{key}: {why}")
            if group.unit_filters is False and group.unit_filters_every is not None:
                raise ValueError(f"{where}.unit_filters_every: nothing is rescaled where unit_filters is false")
        return self


class Constant(Strict):
    name: Literal["constant"]


class Linear(Strict):
    """A line from `start` to `end`, at which it arrives at the share `until` of the training; null is at its end."""

    name: Literal["linear"]
    start: NotNegative = 1.0
    """Factor at the beginning."""
    end: NotNegative = 0.0
    """Factor at the end."""
    until: Share | None = None
    """Share of the training at which the end is reached."""


class Triangular(Strict):
    name: Literal["triangular"]
    start: NotNegative = 0.2
    """Factor at the beginning."""
    peak: Annotated[float, Field(gt=0, lt=1)] = 0.23
    """Share of the training at which the factor is 1."""
    end: NotNegative = 0.07
    """Factor at the end."""


class OneCycle(Strict):
    name: Literal["one_cycle"]
    div: Annotated[float, Field(ge=1, le=LARGEST_NUMBER)] = 20.0
    """The factor rises from 1/div to 1 and falls back to 1/div."""
    pct: Annotated[float, Field(ge=0, lt=100)] = 20.0
    """Per cent of the training for the final fall to 1/(100·div)."""
    max_momentum: Kept = 0.95
    """Momentum at the lowest rate."""
    min_momentum: Kept = 0.85
    """Momentum at the highest rate."""


class FitOneCycle(Strict):
    """Cosines up from 1/div of the rate until the share `pct_start` of the training, and down to 1/(div · final_div).

    Momentum goes from max to min and back; with both equal it is held.
    """

    name: Literal["fit_one_cycle"]
    div: Annotated[float, Field(ge=1, le=LARGEST_NUMBER)] = 25.0
    pct_start: Annotated[float, Field(gt=0, lt=1)] = 0.3
    final_div: Annotated[float, Field(ge=1, le=LARGEST_NUMBER)] = 1e4
    max_momentum: Kept = 0.95
    min_momentum: Kept = 0.85


class Step(Strict):
    name: Literal["step"]
    milestones: list[Fraction] = Field(default=[0.3, 0.6, 0.8])
    """Shares of the training at which the rate drops."""
    gamma: Positive = 0.2
    """Factor of each drop."""


class Cosine(Strict):
    name: Literal["cosine"]
    end: Fraction = 0.0
    """Factor at the end."""


class OwnSchedule(Named):
    """A user's, with the options that it takes."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        check_known("schedule", self.name, SCHEDULES)
        return self


def _kind_of_schedule(value: Any) -> str:
    name = value.get("name") if isinstance(value, dict) else getattr(value, "name", None)
    is_own = isinstance(name, str) and name not in SCHEDULES and (parse(name) or name in SCHEDULES.installed)
    return "own" if is_own else str(name)


Schedule = Annotated[
    Annotated[Constant, Tag("constant")]
    | Annotated[Linear, Tag("linear")]
    | Annotated[Triangular, Tag("triangular")]
    | Annotated[OneCycle, Tag("one_cycle")]
    | Annotated[FitOneCycle, Tag("fit_one_cycle")]
    | Annotated[Step, Tag("step")]
    | Annotated[Cosine, Tag("cosine")]
    | Annotated[OwnSchedule, Tag("own")],
    Discriminator(_kind_of_schedule),
]


class Loss(Strict):
    label_smoothing: Fraction = 0.0
    """Share of the label spread over all classes."""
    reduction: Literal["mean", "sum"] = "mean"
    """Mean or sum over the batch."""


class Evaluation(Strict):
    """`tta` is the level that decides; `epoch_tta` the one of the evaluations between epochs.

    With `tta_below` only those images get it whose first view leaves every class less probable than this. Label
    smoothing s keeps probabilities below about 1 - s, so that it belongs well under that. There is none before epoch
    `first_epoch`, counted from 1. With `equal_views` the answer is the plain mean of all views; level 2 else gives the
    image and its mirror image twice the weight of each other.
    """

    tta: Literal[0, 1, 2] = 0
    """Test-time augmentation of the final evaluation: none, mirror image, or shifts too."""
    epoch_tta: Literal[0, 1, 2] = 0
    """The same for evaluations between epochs."""
    tta_below: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Give further views only to images whose first view gives no class this probability."""
    every_epochs: Annotated[int, Field(ge=0, le=MOST_COUNT)] = 1
    """Evaluate after every so many epochs; 0 only at the end."""
    first_epoch: Count | None = None
    """No evaluation before this epoch."""
    batch_size: Count = 1000
    """Images of an evaluation batch."""
    equal_views: Literal[True] | None = None
    """Weight all views of level 2 equally."""

    @model_validator(mode="after")
    def _below_is_of_some_level(self) -> Self:
        if self.tta_below is not None and not self.tta and not self.epoch_tta:
            raise ValueError("evaluation.tta_below: says who gets further views; it needs tta or epoch_tta of 1 or 2")
        if self.equal_views and 2 not in (self.tta, self.epoch_tta):
            raise ValueError(
                "evaluation.equal_views: the views of level 1 are equal already; needs tta or epoch_tta of 2"
            )
        return self


class Inference(Strict):
    """How `--measure inference` runs the trained network; what is null is as in training.

    `fuse` folds each batch norm into the conv before it. `mirror` answers by the mean of an image and its mirror
    image, which go through the network together, as `evaluation.tta: 1` does after training.
    """

    fuse: bool = False
    mirror: bool = False
    precision: NumberFormat | None = None
    memory_format: MemoryFormat | None = None
    compile: bool | None = None
    winograd: bool | Literal["auto"] | None = None
    threads: Threads | None = None


class RateFinder(Strict):
    """How `--measure find_lr` searches: `steps` batches at rates that grow from `start` to `end`."""

    start: Positive = 1e-7
    end: Positive = 10.0
    steps: Annotated[int, Field(ge=3, le=100_000)] = 100

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.end <= self.start:
            raise ValueError(f"find_lr.end: {self.end:g} should be more than {self.start:g}, the start")
        return self


class Surface(Strict):
    """What `--measure surface` looks at after training: a grid of `points` by `points` out to `reach`.

    Each filter of the two directions is as long as the network's own. The loss is of the first `images` training
    images, or a few more, in whole batches.
    """

    points: Annotated[int, Field(ge=3, le=201)] = 15
    reach: Positive = 1.0
    images: Count = 500


class Checkerboard(Strict):
    """What `--measure checkerboard` looks at, untrained: a way to double the resolution, between so many channels."""

    upsampling: Literal["transposed_k3", "transposed_k4", "upsample", "shuffle", "shuffle_icnr"] = "transposed_k4"
    channels: Count = 64
    pixels: Annotated[int, Field(ge=8, le=1024)] = 16


class Neighbours(Strict):
    """What `--measure neighbours` searches: `k` nearest of the first `base` training images, for `queries` test images.

    `index` is faiss's: `hnsw` (a graph; `breadth` is efSearch) or `ivf` (lists; `breadth` is nprobe). `batch` queries
    are asked at once.
    """

    index: Literal["hnsw", "ivf"] = "hnsw"
    breadth: Annotated[int, Field(ge=1, le=100_000)] = 64
    k: Annotated[int, Field(ge=1, le=1000)] = 10
    base: Count = 20_000
    queries: Count = 1000
    batch: Count = 1


class Resize(Strict):
    """What `--measure resize` does: `images` JPEGs to squares of `pixels`, kept in one memory-mapped array.

    The JPEGs are made, or those of `folder`. `simd: false` is without vector instructions; null is as the library has
    it.
    """

    method: Literal["pillow", "opencv", "torchvision", "ffcv"] = "pillow"
    how: Literal["serial", "threads", "processes"] = "serial"
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    pixels: Annotated[int, Field(ge=1, le=MOST_PIXELS)] = 72
    images: Annotated[int, Field(ge=1, le=1_000_000)] = 2000
    folder: str | None = None
    simd: Literal[False] | None = None

    @model_validator(mode="after")
    def _one_worker_alone(self) -> Self:
        if self.how == "serial" and self.workers > 1:
            raise ValueError(
                f"resize.workers: serial is one worker, not {self.workers}; write how: threads or processes"
            )
        return self
