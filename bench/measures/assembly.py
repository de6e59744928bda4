"""From a recipe to a trainer: the one place where names become objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from bench import models
from bench.documents.document import nearest
from bench.errors import MissingError, UsageError
from bench.host.clock import Clock
from bench.ingredients.configs import Freeze, OptimizerGroup
from bench.ingredients.cutmix import CutMix
from bench.ingredients.ema import Ema
from bench.ingredients.ghost_norm import use_ghost_batches
from bench.ingredients.hard_examples import HardExamples, ShortEpochs
from bench.ingredients.layer_rates import rate_factors
from bench.ingredients.lookahead import Lookahead
from bench.ingredients.registries import SCHEDULES
from bench.ingredients.winograd import use_winograd
from bench.models import MODELS, ImpossibleModel
from bench.models.own import check_output
from bench.pipelines.augment import Augment
from bench.pipelines.augmentations import augmentation
from bench.pipelines.dataset import Dataset
from bench.pipelines.loader import Loader, Placement, Shard
from bench.pipelines.loaders import make_loader
from bench.spec.recipe import Recipe
from bench.training.compiled import compiled
from bench.training.cuda_graph import Captured
from bench.training.in_place import become
from bench.training.loop import Batches, Goal, Trainer
from bench.training.loss import Loss
from bench.training.optimizers import Optimizers
from bench.training.plan import Plan
from bench.training.precision import Precision
from bench.training.proxy import Proxy
from bench.training.ranks import ALONE, Ranks
from bench.training.schedules import Schedule, own, warmed_up

MEMORY_FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}


def build_model(recipe: Recipe, data: Dataset) -> nn.Module:
    """The recipe's network for this data, on the CPU in fp32, from the current random state.

    Raises `ImpossibleModel` where it cannot be built, or not for every size of images that it is to train on.
    """
    channels, height, width = data.image_shape
    name, options = recipe.model.name, recipe.model.options
    for index, size in enumerate(recipe.image_sizes or []):
        try:
            models.check(name, options, in_channels=channels, classes=data.classes, image_size=size.pixels)
        except ImpossibleModel as error:
            key = f"image_sizes.{index}.pixels"
            raise ImpossibleModel(f"{key}: {size.pixels} does not suit this network: {error}") from None
    model = models.build(name, options, in_channels=channels, classes=data.classes, image_size=min(height, width))
    if name not in MODELS:
        check_own_output(recipe, model, data)
    for index, stage in enumerate(recipe.freeze or []):
        check_part(f"freeze.{index}.part", stage.part, model)
    _rate_factors(recipe, model)
    if recipe.ghost_batch:
        try:
            use_ghost_batches(model, recipe.ghost_batch)
        except ValueError as error:
            raise ImpossibleModel(str(error)) from None
    _drop_batch_counters(model)
    return model


def check_own_output(recipe: Recipe, model: nn.Module, data: Dataset) -> None:
    """Raise `UsageError` where a user's network does not answer in the right shape, at every size of the images."""
    channels, height, width = data.image_shape
    found, shapes = MODELS.find(recipe.model.name), [(channels, height, width)]
    for size in recipe.image_sizes or []:
        scale = size.pixels / min(height, width)
        shapes.append((channels, round(height * scale), round(width * scale)))
    for shape in shapes:
        check_output(found, model, shape, data.classes)


