"""The figures of a stage of a network: a row of a profile."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StageFigures:
    """One row: shapes, sizes, and the seconds of one batch as means over the middle half of `n` samples.

    The `least` seconds are what this machine needs for the stage's operations (`bench.profiling.roofline`).
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    forward_flops: int
    backward_flops: int
    kept_bytes: int
    forward_s: float
    backward_s: float
    n: int
    least_forward_s: float = 0.0
    least_backward_s: float = 0.0

    @property
    def total_s(self) -> float:
        return self.forward_s + self.backward_s

    @property
    def least_s(self) -> float:
        return self.least_forward_s + self.least_backward_s

    @property
    def flops_per_s(self) -> float | None:
        flops = self.forward_flops + self.backward_flops
        return flops / self.total_s if flops and self.total_s else None
