"""Work of fixed shapes as a CUDA graph: its kernels are launched all at once, and by no Python.

It pays where a step is so short that the host cannot launch as fast as the GPU computes: small networks and batches.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bench.host.gc_pause import collector_paused

StepFunction = Callable[..., Tensor]
# torch's advice: on a stream of its own, often enough for every library to have tuned itself and made its workspace.
RUNS_BEFORE_CAPTURE = 3


class Captured:
    """`work` on tensors shaped as `inputs`, each call of which copies its arguments there and replays the graph.

    The work must read and write the same memory whenever it runs, hold no Python number that changes, and never wait
    for the device. It really runs a few times before it is captured, and so does what it does to its surroundings.
    What a call returns is overwritten by the next.
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
        # What is found dead in the middle of a capture, such as a kernel of Triton's or an older graph, is unloaded
        # there, which ends the capture with an error. From torch 2.9 on `torch.cuda.graph` does not collect beforehand.
        gc.collect()
        # By default a call of any thread that may wait ends the capture with an error: a loader's, or one that reads a
        # power meter.
        with collector_paused(), torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._result = work(*self._inputs)

    def __call__(self, *inputs: Tensor) -> Tensor:
        for static, given in zip(self._inputs, inputs, strict=True):
            static.copy_(given)
        self._graph.replay()
        return self._result
