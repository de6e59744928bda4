"""What this machine can do: the least time of operations, by rates that are measured on it in the same run.

Williams, Waterman and Patterson, Roofline (CACM 52(4), 2009): an operation takes as long as its matrix products at the
rate of a plain product of the same size, or as its bytes at the rate of a memory copy, whichever is longer. What lies
in a cache is read faster than that, so that a share may exceed 100 %.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import torch

from bench.profiling.operations import Operation
from bench.profiling.products import Product
from bench.profiling.reference import Kernel, Rate, memory_copy, normal_factors, seconds_of
from bench.statistics.sampling import Bounds, sample
from bench.training.device import Device

# A larger product is measured with fewer rows, or a shorter inner side, at the same rate.
MOST_FLOPS = {"cpu": 2**31, "cuda": 2**38}
BOUNDS = Bounds(relative_error=0.05, least_samples=5, least_s=0.0, timeout_s=10.0)


@dataclass(frozen=True)
class MachineLimits:
    """The rates of this machine: of a memory copy, of a product of each size, and `peak`, of a large product."""

    copy: Rate
    products: Mapping[Product, Rate]
    peak: Rate

    def least_s(self, operations: Iterable[Operation]) -> float:
        """Seconds of these operations, each at its limit."""
        return sum(map(self._least_s, operations))

    def _least_s(self, operation: Operation) -> float:
        if operation.products and all(product in self.products for product in operation.products):
            products_s = sum(product.flops / self.products[product].per_s for product in operation.products)
        else:  # what is no product of known size, such as an attention, has the rate of a large product
            products_s = operation.flops / self.peak.per_s
        return max(products_s, operation.bytes / self.copy.per_s)


def measured(device: Device, operations: Iterable[Operation], peak: Rate, bounds: Bounds = BOUNDS) -> MachineLimits:
    """Measure the rates that these operations need, all in turns, so that a drift of the machine affects all alike."""
    products = list(dict.fromkeys(product for operation in operations for product in operation.products))
    kernels: dict[Product, Kernel] = {product: _product(device, product) for product in products if product.flops}
    copy = memory_copy(device)
    arms: dict[str, Callable[[], float]] = {"copy": lambda: seconds_of(device, copy.run)}
    for number, kernel in enumerate(kernels.values()):
        arms[str(number)] = lambda run=kernel.run: seconds_of(device, run)  # type: ignore[misc]
    for kernel in (copy, *kernels.values()):
        kernel.run()
    samples = sample(arms, bounds)
    rates = {product: kernel.rate(samples[str(number)]) for number, (product, kernel) in enumerate(kernels.items())}
    return MachineLimits(copy.rate(samples["copy"]), rates, peak)


def _product(device: Device, product: Product) -> Kernel:
    """A plain product of this size, or of a shorter one if it is large, in FLOP."""
    size = shortened(product, MOST_FLOPS[device.kind])
    shapes = (size.batch, size.rows, size.inner), (size.batch, size.inner, size.columns)
    left, right = normal_factors(device, size.dtype, *shapes)
    out = torch.empty(size.batch, size.rows, size.columns, dtype=size.dtype, device=device.torch)
    if size.batch == 1:
        left, right, out = left[0], right[0], out[0]
        return Kernel(device, float(size.flops), lambda: torch.mm(left, right, out=out))
    return Kernel(device, float(size.flops), lambda: torch.bmm(left, right, out=out))


def shortened(product: Product, most_flops: int) -> Product:
    """The product with its longer of rows and inner side cut, so that it has at most about so many FLOP."""
    excess = product.flops / most_flops
    if excess <= 1:
        return product
    if product.rows >= product.inner:
        return replace(product, rows=max(int(product.rows / excess), 1))
    return replace(product, inner=max(int(product.inner / excess), 1))
