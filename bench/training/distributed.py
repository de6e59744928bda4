"""Ranks that meet through torch.distributed: NCCL between GPUs, gloo between processes on the CPU.

Gradients are averaged by DistributedDataParallel (DDP; Li et al., arXiv 2006.15704). Batch norm uses each rank's own
part of the batch, as in DDP; the running statistics are averaged before they are used, while DDP would take those of
rank 0.
"""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from bench.host.clock import Span
from bench.training.device import Device
from bench.training.ranks import Ranks


class Together(Ranks):
    """One of several ranks, started by torch.distributed.run, which defines their meeting point."""

    def __init__(self, device: Device, nodes: int = 1) -> None:
        """`nodes` is the number of hosts that have a part of the ranks."""
        if sys.platform == "linux" and nodes == 1:
            # All ranks are on this machine, independent of how its name resolves.
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        self._device = device
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.is_cuda else "gloo")
        self.rank, self.count = dist.get_rank(), dist.get_world_size()
        # NCCL connects the GPUs at their first communication, which takes a second. Without this, it would happen while
        # DDP is initialised, which is timed.
        self.sum(torch.zeros(1, device=device.torch))

    def wrap(self, model: nn.Module) -> nn.Module:
        with warnings.catch_warnings():
            # The oldest supported torch does not have its successor.
            warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
            return DistributedDataParallel(
                model,
                device_ids=[torch.cuda.current_device()] if self._device.is_cuda else None,
                broadcast_buffers=False,
                gradient_as_bucket_view=True,
            )

    def sum(self, tensor: Tensor) -> Tensor:
        dist.all_reduce(tensor)
        return tensor

    def gather(self, values: Sequence[float]) -> list[list[float]]:
        mine = torch.tensor(values, dtype=torch.float64)
        everybody = [torch.empty_like(mine) for _ in range(self.count)]
        dist.all_gather(everybody, mine)
        return [numbers.tolist() for numbers in everybody]

    @torch.no_grad()
    def average_buffers(self, model: nn.Module) -> None:
        floating = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
        if not floating:
            return
        # As one tensor, because each communication has a high fixed cost.
        flat = torch.cat([buffer.flatten().float() for buffer in floating])
        means = torch.split(self.sum(flat) / self.count, [buffer.numel() for buffer in floating])
        for buffer, mean in zip(floating, means, strict=True):
            buffer.copy_(mean.view_as(buffer))

    def slowest(self, span: Span) -> Span:
        device_s = math.nan if span.device_s is None else span.device_s
        rows = self.gather([span.start_s, span.end_s, device_s])
        rank_s = tuple(end_s - start_s for start_s, end_s, _ in rows)
        start_s, end_s, device_s = rows[rank_s.index(max(rank_s))]
        return replace(
            span,
            start_s=start_s,
            end_s=end_s,
            device_s=None if math.isnan(device_s) else device_s,
            rank_s=rank_s,
        )

    def leave(self) -> None:
        dist.destroy_process_group()
