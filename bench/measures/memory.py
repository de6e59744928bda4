"""Memory: the bytes that one training step must hold, counted and not sampled."""

from __future__ import annotations

from contextlib import ExitStack

from bench.measures.base import Measure, parameter_count
from bench.runs.run import Status
from bench.training.activations import KeptActivations, tensor_bytes
from bench.training.examples import Examples


class Memory(Measure):
    """One training step on the recipe's first batch, under autograd's own hooks.

    `activation_bytes` is what the forward pass keeps for the backward pass, each storage once and the weights never.
    The count is the same in every run. It does not include rounding by allocators or workspace of kernels.
    """

    def measure(self, open_loaders: ExitStack) -> tuple[Status, str | None]:
        clock = self.clock
        data, (train,) = self.load(open_loaders, "train")
        model = self.build(data)
        with clock.span("init"):
            trainer = self.trainer(model, data, train)
            optimizers = trainer.train_step.make_optimizers()
        with clock.span("warm_up"):
            train.warm_up()
            images, labels = next(train.epoch(0))
        with clock.span("measure"), KeptActivations(model.parameters()) as kept:
            trainer.train_step(Examples(images, labels), optimizers, 0)
        self.metrics |= {
            "activation_bytes": kept.total_bytes,
            "activation_bytes_per_example": kept.total_bytes / len(images),
            "weight_bytes": tensor_bytes(model.state_dict().values()),
            "parameters": parameter_count(model),
            "forward_flops_per_example": self.forward_flops(model, images),
        }
        return "ok", None
