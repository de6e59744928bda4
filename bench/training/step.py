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

# Images, their new shorter side in pixels, and whether with antialiasing.
Resize = Callable[[Tensor, int, bool], Tensor]


class TrainingStep:
    """Trains `model` through `forward`: the model itself, or its compiled form.

    A batch goes through the network in `accumulate` parts, whose gradients are summed. `hooks` choose, mix and watch
    the examples. `capture` records a step as a CUDA graph by `make_graph` (`Captured`); later steps of that kind replay
    it. `resize` is `sizes.resized`, or its compiled form.
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
        resize: Resize = resized,
    ) -> None:
        self.model, self.forward, self.ranks, self.resize = model, forward, ranks, resize
        self.make_optimizers, self.precision, self.loss, self.hooks = make_optimizers, precision, loss, hooks
        self._accumulate, self._make_graph = accumulate, make_graph
        self._choose, self._mix, self._note = (overridden(hooks, name) for name in ("choose", "mix", "note"))
        self._captured: dict[tuple[Stage, tuple[bool, ...]], StepFunction] = {}
        self._captured_optimizers: Optimizers | None = None

    @property
    def captures(self) -> bool:
        """Whether the warm-up captures steps."""
        return self._make_graph is not None

    @property
    def asks_for_numbers(self) -> bool:
        """Whether some hook records the loss of each image by its number."""
        return bool(self._note)

    def __call__(self, batch: Examples, optimizers: Optimizers, position: float, stage: Stage = WHOLE) -> Tensor:
        """The loss of a step on the batch, float32 [] on the device, at `position` (see `Hook`)."""
        optimizers.set_progress(position, stage.lr_factor)
        for choose in self._choose:
            batch = choose(self._resized(batch, stage), position, stage.lr_factor)
        if optimizers is self._captured_optimizers and (graph := self._captured.get((stage, optimizers.stopped))):
            return graph(*batch.tensors)
        return self._compute(batch, optimizers, position, stage)

    def count(self, examples: int) -> int:
        """How many examples of a batch of this size are trained on."""
        for hook in self.hooks:
            examples = hook.count(examples)
        return examples

    def begin(self) -> Optimizers:
        """Make the optimisers of a run that begins now."""
        optimizers = self._captured_optimizers or self.make_optimizers()
        for hook in self.hooks:
            hook.begin()
        return optimizers

    def rehearse(self, batch: Examples, position: float, stage: Stage) -> None:
        """Let the hooks compile and tune for this kind of batch."""
        for hook in self.hooks:
            hook.rehearse(self._resized(batch, stage), position, stage.lr_factor)

    def capture(self, batch: Examples, optimizers: Optimizers, position: float, stage: Stage) -> None:
        """Capture this step, which also runs; from now on such steps with these optimisers are replayed."""
        optimizers.set_progress(position, stage.lr_factor)

        def work(images: Tensor, labels: Tensor, numbers: Tensor | None = None) -> Tensor:
            return self._compute(Examples(images, labels, numbers), optimizers, position, stage)

        assert self._make_graph is not None
        self._captured[stage, optimizers.stopped] = self._make_graph(work, batch.tensors)
        self._captured_optimizers = optimizers

    def take_over(self, before: TrainingStep) -> None:
        """Replay the captured steps of `before`, of the same network and recipe.

        Its optimisers and hooks are reset in the memory that the captured steps use.
        """
        self._captured, self._captured_optimizers = before._captured, before._captured_optimizers
        if self._captured_optimizers:
            self._captured_optimizers.reset()
        for hook, earlier in zip(self.hooks, before.hooks, strict=True):
            hook.take_over(earlier)

    def _compute(self, batch: Examples, optimizers: Optimizers, position: float, stage: Stage) -> Tensor:
        """The device's part of a step, after the learning rates are set."""
        batch = self._resized(batch, stage)
        for mix in self._mix:
            batch = mix(batch, position)
        *parts, last = batch.split(self._accumulate)
        losses = []
        if parts:
            # DDP exchanges gradients when they are complete.
            with getattr(self.forward, "no_sync", nullcontext)():
                losses = [self._backward(part) for part in parts]
        loss = sum(losses, start=self._backward(last))
        self.precision.step(optimizers.all)
        optimizers.zero_grad()
        return loss

    def _backward(self, part: Examples) -> Tensor:
        """Add the gradients of a part of the batch to those of earlier parts; returns its part of the loss."""
        with self.precision.autocast():
            logits = self.forward(part.images)
        if self._note and part.numbers is not None:
            each = self.loss.of_each(logits, part.labels, part.soft_labels)
            for note in self._note:
                note(part.numbers, each.detach())
            loss = self.loss.reduced(each)
        else:
            loss = self.loss(logits, part.labels, part.others, part.share, part.soft_labels)
        summed = self.loss.reduction == "sum"
        if self._accumulate > 1 and not summed:
            loss = loss / self._accumulate
        # Ranks' gradients are averaged, but those of a sum must be added.
        self.precision.backward(loss * self.ranks.count if summed and self.ranks.count > 1 else loss)
        return loss.detach()

    def _resized(self, batch: Examples, stage: Stage) -> Examples:
        if stage.pixels is None:
            return batch
        return replace(batch, images=self.resize(batch.images, stage.pixels, stage.antialias))
