"""Work of fixed shapes as a CUDA graph, whose kernels are launched all at once and without Python.

It helps if a step is so short that the host cannot launch as fast as the GPU computes: small networks and batches.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bench.host.gc_pause import collector_paused

StepFunction = Callable[..., Tensor]
# torch's advice: warm up on a separate stream until every library has tuned itself and allocated its workspace.
RUNS_BEFORE_CAPTURE = 3


class Captured:
    """`work` on tensors shaped like `inputs`; each call copies its arguments there and replays the graph.

    The work must use the same memory in every run, contain no Python number that changes, and never wait for the
    device. It runs a few times before it is captured, including its side effects. The next call overwrites the result
    of a call.
    """

    def __init__(self, work: StepFunction, inputs: Sequence[Tensor]) -> None:
        self._inputs = [tensor.clone() for tensor in inputs]
        own, here = torch.cuda.Stream(), torch.cuda.current_stream()  # type: ignore[no-untyped-call]
        own.wait_stream(here)
        with torch.cuda.stream(own):
            for _ in range(RUNS_BEFORE_CAPTURE):
                work(*self._inputs)
        here.wait_stream(own)
        self._graph = torch.cuda.CUDAGraph()
        # If the garbage collector finds a dead Triton kernel or graph during a capture, it is unloaded, which ends the
        # capture with an error. From torch 2.9 on, `torch.cuda.graph` does not collect beforehand.
        gc.collect()
        # It is the very call that was just made, so nothing should be compiled anew. If something is, torch names it;
        # otherwise, the compiler would end the capture with an error that tells of neither.
        as_compiled = torch.compiler.set_stance("fail_on_recompile")
        # By default, a possibly waiting call in any thread ends the capture with an error, for instance in a loader.
        with as_compiled, collector_paused(), torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._result = work(*self._inputs)

    def __call__(self, *inputs: Tensor) -> Tensor:
        for static, given in zip(self._inputs, inputs, strict=True):
            static.copy_(given)
        self._graph.replay()
        return self._result
