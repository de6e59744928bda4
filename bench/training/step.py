"""One step of a training: from a batch to changed weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace

from torch import Tensor, nn

from bench.training.cuda_graph import StepFunction
from bench.training.curriculum import WHOLE, Stage
from bench.training.examples import Examples
from bench.training.hook import Hook, overridden
from bench.training.loss import Loss
from bench.training.optimizers import Optimizers
from bench.training.precision import Precision
from bench.training.ranks import ALONE, Ranks
from bench.training.sizes import resized


class TrainingStep:
    """Trains `model` through `forward`: the model itself, or its compiled form.

    `accumulate` parts of a batch go through the network one after the other, and their gradients are added up. `hooks`
    choose, mix and watch the examples. `make_graph` records a step as a CUDA graph (`Captured`) where `capture` is
    called; later steps of that kind replay it.
    """

    def __init__(
        self,
        model: nn.Module,
        forward: nn.Module,
        make_optimizers: Callable[[], Optimizers],
        precision: Precision,
        loss: Loss,
        hooks: Sequence[Hook] = (),
        accumulate: int = 1,
        ranks: Ranks = ALONE,
        make_graph: Callable[[StepFunction, Sequence[Tensor]], StepFunction] | None = None,
    ) -> None:
        self.model, self.forward, self.ranks = model, forward, ranks
        self.make_optimizers, self.precision, self.loss, self.hooks = make_optimizers, precision, loss, hooks
        self._accumulate, self._make_graph = accumulate, make_graph
        self._choose, self._mix, self._note = (overridden(hooks, name) for name in ("choose", "mix", "note"))
        self._captured: dict[tuple[Stage, tuple[bool, ...]], StepFunction] = {}
        self._captured_optimizers: Optimizers | None = None

    @property
    def captures(self) -> bool:
        """Whether steps are to be captured in the warm-up."""
        return self._make_graph is not None

    @property
    def asks_for_numbers(self) -> bool:
        """Whether some hook notes the loss of each image, which it knows by its number."""
        return bool(self._note)

    def __call__(self, batch: Examples, optimizers: Optimizers, position: float, stage: Stage = WHOLE) -> Tensor:
        """The loss of a step on the batch, float32 [] on the device, at `position` (see `Hook`)."""
        optimizers.set_progress(position, stage.lr_factor)
        for choose in self._choose:
            batch = choose(_resized(batch, stage), position, stage.lr_factor)
        if optimizers is self._captured_optimizers and (graph := self._captured.get((stage, optimizers.stopped))):
            return graph(*batch.tensors)
        return self._compute(batch, optimizers, position, stage)

    def count(self, examples: int) -> int:
        """How many of a batch of so many examples are trained on."""
        for hook in self.hooks:
            examples = hook.count(examples)
        return examples

    def begin(self) -> Optimizers:
        """The optimisers of a run that begins now."""
        optimizers = self._captured_optimizers or self.make_optimizers()
        for hook in self.hooks:
            hook.begin()
        return optimizers

    def rehearse(self, batch: Examples, position: float, stage: Stage) -> None:
        """Let the hooks compile and tune for such a batch."""
        for hook in self.hooks:
            hook.rehearse(_resized(batch, stage), position, stage.lr_factor)

    def capture(self, batch: Examples, optimizers: Optimizers, position: float, stage: Stage) -> None:
        """Capture this step, which really runs, too: from now on such steps with these optimisers are replayed."""
        optimizers.set_progress(position, stage.lr_factor)

        def work(images: Tensor, labels: Tensor, numbers: Tensor | None = None) -> Tensor:
            return self._compute(Examples(images, labels, numbers), optimizers, position, stage)

        assert self._make_graph is not None
        self._captured[stage, optimizers.stopped] = self._make_graph(work, batch.tensors)
        self._captured_optimizers = optimizers

    def take_over(self, before: TrainingStep) -> None:
        """Replay what `before`, of the same network by the same recipe, has captured.

        Its optimisers and hooks begin anew, in the memory that the captured steps know.
        """
        self._captured, self._captured_optimizers = before._captured, before._captured_optimizers
        if self._captured_optimizers:
            self._captured_optimizers.reset()
        for hook, earlier in zip(self.hooks, before.hooks, strict=True):
            hook.take_over(earlier)

    def _compute(self, batch: Examples, optimizers: Optimizers, position: float, stage: Stage) -> Tensor:
        """What of a step the device does, once the learning rates are set."""
        batch = _resized(batch, stage)
        for mix in self._mix:
            batch = mix(batch, position)
        *parts, last = batch.split(self._accumulate)
        losses = []
        if parts:
            # DDP exchanges gradients once they are complete.
            with getattr(self.forward, "no_sync", nullcontext)():
                losses = [self._backward(part) for part in parts]
        loss = sum(losses, start=self._backward(last))
        self.precision.step(optimizers.all)
        optimizers.zero_grad()
        return loss

    def _backward(self, part: Examples) -> Tensor:
        """Add the gradients of a part of the batch to those of the parts before it; its part of the loss."""
        with self.precision.autocast():
            logits = self.forward(part.images)
        if self._note and part.numbers is not None:
            each = self.loss.of_each(logits, part.labels)
            for note in self._note:
                note(part.numbers, each.detach())
            loss = self.loss.reduced(each)
        else:
            loss = self.loss(logits, part.labels, part.others, part.share)
        summed = self.loss.reduction == "sum"
        if self._accumulate > 1 and not summed:
            loss = loss / self._accumulate
        # The ranks' gradients are averaged; those of a sum are to be added up.
        self.precision.backward(loss * self.ranks.count if summed and self.ranks.count > 1 else loss)
        return loss.detach()


def _resized(batch: Examples, stage: Stage) -> Examples:
    images = resized(batch.images, stage.pixels, stage.antialias)
    return batch if images is batch.images else replace(batch, images=images)
