"""Loading: images/s of a recipe's training loader by itself."""

from __future__ import annotations

from contextlib import ExitStack

from bench.measures.base import Measure, remarks, seconds
from bench.pipelines.loader import Loader
from bench.runs.run import Status
from bench.statistics.sampling import Samples, sample

LATER_EPOCHS = "later epochs"


class Loading(Measure):
    """Draws whole epochs without using the batches; a sample is an epoch.

    The first epoch includes the loader's one-time costs (workers, compilation), but not its construction, which is in
    the span `data`. Throttling is not checked, because the GPU is mostly idle, and an idle GPU's clock is low.
    """

    def measure(self, open_loaders: ExitStack) -> tuple[Status, str | None]:
        _, (self._train,) = self.load(open_loaders, "train")
        self._epoch = 0
        self._images = self._train.steps_per_epoch * self._train.batch_size
        with self.clock.span("warm_up"):
            first_s = self._epoch_s()
        self.metrics |= {"first_epoch_s": first_s, "first_epoch_images_per_s": self._images / first_s}
        with self.clock.span("measure"):
            figures = sample({LATER_EPOCHS: self._epoch_s}, self.job.sampling, keep=self._keep)
        return "ok", remarks(figures)

    def _keep(self, figures: dict[str, Samples]) -> None:
        later = figures[LATER_EPOCHS]
        self.metrics |= {
            "images_per_s": self._images / later.mean_s,
            "epoch_median_s": later.median_s,
            "epoch_p95_s": later.p95_s,
            "epoch_min_s": later.min_s,
            **later.quality(),
        }

    def _epoch_s(self) -> float:
        epoch_s = seconds(self.timed(lambda: _draw(self._train, self._epoch)))
        self._epoch += 1
        steps = self._epoch * self._train.steps_per_epoch
        self.tell_step(steps, steps * self._train.batch_size)
        return epoch_s


def _draw(loader: Loader, epoch: int) -> None:
    for _ in loader.epoch(epoch):
        pass
