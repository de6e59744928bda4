"""The speed of this host: the seconds of its reference kernels. Importing this module does not import torch."""

from __future__ import annotations


def reference_kernels(device: str) -> dict[str, float | None]:
    """Seconds of each reference kernel as `NAME_s`, and the clock during it as `NAME_hz`, None if it is hidden.

    Takes about a second, in which nothing else should be timed.
    """
    from bench.profiling.reference import clock_hz, matrix_product, memory_copy
    from bench.statistics.sampling import Bounds
    from bench.training.device import Device

    here = Device(device)
    bounds = Bounds(relative_error=1.0, least_samples=5, least_s=0.0, timeout_s=1.0)
    found: dict[str, float | None] = {}
    for name, kernel in (("matrix_product", matrix_product(here)), ("memory_copy", memory_copy(here))):
        found[f"{name}_s"] = kernel.measure(bounds).samples.median_s
        found[f"{name}_hz"] = clock_hz(here)  # immediately, before the core idles
    return found