def _drop_batch_counters(model: nn.Module) -> None:
    """Let batch norms with a momentum count no batches, which nothing reads: on a GPU a kernel a norm and step."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.momentum is not None:
            module.num_batches_tracked = None


def quicken(recipe: Recipe, model: nn.Module, device: str) -> dict[str, Any]:
    """Let Winograd's form of convs do what the recipe lets it do on `device`; what the record says of it.

    Raises `UsageError` and `MissingError` where the recipe insists on what cannot be here; `auto` goes without.
    """
    if not recipe.winograd:
        return {}
    if device != "cpu":
        if recipe.winograd == "auto":
            return {"winograd": 0}
        raise UsageError("winograd: it is made for a CPU; write winograd: auto, or leave it out on a GPU")
    try:
        return {"winograd": use_winograd(model)}
    except MissingError as error:
        if recipe.winograd == "auto":
            return {"winograd": 0, "winograd_lacks": str(error)}
        raise MissingError(f"winograd: {error}; winograd: auto goes without") from None


def check_part(key: str, part: str, model: nn.Module) -> None:
    """Raise `ImpossibleModel` where the network has no such module, or nothing in it is trained."""
    parts = [name for name, module in model.named_modules() if name and any(True for _ in module.parameters())]
    if part not in parts:
        top = [name for name in parts if name.count(".") < 2]
        raise ImpossibleModel(f"{key}: this network has no {part!r}{nearest(part, parts)}; it has {', '.join(top)}")


def build_loader(
    recipe: Recipe,
    data: Dataset,
    split: Literal["train", "test"],
    placement: Placement,
    seed: int,
    workers: int | None,
    cache: Path | None,
    shard: Shard | None = None,
) -> Loader:
    """The recipe's loader of a split, on one of its devices.

    Raises `UsageError` for a text with an ingredient that is made for images.
    """
    if data.streams is not None:
        check_suits_text(recipe)
    size = recipe.of_one_device(recipe.batch_size) if split == "train" else recipe.evaluation.batch_size
    augment = Augment(**recipe.augment.model_dump(exclude={"then"}))
    loader = make_loader(recipe.loader, data, split, size, augment, placement, seed, workers, cache, shard)
    if split == "train":
        loader.then = tuple(augmentation(named.name, named.options) for named in recipe.augment.then or ())
    return loader


def check_suits_text(recipe: Recipe) -> None:
    """Raise `UsageError` for an ingredient that needs images, or that chooses among examples, which a text has not."""
    asked = {
        "cutmix": recipe.cutmix,
        "drop_easy": recipe.drop_easy,
        "proxy": recipe.proxy,
        "image_sizes": recipe.image_sizes,
        "batch_sizes": recipe.batch_sizes,
        "evaluation.tta": recipe.evaluation.tta or recipe.evaluation.epoch_tta,
        "devices": recipe.device_count > 1,
    }
    for key, value in asked.items():
        if value:
            raise UsageError(f"{key}: {recipe.data.name} is a text, which this does not suit; leave it out")


def init_from_data(model: nn.Module, data: Dataset, device: torch.device) -> None:
    """Let a network that asks for it look at the first `init_images` training images, normalised, on the device."""
    init = getattr(model, "init_from_data", None)
    if callable(init):
        init(normalised(data, getattr(model, "init_images", len(data.train)), device))


def normalised(data: Dataset, count: int, device: torch.device) -> torch.Tensor:
    """The first `count` training images, float32 [count, C, H, W], with zero mean and unit deviation."""
    images = torch.from_numpy(data.train.images[:count]).to(device).float() / 255
    mean, std = (torch.tensor(values, device=device).view(1, -1, 1, 1) for values in (data.mean, data.std))
    return (images - mean) / std


def check_graph(recipe: Recipe, is_cuda: bool) -> None:
    """Raise `UsageError` for a recipe that asks for a graph where there are none."""
    if recipe.cuda_graph and not is_cuda:
        raise UsageError(
            "cuda_graph: only a CUDA device has graphs; leave it out on a CPU, or write it under on_cuda, as in "
            "on_cuda: {cuda_graph: true}"
        )


def build_trainer(
    recipe: Recipe,
    model: nn.Module,
    precision: Precision,
    train: Batches,
    test: Batches,
    clock: Clock,
    report: Any,
    ranks: Ranks = ALONE,
    fused: bool | None = None,
    before: Trainer | None = None,
    data: Dataset | None = None,
) -> Trainer:
    """A trainer of `model`, which is already on its device in `precision`; `fused` is that of `Optimizers`.

    What `before`, an earlier trainer of the same network by the same recipe, has compiled and captured is used again;
    all other state is new. `data` is what a proxy's network is built and initialised for, and needed where the recipe
    has one.
    """
    check_graph(recipe, precision.device.is_cuda)
    goal = Goal(
        epochs=recipe.epochs,
        target_accuracy=recipe.target_accuracy,
        target_loss=recipe.target_loss,
        stop_at_target=recipe.stop_at_target,
        tta=recipe.evaluation.tta,
        epoch_tta=recipe.evaluation.epoch_tta,
        eval_every_epochs=recipe.evaluation.every_epochs,
        tta_below=recipe.evaluation.tta_below,
        first_eval_epoch=recipe.evaluation.first_epoch or 1,
        equal_views=bool(recipe.evaluation.equal_views),
    )
    plan = build_plan(recipe, train.steps_per_epoch)
    schedule = build_schedule(recipe, plan)
    if before:
        forward = before.forward
    else:
        forward = ranks.wrap(model)
        if recipe.compile:
            forward = compiled(forward, len(plan.stages), _freezings(recipe))

    def settings_of(group: OptimizerGroup) -> dict[str, Any]:
        settings = group.settings()
        return settings | {"epochs": plan.passes(group.epochs)} if group.epochs is not None else settings

    def make_averages() -> list[Lookahead | Ema]:
        lookahead, ema = recipe.lookahead, recipe.ema
        averages: list[Lookahead | Ema] = []
        if lookahead:
            averages.append(Lookahead(model, lookahead.every, lookahead.decay))
        if ema:
            averages.append(Ema(model, ema.decay, ema.every, ema.start))
        return averages

    def make_optimizers(model: nn.Module = model, freeze: Sequence[Freeze] = recipe.freeze or ()) -> Optimizers:
        return Optimizers(
            model,
            recipe.optimizer.settings(),
            {role: settings_of(group) for role, group in recipe.optimizer.groups.items()},
            schedule,
            plan.total_batches,
            train.steps_per_epoch,
            # DDP waits for the gradient of every parameter.
            drop_frozen=ranks.count == 1,
            freeze={stage.part: stage.after for stage in freeze},
            fused=fused,
            lr_on=precision.device.torch if recipe.cuda_graph else None,
            rate_factors=_rate_factors(recipe, model),
        )

    loss = Loss(recipe.loss.label_smoothing, recipe.loss.reduction)

    def make_proxy() -> Proxy | None:
        of_proxy, said = recipe.of_proxy(), recipe.proxy
        if of_proxy is None or said is None:
            return None
        assert data is not None
        net = build_model(of_proxy, data)
        init_from_data(net, data, precision.device.torch)
        precision.prepare(net, MEMORY_FORMATS[recipe.memory_format])
        if before and before.proxy:
            become(before.proxy.model, net)
            net, through = before.proxy.model, before.proxy.forward
        else:
            through = compiled(net, 2 * len(plan.stages), _freezings(of_proxy)) if recipe.compile else net
        return Proxy(net, through, lambda: make_optimizers(net, ()), precision, loss, said.kept, said.every)

    trainer = Trainer(
        model,
        forward,
        make_optimizers,
        precision,
        loss,
        goal,
        train,
        test,
        clock,
        make_averages,
        report,
        ranks,
        plan,
        recipe.accumulate or 1,
        # The seed of the run, which torch was given; of several ranks each has one of its own.
        CutMix(**recipe.cutmix.model_dump(), seed=torch.initial_seed()) if recipe.cutmix else None,
        # Where steps are counted alone, there are no images to choose from.
        HardExamples(train, precision.device.torch) if recipe.drop_easy and isinstance(train, Loader) else None,
        Captured if recipe.cuda_graph else None,
        make_proxy(),
    )
    if before:
        trainer.take_over(before)
    return trainer


def _rate_factors(recipe: Recipe, model: nn.Module) -> dict[nn.Parameter, float]:
    """Of each parameter that does not have the recipe's rate. Raises `ImpossibleModel` for more groups than layers."""
    if recipe.layer_rates is None:
        return {}
    try:
        return rate_factors(model, recipe.layer_rates.first, recipe.layer_rates.groups)
    except ValueError as error:
        raise ImpossibleModel(f"layer_rates.{error}") from None


