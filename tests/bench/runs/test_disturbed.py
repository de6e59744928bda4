from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bench.host.contention import Usage
from bench.runs.disturbed import disturbed
from bench.runs.run import Run

QUIET = Usage(10.0, cores=2, threads=2, own_cpu_s=19.6, others_cpu_s=0.1, steal_s=0.0)


def test_runs_that_were_disturbed_are_told_in_one_phrase(make_run: Callable[..., Run]) -> None:
    busy = replace(QUIET, own_cpu_s=10.0, others_cpu_s=10.0).to_dict()
    quiet = make_run(seed=0, spans=[{"name": "train", "host": QUIET.to_dict()}])
    beside = make_run(seed=1, spans=[{"name": "train", "host": busy}, {"name": "eval", "host": busy}])
    assert disturbed([quiet, make_run()]) is None
    assert disturbed([beside]) == "other processes took 50% of the CPU time in train, eval"
    assert disturbed([quiet, beside], [["train"], ["eval"]]) == (
        "1 of 2 runs: seed 1: other processes took 50% of the CPU time in eval"
    )
    shared = make_run(metrics={"gpu_other_processes": 2})
    assert disturbed([shared]) == "2 other processes used its GPUs or held memory there"
    many = disturbed([beside] * 5)
    assert many is not None
    assert many.startswith("5 of 5 runs: ")
    assert many.endswith("; and 2 more")
