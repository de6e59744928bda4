"""The recipes of the speed runs from end to end, small and on noise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.host.clock import Clock
from bench.measures.time_to_accuracy import TimeToAccuracy
from bench.spec import recipes

TINY = {
    "speedrun94": ("model.widths=[4, 6, 6]",),
    "speedrun94_hiverge": ("model.widths=[4, 6, 6]",),
    "speedrun94_e1": ("model.widths=[4, 6, 6]",),
    "speedrun96_proxy": ("model.widths=[4, 6, 6]", "proxy.model.widths=[2, 4, 4]"),
    "cifar100_75": ("model.widths=[4, 6, 6]", "model.pair_widths=[4, 4, 4]"),
    "cifar94": ("model.widths=[4, 6, 6]",),
}


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("name", TINY)
def test_it_trains_from_end_to_end_on_noise(name, device, make_job):
    """On the CPU, in its own form for it, and in the one for a GPU without what only that has."""
    here = ["compile=false", "cuda_graph=false", "precision=pure_bf16"] if device == "cuda" else []
    settings = [
        "data={name: random, shape: [3, 32, 32], classes: 10, train_count: 64, test_count: 8}",
        *TINY[name],
        *here,
        "target_accuracy=null",
        "batch_size=32",
        "evaluation.batch_size=8",
        "epochs=2",
        "warm_up_steps=1",
    ]
    recipe = recipes.load(name, device, settings)
    told = []
    job = replace(make_job("time_to_accuracy"), recipe=recipe)
    TimeToAccuracy(job, Clock(), lambda kind, **values: told.append((kind, values))).run()
    kind, end = told[-1]
    assert (kind, end["status"]) == ("end", "ok"), end
    assert end["metrics"]["epochs"] <= 2
    assert 0 < end["metrics"]["loss"] < 20
