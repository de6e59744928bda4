"""A recipe: every value that decides how a network is trained, checked before anything runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from bench.documents.document import refuse
from bench.documents.limits import MOST_COUNT, MOST_SEEDS, MOST_THREADS
from bench.documents.named import Named
from bench.documents.numbers import Count, Epochs, NotNegative, Positive, Threads
from bench.documents.strict import Strict
from bench.ingredients.accumulate import AccumulateConfig
from bench.ingredients.batch_sizes import BatchSizesConfig
from bench.ingredients.checkpoint import CheckpointConfig
from bench.ingredients.cuda_graph import CudaGraphConfig
from bench.ingredients.cutmix import CutMixConfig
from bench.ingredients.distillation import DistillationConfig
from bench.ingredients.ema import EmaConfig
from bench.ingredients.freeze import FreezeConfig
from bench.ingredients.fused_activations import FusedActivationsConfig
from bench.ingredients.ghost_batch import GhostBatchConfig
from bench.ingredients.half_norms import HalfNormsConfig
from bench.ingredients.hard_examples import DropEasyConfig
from bench.ingredients.huge_pages import HugePagesConfig
from bench.ingredients.image_sizes import AntialiasConfig, ImageSizesConfig
from bench.ingredients.ingredient import Ingredient
from bench.ingredients.layer_rates import LayerRatesConfig
from bench.ingredients.lookahead import LookaheadConfig
from bench.ingredients.lr_warm_up import LrWarmUpConfig
from bench.ingredients.proxy import ProxyConfig
from bench.ingredients.winograd import WinogradConfig
from bench.models import MODELS
from bench.pipelines.datasets import DATASETS, check_options
from bench.pipelines.errors import WrongOption
from bench.pipelines.loaders import LOADERS
from bench.registry.checks import check_known
from bench.registry.reference import is_path
from bench.spec.augment import AugmentConfig
from bench.spec.evaluation import EvaluationConfig
from bench.spec.formats import MemoryFormat, NumberFormat
from bench.spec.loss import LossConfig
from bench.spec.measure_options import (
    CheckerboardOptions,
    FindLrOptions,
    InferenceOptions,
    NeighboursOptions,
    ResizeOptions,
    SurfaceOptions,
)
from bench.spec.measures import TRAIN_NOTHING
from bench.spec.optimizer import OptimizerConfig
from bench.spec.own import described, portable
from bench.spec.published import Published
from bench.spec.schedule import Constant, ScheduleConfig
from bench.spec.task import TaskConfig, check_loader, check_task

WORDS = ("summary", "source", "published")


class Recipe(Strict):
    LISTED_BY: ClassVar = "bench list keys"

    summary: str = ""
    """One line for lists."""
    source: str = ""
    """Who found it, and what this file changes."""
    published: list[Published] = Field(default=[])
    """What the source measured."""

    data: Named
    """A data set by name, with its options: `train_count`, `test_count`, `held_out`, `only_class`; or your own."""
    loader: str = "resident"
    """`resident` keeps all images in the device's memory; `ffcv` and `torch` read them in workers."""
    workers: Annotated[int, Field(ge=0, le=MOST_THREADS)] | None = None
    """Processes or threads of the loader; null leaves the choice to it."""
    augment: AugmentConfig = AugmentConfig()
    """Random changes of the training images."""
    cutmix: CutMixConfig | None = None
    """Mixes two images and their labels (CutMix)."""
    image_sizes: ImageSizesConfig | None = None
    """Trains on smaller images first."""
    antialias: AntialiasConfig | None = None
    """False resizes `image_sizes` by plain bilinear interpolation; null averages all covered pixels."""
    drop_easy: DropEasyConfig | None = None
    """Trains some epochs only on the images with the largest loss."""
    proxy: ProxyConfig | None = None
    """A small network chooses the images of each batch on which to train."""

    model: Named
    """A network by name, with its options; or your own, as `file.py:Name`."""
    task: TaskConfig | None = None
    """How networks that are no classifiers are trained and judged; null trains a classifier."""
    ghost_batch: GhostBatchConfig | None = None
    """Batch norm over parts of so many examples."""
    memory_format: MemoryFormat = "channels_last"
    """The layout of images and weights in memory."""
    precision: Literal["auto", NumberFormat] = "auto"
    """The number format; `auto` is native half precision, else fp32; `pure_` also keeps weights in half precision."""
    half_norms: HalfNormsConfig | None = None
    """With `pure_…`: batch norm in half precision too."""
    compile: bool = False
    """Use torch.compile; needs `warm_up_steps`."""
    cuda_graph: CudaGraphConfig | None = None
    """GPU only: replay each step as one CUDA graph; needs `warm_up_steps`."""
    winograd: WinogradConfig | None = None
    """CPU only: 3×3 convs by Winograd; `fused`: some in one pass; `every`: unpooled ones too; `large`: larger tiles."""
    fused_activations: FusedActivationsConfig | None = None
    """CPU only: compute a batch norm and the activation after it together; `auto` if there is a compiler."""
    huge_pages: HugePagesConfig | None = None
    """CPU only: keep tensors in memory pages of 2 MiB; `auto` if the system allows it."""
    warm_up_steps: Annotated[int, Field(ge=0, le=MOST_COUNT)] = 0
    """Steps before the training, in a span of their own."""
    threads: Threads | None = None
    """CPU threads of each process; null leaves the choice to torch."""
    devices: Count | None = None
    """Number of GPUs, or of CPU cores; null is one."""
    nodes: Count | None = None
    """Number of hosts that share the `devices` evenly, with `--executor ray` or `slurm`; null is one."""
    batch_per: Literal["global", "device"] | None = None
    """Whether `batch_size` is that of all devices together (null, `global`) or of each (`device`)."""

    batch_size: Count
    """Examples of a step."""
    batch_sizes: BatchSizesConfig | None = None
    """Smaller batches at the beginning."""
    accumulate: AccumulateConfig | None = None
    """Compute each batch in so many equal parts, to save memory."""
    epochs: Epochs
    """Passes over the training images; may be a fraction."""
    target_accuracy: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The accuracy to reach, as a fraction; null asks for none."""
    target_loss: Positive | None = None
    """Instead of an accuracy: the mean training loss of an epoch to reach."""
    target_quality: Positive | None = None
    """Instead of an accuracy: the quality to reach that the `task` measures."""
    stop_at_target: bool = False
    """End a run with the first evaluation at the target."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """When and how accuracy is evaluated."""
    checkpoint: CheckpointConfig | None = None
    """Write the training's state down after some epochs, so that `bench run --resume` can continue it."""
    loss: LossConfig = LossConfig()
    """Cross-entropy's options."""
    distillation: DistillationConfig | None = None
    """Learns from the answers of a network trained earlier, its teacher."""
    optimizer: OptimizerConfig
    """The optimiser and its options."""
    schedule: ScheduleConfig = Constant(name="constant")
    """The course of the learning rate, as a factor of `optimizer.lr`."""
    lr_warm_up: LrWarmUpConfig | None = None
    """Increases the rate at the beginning; multiplies the schedule."""
    lookahead: LookaheadConfig | None = None
    """Lookahead: slow weights that follow the fast ones."""
    ema: EmaConfig | None = None
    """Evaluates an exponential moving average of the weights."""
    freeze: FreezeConfig | None = None
    """Stops training parts of the network early."""
    layer_rates: LayerRatesConfig | None = None
    """Learning rates by part of the network."""

    inference: InferenceOptions | None = None
    """For `--measure inference`: how the trained network runs."""
    find_lr: FindLrOptions | None = None
    """For `--measure find_lr`: the range of rates."""
    surface: SurfaceOptions | None = None
    """For `--measure surface`: the grid of the loss surface."""
    resize: ResizeOptions | None = None
    """For `--measure resize`: the JPEGs, the library and the workers."""
    neighbours: NeighboursOptions | None = None
    """For `--measure neighbours`: the search and its index."""
    checkerboard: CheckerboardOptions | None = None
    """For `--measure checkerboard`: the layer that doubles the resolution."""

    seeds: Annotated[int, Field(gt=0, le=MOST_SEEDS)] = 1
    """Runs of one command."""
    price_per_hour: NotNegative | None = None
    """Dollars per hour of the machine."""

    @model_validator(mode="before")
    @classmethod
    def _mappings_from_names(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        named = {key: value[key] for key in ("schedule", "task") if isinstance(value.get(key), str)}
        return {**value, **{key: {"name": name} for key, name in named.items()}}

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        if not is_path(self.data.name):
            check_known("data", self.data.name, DATASETS)
        for key, value in self.data.options.items():
            try:
                check_options(self.data.name, {key: value})
            except WrongOption as error:
                refuse(f"data.{key}", str(error))
        check_known("loader", self.loader, LOADERS)
        check_known("model", self.model.name, MODELS)
        return self

    @model_validator(mode="after")
    def _options_are_finite(self) -> Self:
        """Of the options that a user's code takes, which no field says anything of."""
        for name, part in self:
            for key, value in (getattr(part, "model_extra", None) or {}).items():
                if not _is_finite(value):
                    refuse(f"{name}.{key}", f"{value!r} is not finite, and no record can hold it")
        return self

    @model_validator(mode="after")
    def _target_can_be_reached(self) -> Self:
        info = DATASETS.get(self.data.name)
        if self.target_accuracy is not None and info is not None and not info.learnable:
            raise ValueError(
                f"target_accuracy: {self.data.name} data has nothing to learn; set it to null to time throughput"
            )
        if self.target_accuracy is not None and self.target_loss is not None:
            raise ValueError("target_loss: there is one target; set target_accuracy to null, or leave this out")
        if info is not None and info.is_text != (self.loader == "tokens") and self.loader in LOADERS:
            kind, loader = ("a text", "tokens") if info.is_text else ("images", "resident, ffcv or torch")
            raise ValueError(f"loader: {self.data.name} is {kind}, which {self.loader} does not load; take {loader}")
        targets = (self.target_accuracy, self.target_loss, self.target_quality)
        if self.stop_at_target and all(target is None for target in targets):
            raise ValueError("stop_at_target: needs a target_accuracy or a target_loss, or of a task a target_quality")
        if self.stop_at_target and self.target_loss is None and not self.evaluation.every_epochs:
            raise ValueError("stop_at_target: needs evaluation.every_epochs of at least 1")
        if self.compile and not self.warm_up_steps:
            raise ValueError("compile: needs warm_up_steps of at least 1, or the first epoch would pay for compilation")
        return self

    @model_validator(mode="after")
    def _suits_its_task(self) -> Self:
        check_task(self.task, self.model.name, self._for_classifiers())
        info = DATASETS.get(self.data.name)
        if self.task is not None and info is not None and info.is_text:
            raise ValueError(f"data: task {self.task.name} needs images, and {self.data.name} is a text")
        if self.target_quality is not None and self.task is None:
            raise ValueError("target_quality: a classifier has none; write target_accuracy or target_loss")
        return self

    def _for_classifiers(self) -> dict[str, object]:
        """What a recipe can ask for with a classifier alone, by key; false is not asked for."""
        evaluation = self.evaluation
        return {
            **dict.fromkeys(self.ingredients, True),
            "target_accuracy": self.target_accuracy is not None,
            "target_loss": self.target_loss is not None,
            "loss": self.loss != LossConfig(),
            "evaluation.tta": evaluation.tta or evaluation.epoch_tta,
            "compile": self.compile,
            "warm_up_steps": self.warm_up_steps,
            "devices": self.device_count > 1,
        }

    @model_validator(mode="after")
    def _loads_targets(self) -> Self:
        info, pairs = DATASETS.get(self.data.name), self.loader == "pairs"
        if info is not None and self.loader in LOADERS and info.targets_in(self.data.options) != pairs:
            told = (
                "no targets, which pairs loads; take resident, ffcv or torch"
                if pairs
                else f"targets, which {self.loader} does not load; take pairs"
            )
            raise ValueError(f"loader: {self.data.name} has {told}")
        check_loader(self.task, self.loader)
        return self

    @model_validator(mode="after")
    def _fits_the_data(self) -> Self:
        """Refuse before anything starts what the loader would refuse later; for a user's own data, only the
        loader can."""
        info, options = DATASETS.get(self.data.name), self.data.options
        if info is None:
            return self
        height, width = options.get("shape", info.image_shape)[1:]
        for key, pixels, most in (
            ("shift_pixels", self.augment.shift_pixels, min(height, width) - 1),
            ("cutout_pixels", self.augment.cutout_pixels, min(height, width)),
        ):
            if pixels > most:
                raise ValueError(f"augment.{key}: {pixels} does not fit images of {height}x{width} pixels; 0 to {most}")
        images = options.get("train_count", info.train_count) - options.get("held_out", 0)
        together = self.batch_size * (self.device_count if self.batch_per == "device" else 1)
        if together > images:
            raise ValueError(f"batch_size: {together:,} in all are more than the {images:,} training images")
        return self

    @model_validator(mode="before")
    @classmethod
    def _leave_out_what_says_nothing(cls, value: Any) -> Any:
        """Drop values that change nothing, so that the cell is the same as without the key."""
        if not isinstance(value, dict):
            return value
        usual: dict[str, Any] = {
            key: None for key, kind in cls._kinds().items() if key in value and value[key] is kind.says_nothing
        }
        for key in ("devices", "nodes"):
            if value.get(key) == 1 and type(value[key]) is int:
                usual[key] = None
        if value.get("batch_per") == "global" or (
            value.get("batch_per") == "device" and value.get("devices") in (None, 1)
        ):
            usual["batch_per"] = None
        return {**value, **usual}

    @classmethod
    def _kinds(cls) -> dict[str, type[Ingredient]]:
        """The class of every ingredient that a recipe can have, by its key."""
        alternatives = {key: get_args(field.annotation) for key, field in cls.model_fields.items()}
        return {
            key: kind
            for key, kinds in alternatives.items()
            for kind in kinds
            if isinstance(kind, type) and issubclass(kind, Ingredient)
        }

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.device_count % self.node_count:
            raise ValueError(
                f"nodes: {self.nodes} hosts cannot share {self.device_count} devices evenly; set devices to a multiple"
            )
        for key, size in self.step_sizes.items():
            if self.batch_per is None and size % self.device_count:
                raise ValueError(
                    f"{key}: {size} cannot be shared evenly by {self.devices} devices; "
                    "take a multiple, or batch_per: device to give each so many"
                )
        for key, name in self.optimizer_names.items():
            if name == "adamw" and self.precision == "pure_fp16":
                raise ValueError(
                    f"{key}.name: adamw divides by squares of gradients, most of which are 0 in pure_fp16; "
                    "set precision to fp16 or pure_bf16, or take another optimiser"
                )
        for key, ingredient in self.ingredients.items():
            ingredient.check(key, self)
        return self

    @property
    def ingredients(self) -> dict[str, Ingredient]:
        """What the recipe adds to plain training, by key, in the order of the fields."""
        return {key: value for key, value in self if isinstance(value, Ingredient)}

    @property
    def step_sizes(self) -> dict[str, int]:
        """The examples of a step, by the key that sets the number."""
        stages = self.batch_sizes.stages if self.batch_sizes else []
        smaller = {f"batch_sizes.stages.{index}.examples": stage.examples for index, stage in enumerate(stages)}
        return {"batch_size": self.batch_size, **smaller}

    @property
    def parts_of_a_step(self) -> int:
        return self.accumulate.root if self.accumulate else 1

    @property
    def optimizer_names(self) -> dict[str, str]:
        """By key; a role without a name of its own has the network's optimiser."""
        groups = {f"optimizer.groups.{role}": group.name for role, group in self.optimizer.groups.items()}
        return {"optimizer": self.optimizer.name, **{key: name for key, name in groups.items() if name}}

    @property
    def schedule_name(self) -> str:
        return self.schedule.name

    @property
    def only_measure(self) -> str | None:
        """The only measure of a recipe that trains nothing."""
        return next((name for name in TRAIN_NOTHING if getattr(self, name) is not None), None)

    @property
    def device_count(self) -> int:
        return self.devices or 1

    @property
    def node_count(self) -> int:
        return self.nodes or 1

    @property
    def devices_of_a_node(self) -> int:
        return self.device_count // self.node_count

    def of_one_device(self, examples: int) -> int:
        """How many of these examples one of the recipe's devices gets."""
        return examples if self.batch_per == "device" else examples // self.device_count

    def for_inference(self) -> Recipe:
        """The recipe for timing inference: values of `inference` replace those for training."""
        said = self.inference.model_dump(exclude={"fuse", "mirror"}, exclude_none=True) if self.inference else {}
        if "winograd" in said:
            said["winograd"] = WinogradConfig.model_validate(said["winograd"]) if said["winograd"] else None
        elif said.get("compile") or said.get("precision") == "int8":
            # What is compiled would be in pieces between convs of this form, and there are none in int8.
            said["winograd"] = None
        # What is fused with an activation cannot be folded into a conv, which `fuse` asks for and which is faster.
        return self.model_copy(update={**said, "fused_activations": None})

    def of_proxy(self) -> Recipe | None:
        """A recipe of the proxy's network; None without a proxy."""
        if self.proxy is None:
            return None
        model = Named.model_validate({**self.model.model_dump(), **self.proxy.model})
        return self.model_copy(update={"model": model, "proxy": None, "freeze": None})

    def config(self) -> dict[str, Any]:
        """Every value except texts, as plain JSON types; a user's code and data are represented by hashes instead of
        paths."""
        return portable(self._config())

    def own_things(self, measure: str = "time_to_accuracy") -> list[dict[str, str]]:
        """What a record says of the user's network, data, measure and so on: kind, name, path and hash of each."""
        return described(self._config() | {"measure": measure})

    def _config(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude=set(WORDS))


def _is_finite(value: Any) -> bool:
    """Whether no number in it is a NaN or an infinity."""
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