def _freezings(recipe: Recipe) -> int:
    """How often less is trained than before: a role that stops, or a part that is frozen."""
    return sum(group.epochs is not None for group in recipe.optimizer.groups.values()) + len(recipe.freeze or [])


def build_schedule(recipe: Recipe, plan: Plan) -> Schedule:
    name, options = recipe.schedule.name, recipe.schedule.model_dump(exclude={"name"})
    schedule: Schedule = SCHEDULES.load(name)(**options) if name in SCHEDULES else own(SCHEDULES.find(name), options)
    warm_up = recipe.lr_warm_up
    if warm_up is None:
        return schedule
    return warmed_up(schedule, plan.passes(warm_up.epochs) / plan.passes(recipe.epochs), warm_up.start)


def build_plan(recipe: Recipe, batches_per_epoch: int) -> Plan:
    """In how many steps and at how many pixels each batch of the run is trained on."""
    smaller, drop = recipe.batch_sizes, recipe.drop_easy
    return Plan(
        recipe.epochs,
        batches_per_epoch,
        [(size.until, size.pixels) for size in recipe.image_sizes or []],
        [(stage.until, recipe.batch_size // stage.examples) for stage in (smaller.stages if smaller else [])],
        scale_lr=smaller is not None and smaller.scale_lr,
        short=ShortEpochs.between(drop.start, drop.until, recipe.epochs, drop.kept, drop.every) if drop else None,
        antialias=recipe.antialias is None,
    )
