"""Time to accuracy: load, build, train and evaluate what a recipe says, every phase a span."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from bench import assembly
from bench.clock import Clock
from bench.measures.base import Measure, made_up_batch, parameter_count
from bench.run import Status
from bench.training.flops import training_flops
from bench.training.loop import Trainer
from bench.training.sizes import resized

if TYPE_CHECKING:
    from bench.worker import Job, Teller


class TimeToAccuracy(Measure):
    """Trains to the end or to the target, and says whether it was reached."""

    def __init__(self, job: Job, clock: Clock, tell: Teller) -> None:
        super().__init__(job, clock, tell)
        self.metrics["target_accuracy"] = job.recipe.target_accuracy
        self._trainer: Trainer | None = None

    def measure(self, open_loaders: ExitStack) -> tuple[Status, str | None]:
        recipe, clock = self.recipe, self.clock
        data, (train, test) = self.load(open_loaders, "train", "test")
        model = self.build(data)
        with clock.span("init"):
            self.prepare(model, data)
            trainer = assembly.build_trainer(
                recipe, model, self.precision, train, test, clock, self._report, self.ranks
            )
        self._trainer = trainer
        images, labels = made_up_batch(self.batch_size, data, self.placement)
        with clock.span("compile"):
            train.warm_up()
            test.warm_up()
            if recipe.compile:
                trainer.warm_up(recipe.warm_up_steps, images, labels)
        if recipe.warm_up_steps and not recipe.compile:
            with clock.span("warm_up"):
                trainer.warm_up(recipe.warm_up_steps, images, labels)
        trainer.run()
        self.metrics["forward_flops_per_example"] = self.forward_flops(model, images)
        self.metrics["train_flops"] = sum(
            training_flops(self.forward_flops(model, resized(images[:1], pixels)), examples)
            for pixels, examples in trainer.examples_by_pixels.items()
        )
        return self._verdict(trainer)

    def end(self, status: Status, reason: str | None) -> None:
        if self._trainer is not None:
            self.metrics |= self._training_metrics(self._trainer)
        super().end(status, reason)

    def _training_metrics(self, trainer: Trainer) -> dict[str, Any]:
        train_s = self.clock.total_s("train")
        return {
            "accuracy": trainer.accuracy,
            "reached": trainer.goal.reached_by(trainer.accuracy) if trainer.goal.target_accuracy else None,
            "epochs": trainer.epochs,
            "steps": trainer.step,
            "examples": trainer.examples,
            "loss": trainer.rows[-1]["loss"] if trainer.rows else None,
            "train_s": train_s,
            **self._train_s_by_rank(),
            "samples_per_s": trainer.examples / train_s if trainer.examples else None,
            "time_to_target_s": trainer.time_to_target_s,
            "parameters": parameter_count(trainer.model),
        }

    def _train_s_by_rank(self) -> dict[str, float]:
        """Of several ranks, the seconds that each itself was in training."""
        epochs = [span.rank_s for span in self.clock.spans if span.name == "train" and span.rank_s]
        return {f"train_s_rank{rank}": sum(seconds) for rank, seconds in enumerate(zip(*epochs, strict=True))}

    @staticmethod
    def _verdict(trainer: Trainer) -> tuple[Status, str | None]:
        target, accuracy = trainer.goal.target_accuracy, trainer.accuracy
        if target is None or trainer.goal.reached_by(accuracy):
            return "ok", None
        return "not_reached", f"accuracy {accuracy:.2%} is below the target of {target:.2%}"

    def _report(self, event: dict[str, Any]) -> None:
        self.tell(**event)
