"""Time to accuracy: load, build, train and evaluate a recipe, with a span for every phase."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bench.host.clock import Clock
from bench.host.gc_pause import heap_frozen
from bench.measures import assembly, earlier_part, task_assembly, trained_nets
from bench.measures.base import Measure, made_up_batch, parameter_count, verdict
from bench.measures.checkpoints import Checkpoints, saved_state
from bench.measures.pictures import PictureFolder
from bench.pipelines.dataset import Dataset
from bench.pipelines.loader import Loader
from bench.runs import weights_file
from bench.runs.run import Status
from bench.training.compiled import load_compiler
from bench.training.flops import training_flops
from bench.training.in_place import become
from bench.training.loop import Loop
from bench.training.sizes import resized
from bench.training.state import State
from bench.training.task_trainer import TaskTrainer
from bench.training.trained_net import TrainedNet
from bench.training.trainer import Trainer

if TYPE_CHECKING:
    from bench.measures.base import Tell
    from bench.spec.job import Job


# Phases that only the first run in a shared process goes through.
PAID_ONCE = ("start", "import", "device", "data", "compile", "warm_up")


@dataclass(frozen=True)
class Scene:
    """What the seeds of a shared process have in common besides the network: data, loaders, networks trained earlier,
    and a synthetic batch.

    `shared_s` are the seconds of PAID_ONCE, which the first seed spent for all.
    """

    data: Dataset
    train: Loader
    test: Loader
    nets: Mapping[str, TrainedNet]
    images: Tensor
    shared_s: dict[str, float]


class TimeToAccuracy(Measure):
    """Trains to the end or to the target, and reports whether it was reached."""

    def __init__(self, job: Job, clock: Clock, tell: Tell) -> None:
        super().__init__(job, clock, tell)
        self.metrics["target_accuracy"] = job.recipe.target_accuracy
        if job.recipe.target_loss is not None:
            self.metrics["target_loss"] = job.recipe.target_loss
        if job.recipe.target_quality is not None:
            self.metrics["target_quality"] = job.recipe.target_quality
        self._trainer: Loop | None = None
        self._scene: Scene | None = None
        self._pictures = PictureFolder(job.pictures)

    def measure(self, open_loaders: ExitStack) -> tuple[Status, str | None]:
        recipe, clock = self.recipe, self.clock
        data, (train, test) = self.load(open_loaders, "train", "test")
        if self.job.resume is not None:
            self.job.resume.check_data(data.fingerprint)
        model = self.build(data)
        self._rehearse(model, data)
        with clock.span("init"):
            self.prepare(model, data)
            nets = trained_nets.load(self.job.nets, recipe, data, self.precision)
            self._trainer = trainer = self._make_trainer(model, data, train, test, nets)
        images, labels = made_up_batch(self.batch_size, data, self.placement)
        with clock.span("compile"):
            train.warm_up()
            test.warm_up()
            if recipe.compile or recipe.cuda_graph:
                self._warm_up(trainer, images, labels)
            if recipe.cuda_graph:
                # Once more, because a capture gives back what is unused, the memory that the loader has pinned too.
                train.warm_up()
        if self._warm_up_steps and not (recipe.compile or recipe.cuda_graph):
            with clock.span("warm_up"):
                self._warm_up(trainer, images, labels)
        spent = {name: clock.total_s(name) for name in dict.fromkeys(span.name for span in clock.spans)}
        shared_s = {name: seconds for name, seconds in spent.items() if name in PAID_ONCE and seconds > 0}
        self._scene = Scene(data, train, test, nets, images, shared_s)
        return self._train(trainer, images, saved_state(self))

    def measure_after(self, before: TimeToAccuracy) -> tuple[Status, str | None]:
        """Train the network of `before`, after resetting weights, random draws and order for the new seed."""
        scene, earlier, clock = before._scene, before._trainer, self.clock
        assert scene is not None
        assert earlier is not None
        self._scene = scene
        self.tell_data(scene.data)
        self.tell_resolved(shared_s=scene.shared_s)
        for loader in (scene.train, scene.test):
            loader.reseed(self.job.seed)
        fresh = self.build(scene.data)
        with clock.span("init"):
            self.prepare(fresh, scene.data)
            become(earlier.model, fresh)
            self._trainer = trainer = self._make_trainer(
                earlier.model, scene.data, scene.train, scene.test, scene.nets, earlier
            )
        del fresh
        with clock.span("warm_up"):
            scene.train.warm_up()
            scene.test.warm_up()
        return self._train(trainer, scene.images)

    def _make_trainer(
        self,
        model: nn.Module,
        data: Dataset,
        train: Loader,
        test: Loader,
        nets: Mapping[str, TrainedNet],
        before: Loop | None = None,
    ) -> Loop:
        """A trainer of the prepared network; programs of `before`, that of an earlier seed, are reused."""
        recipe, clock, seed = self.recipe, self.clock, self.job.seed
        if nets:
            self.tell_resolved(nets={key: net.run_id for key, net in nets.items()})
        if recipe.task is not None:
            made = task_assembly.build_task_trainer(
                recipe, model, data, self.precision, train, test, clock, seed, nets, self._report, self._show
            )
            self.tell_resolved(quality=asdict(made.task.quality))
            return made
        assert isinstance(before, Trainer | None)
        return assembly.build_trainer(
            recipe,
            model,
            self.precision,
            train,
            test,
            clock,
            self._report,
            self.ranks,
            before=before,
            data=data,
            nets=nets,
        )

    def _warm_up(self, trainer: Loop, images: Tensor, labels: Tensor) -> None:
        assert isinstance(trainer, Trainer)  # with a task, a recipe has no warm-up
        trainer.warm_up(self._warm_up_steps, images, labels)

    def _train(self, trainer: Loop, images: Tensor, saved: State | None = None) -> tuple[Status, str | None]:
        """Train to the end, from the state `saved` if there is one, then do the untimed work; returns the status and
        the reason."""
        checkpoints = self._checkpoints(trainer)
        with heap_frozen():
            trainer.run(saved)
        remarks = [earlier_part.remark(self.job.parts), checkpoints.remark if checkpoints else None]
        if self.job.keep_weights:
            remarks.append(self._keep_weights(trainer))
        if isinstance(trainer, Trainer):
            self._count_flops(trainer, images)
        status, reason = _verdict(trainer)
        return status, "; ".join(filter(None, (reason, *remarks, self._pictures.lack))) or None

    def _count_flops(self, trainer: Trainer, images: Tensor) -> None:
        model = trainer.model
        self.metrics["forward_flops_per_example"] = self.forward_flops(model, images)
        with self.precision.autocast():
            self.metrics["train_flops"] = sum(
                examples * training_flops(model, resized(images[:1], pixels), trained)
                for (pixels, trained), examples in trainer.examples_by_work.items()
            )
            beside = sum(hook.flops(images[:1]) for hook in trainer.train_step.hooks)
        # All ranks have equally many examples.
        self.metrics["train_flops"] += beside * self.ranks.count

    def _rehearse(self, model: nn.Module, data: Dataset) -> None:
        """Run the initialisation once on a discarded copy, to pay its one-time costs; recorded as a span.

        Libraries are loaded and kernels selected at first use, and torch.compile imports its compiler. A recipe without
        a warm-up pays for this within its phases.
        """
        recipe = self.recipe
        if not recipe.warm_up_steps:
            return
        with self.clock.span(self._warm_up_phase):
            if recipe.compile:
                load_compiler()
            with torch.random.fork_rng([self.device.torch] if self.device.is_cuda else []):
                self.prepare(copy.deepcopy(model), data)

    def _checkpoints(self, trainer: Loop) -> Checkpoints | None:
        """What writes the run's checkpoints from now on; None if it has none."""
        place, asked = self.job.checkpoints, self.recipe.checkpoint
        if place is None or asked is None:
            return None
        checkpoints = Checkpoints(self, place, asked.every_epochs)
        trainer.after_epoch = checkpoints.after_epoch
        return checkpoints

    @property
    def _warm_up_steps(self) -> int:
        """Those of the recipe. A resumed run on several ranks has at least one, because DDP orders the gradients anew
        after the first step of a process, and sums them in another order before."""
        least = 1 if self.job.resume is not None and self.ranks.count > 1 else 0
        return max(self.recipe.warm_up_steps, least)

    @property
    def _warm_up_phase(self) -> str:
        """The span of the warm-up."""
        return "compile" if self.recipe.compile or self.recipe.cuda_graph else "warm_up"

    def end(self, status: Status, reason: str | None) -> None:
        if self._trainer is not None:
            self.metrics |= self._training_metrics(self._trainer)
        super().end(status, reason)

    def _training_metrics(self, trainer: Loop) -> dict[str, Any]:
        train_s = self.clock.total_s("train")
        return {
            **_judged(trainer),
            "reached": _reached(trainer),
            "epochs": trainer.epochs,
            "steps": trainer.step,
            "examples": trainer.examples,
            "loss": trainer.rows[-1]["loss"] if trainer.rows else None,
            "train_s": train_s,
            **self._train_s_by_rank(),
            "samples_per_s": trainer.examples / train_s if trainer.examples else None,
            **({"batches_per_s": trainer.step / train_s} if self.recipe.task and trainer.step else {}),
            "time_to_target_s": trainer.time_to_target_s,
            "parameters": parameter_count(trainer.model),
        }

    def _train_s_by_rank(self) -> dict[str, float]:
        """The seconds that each of several ranks spent in training."""
        epochs = [span.rank_s for span in self.clock.spans if span.name == "train" and span.rank_s]
        return {f"train_s_rank{rank}": sum(seconds) for rank, seconds in enumerate(zip(*epochs, strict=True))}

    def _keep_weights(self, trainer: Loop) -> str | None:
        """Save the weights that were evaluated last, outside the clock; returns the reason if it failed, which does not
        end the run."""
        path = self.job.keep_weights
        assert path is not None
        named = {key: value for key, value in self.recipe.config()["model"].items() if value is not None}
        assert self._scene is not None
        seen = trained_nets.describe_data(self.recipe, self._scene.data)
        origin = {"run_id": path.stem, "model": json.dumps(named), "data": json.dumps(seen)}
        # All ranks take part, because each has a part of the average; one of them writes it.
        with self.clock.span("checkpoint"), trainer.evaluated() as trained:
            self.ranks.average_buffers(trained)
            if self.ranks.rank:
                return None
            try:
                kept = weights_file.save(weights_file.Weights(weights_file.state_of(trained), origin), path)
            except OSError as error:
                return f"the weights could not be kept in {path}: {error.strerror}"
        # Relative to the results folder, like the log.
        self.tell_resolved(kept_weights={"file": f"runs/weights/{path.name}", "sha256": kept.sha256})
        return None

    def _report(self, event: dict[str, Any]) -> None:
        """Pass on what the training reports of steps, a few times a second, and of epochs."""
        self.energy.look()
        self.tell(**event)

    def _show(self, name: str, epoch: int, picture: Tensor) -> None:
        self._pictures.keep(name, epoch, picture)
        if self._pictures.kept:
            self.tell_resolved(pictures=self._pictures.kept)


