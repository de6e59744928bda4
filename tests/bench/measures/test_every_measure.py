"""What holds for each measure that samples: one real run in a worker, and the registry."""

import re
import subprocess
import sys

import pytest

from bench.errors import UsageError
from bench.execution.runner import execute
from bench.measures.base import Measure, status_of
from bench.measures.lookup import measure_class
from bench.runs.run import Run
from bench.spec.measures import MEASURES
from bench.statistics.sampling import Bounds

FIGURES = {
    "throughput": {
        "samples_per_s",
        "samples_per_s_without_loader",
        "loader_cost_fraction",
        "step_median_s",
        "step_p95_s",
        "n",
        "relative_error",
        "timed_out",
        "parameters",
        "forward_flops_per_example",
    },
    "inference": {
        "latency_p50_ms",
        "latency_p95_ms",
        "latency_p99_ms",
        "latency_n",
        "samples_per_s_at_1",
        "samples_per_s_at_32",
        "samples_per_s_at_256",
        "parameters",
        "forward_flops_per_example",
    },
    "loading": {"images_per_s", "first_epoch_images_per_s", "epoch_median_s", "n", "relative_error", "timed_out"},
}
SPANS = {
    "throughput": ["start", "import", "device", "data", "build", "init", "compile", "warm_up", "measure"],
    "inference": ["start", "import", "device", "data", "build", "init", "compile", "warm_up", "measure"],
    "loading": ["start", "import", "device", "data", "warm_up", "measure"],
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_run_in_its_process(name, fork_server, make_job, make_run):
    events = []
    measured = execute(make_job(name), events.append, "forkserver")
    assert measured.status == "ok", (measured.reason, measured.log_tail)
    assert FIGURES[name] | {"peak_host_bytes", "total_s"} <= set(measured.metrics)
    assert [span["name"] for span in measured.spans] == SPANS[name]
    assert {"machine", "versions", "resolved", "data"} <= set(measured.facts)
    assert measured.epochs == []
    assert {"facts", "phase", "step", "end"} <= {event["kind"] for event in events}
    # It can be kept, and comes back as it was.
    record = make_run(measure=name, metrics=measured.metrics, spans=measured.spans, reason=measured.reason)
    assert Run.from_json_line(record.to_json_line()).metrics == measured.metrics


@pytest.mark.parametrize("name", FIGURES)
def test_a_target_in_the_recipe_is_ignored(name, make_job, run_here):
    end = run_here(make_job(name, "target_accuracy=0.999", sampling=Bounds(timeout_s=0.0)))[-1]
    assert end["status"] == "ok"
    assert not any("accuracy" in key for key in end["metrics"])


@pytest.mark.parametrize("name", FIGURES)
def test_a_time_out_leaves_figures_and_says_what_they_lack(name, make_job, run_here):
    end = run_here(make_job(name, sampling=Bounds(timeout_s=0.0)))[-1]
    assert end["status"] == "ok"
    assert re.search("1 of at least 10(00)? samples", end["reason"])
    assert FIGURES[name] <= set(end["metrics"])
    timed_out = [value for key, value in end["metrics"].items() if key.endswith("timed_out")]
    assert timed_out
    assert all(timed_out)


@pytest.mark.parametrize(
    "text",
    [
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory",
        "CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation' in the documentation of CUDA",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    ],
)
def test_memory_that_ran_out_outside_of_torchs_allocator_is_known_by_its_words(text):
    assert status_of(RuntimeError(text)) == ("oom", text.splitlines()[0])
    assert status_of(RuntimeError("CUDA error: an illegal memory access was encountered"))[0] == "failed"


def test_every_measure_has_its_class():
    classes = {measure_class(name) for name in MEASURES}
    assert len(classes) == len(MEASURES)
    assert all(issubclass(one, Measure) for one in classes)


def test_an_unknown_measure_is_refused_before_anything_starts(make_job):
    with pytest.raises(UsageError, match=r"unknown measure 'througput' \(did you mean 'throughput'"):
        make_job("througput")


def test_the_names_are_cheap_to_import():
    code = "import sys, bench.measures; print(*{'torch', 'numpy', 'pydantic'} & set(sys.modules))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert printed.stdout.strip() == ""
