import time

import pytest

from bench.measures import assembly
from bench.statistics.sampling import Bounds


def test_what_only_the_first_epoch_pays_is_in_it_alone(monkeypatch, make_job, run_here):
    make_loader, drawn = assembly.make_loader, []

    def make_slow_at_first(*args, **kwargs):
        loader = make_loader(*args, **kwargs)
        batches_of = loader._batches

        def batches(epoch, order):
            drawn.append(epoch)
            time.sleep(0.3 if len(drawn) == 1 else 0)
            yield from batches_of(epoch, order)

        loader._batches = batches
        return loader

    monkeypatch.setattr(assembly, "make_loader", make_slow_at_first)
    metrics = run_here(make_job("loading", sampling=Bounds(least_samples=5, timeout_s=0.3)))[-1]["metrics"]
    assert metrics["first_epoch_s"] > 0.3 > metrics["epoch_median_s"]
    assert metrics["first_epoch_images_per_s"] < metrics["images_per_s"]
    assert drawn == list(range(metrics["n"] + 1))


@pytest.mark.parametrize("batch_size", [64, 1000])
def test_images_are_those_of_full_batches(batch_size, make_job, run_here):
    metrics = run_here(make_job("loading", f"batch_size={batch_size}"))[-1]["metrics"]
    images = metrics["first_epoch_images_per_s"] * metrics["first_epoch_s"]
    assert images == pytest.approx(1437 // batch_size * batch_size)