def _reached(trainer: Loop) -> bool | None:
    """Whether the target is reached at the end; None if there is no target."""
    goal = trainer.goal
    if not goal.has_target:
        return None
    return goal.reached_by(trainer.quality, trainer.rows[-1]["loss"] if trainer.rows else None)


def _judged(trainer: Loop) -> dict[str, float | None]:
    """How good the weights were at the last evaluation: a classifier's accuracy, or all that a task measures."""
    if not isinstance(trainer, TaskTrainer):
        answers = trainer.answers if isinstance(trainer, Trainer) else None
        return {"accuracy": trainer.quality, "cross_entropy": answers.cross_entropy if answers else None}
    untrained = {f"untrained_{name}": value for name, value in trainer.untrained.items()}
    return {**trainer.measured, **untrained, "loss_quality_correlation": trainer.loss_quality_correlation}


def _verdict(trainer: Loop) -> tuple[Status, str | None]:
    goal, quality, loss = trainer.goal, trainer.quality, trainer.rows[-1]["loss"]
    if isinstance(trainer, TaskTrainer):
        if not goal.has_target or goal.reached_by(quality):
            return "ok", None
        side = "above" if goal.lower_is_better else "below"
        name = trainer.task.quality.name
        return "not_reached", f"{name} {quality:.4g} is {side} the target of {goal.target_quality:g}"
    if goal.target_loss is None:
        return verdict(quality or 0.0, goal.target_accuracy)
    if loss <= goal.target_loss:
        return "ok", None
    return "not_reached", f"training loss {loss:.4g} is above the target of {goal.target_loss:g}"
