"""The rate finder as a measure: the loss while the learning rate grows, and the rate that it suggests."""

from __future__ import annotations

from contextlib import ExitStack

from bench.measures.base import Measure, parameter_count
from bench.runs.run import Status
from bench.spec.measure_options import FindLrOptions
from bench.spec.schedule import Constant
from bench.training.lr_finder import find_rate


class FindLr(Measure):
    """Trains a fresh network of the recipe for a hundred batches or so, at the rates of `find_lr`.

    Nothing is evaluated. The recipe's schedule is left out, and so are its warm-up and its stages of other sizes. The
    curve is in `resolved.curve`: `rate`, `loss` and `smoothed`, an entry each a batch.
    """

    def measure(self, open_loaders: ExitStack) -> tuple[Status, str | None]:
        recipe = self.recipe.model_copy(
            update={"schedule": Constant(name="constant"), "lr_warm_up": None, "compile": False, "cuda_graph": None}
        )
        options = recipe.find_lr or FindLrOptions()
        data, (train,) = self.load(open_loaders, "train")
        model = self.build(data)
        with self.clock.span("init"):
            trainer = self.trainer(model, data, train, recipe)
        with self.clock.span("measure"):
            curve = find_rate(
                trainer,
                recipe.optimizer.lr,
                options.start,
                options.end,
                options.steps,
                lambda step, _: self.tell_step(step, step * train.batch_size),
            )
        self.tell_resolved(curve={"rate": curve.rates, "loss": curve.losses, "smoothed": curve.smoothed})
        self.metrics |= {
            "suggested_lr": curve.suggestion,
            "steepest_lr": None if curve.steepest is None else curve.rates[curve.steepest],
            "best_lr": curve.rates[curve.best],
            "last_lr": curve.rates[-1],
            "steps": len(curve.rates),
            "parameters": parameter_count(model),
        }
        return "ok", None if curve.suggestion else "the loss fell at no rate, so that there is none to suggest"
