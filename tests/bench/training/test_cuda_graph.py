"""CUDA graphs of a step; what the loop does with them is tested in test_loop.py, without a GPU."""

from __future__ import annotations

import gc
import weakref
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
import torch
import torch._dynamo  # which keeps classes of torch.cuda, before they are replaced here
from torch import nn

from bench.errors import UsageError
from bench.host.clock import Clock
from bench.measures import assembly
from bench.profiling.footprint import NoBatches
from bench.spec import recipes
from bench.training.cuda_graph import RUNS_BEFORE_CAPTURE, Captured
from bench.training.device import Device
from bench.training.precision import Precision


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_graph_does_what_its_work_does_and_waits_for_nothing():
    nets = [nn.Linear(8, 4, device="cuda") for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    rate = torch.tensor(0.001, device="cuda")

    def step(net, x):
        loss = net(x).square().sum()
        loss.backward()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.sub_(rate * parameter.grad)
                parameter.grad = None
        return loss.detach()

    batches = torch.randn(6, 16, 8, device="cuda")
    captured = Captured(lambda x: step(nets[0], x), [batches[0]])
    for _ in range(RUNS_BEFORE_CAPTURE):
        step(nets[1], batches[0])
    torch.cuda.synchronize()
    losses = []
    torch.cuda.set_sync_debug_mode("error")
    try:
        for number, batch in enumerate(batches):
            rate.fill_(0.001 / (number + 1))
            losses.append((captured(batch).clone(), step(nets[1], batch)))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for left, right in losses:
        torch.testing.assert_close(left, right)
    torch.testing.assert_close(nets[0].weight, nets[1].weight)


@pytest.fixture
def graphs(monkeypatch):
    """torch.cuda's graphs as stand-ins that do nothing; the options that each capture was given."""
    asked = []

    @contextmanager
    def graph(_, **options):
        asked.append(options)
        yield

    stream = SimpleNamespace(wait_stream=lambda _: None)
    for name, stand_in in {
        "Stream": lambda: stream,
        "current_stream": lambda: stream,
        "stream": lambda _: nullcontext(),
        "CUDAGraph": object,
        "graph": graph,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    return asked


def test_other_threads_may_do_as_they_like_during_a_capture(graphs):
    """A loader pins memory and a meter is read meanwhile, which in CUDA's own mode would end the capture."""
    Captured(lambda x: x, [torch.zeros(1)])
    assert graphs == [{"capture_error_mode": "thread_local"}]


def test_nothing_dead_is_found_in_the_middle_of_a_capture(graphs):
    """A kernel or an older graph that is unloaded meanwhile would end it."""

    class Kernel:
        """Dead, but kept by itself until the collector looks."""

        def __init__(self):
            self.itself = self

    seen = []

    def work(x):
        seen.append((bool(graphs), gc.isenabled(), dead() is not None))
        return x

    gc.disable()
    try:
        dead = weakref.ref(Kernel())
    finally:
        gc.enable()
    Captured(work, [torch.zeros(1)])
    assert seen[-1] == (True, False, False)
    assert gc.isenabled()


def test_what_is_compiled_only_in_a_capture_is_told(graphs):
    """Otherwise the compiler would wait for the device, and CUDA say that the capture has failed."""
    double = torch.compile(lambda x: 2 * x, backend="eager")
    with pytest.raises(RuntimeError, match="Detected recompile"):
        Captured(lambda x: double(x) if graphs else x, [torch.zeros(1)])


def test_a_cpu_has_no_graphs():
    settings = ["precision=fp32", "warm_up_steps=1", "cuda_graph=true", "schedule=linear"]
    recipe = recipes.load("digits", "cpu", settings)
    with pytest.raises(UsageError, match="cuda_graph: only a CUDA device has graphs; leave it out on a CPU"):
        assembly.build_trainer(
            recipe, nn.Linear(1, 1), Precision("fp32", Device("cpu")), NoBatches(1), NoBatches(1), Clock(), print
        )
