"""How a CPU's threads wait for one another between two parts of a step: by spinning, or by going to sleep.

A thread that spins is back at once, and takes its core from whoever else wants it: beside busy processes, a training
whose threads spin long is slowed by more than its share. libgomp, which torch's CPU builds use on Linux, spins 300,000
times by default, for some milliseconds (https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html).
`tools/openmp_waiting.py` measures what each setting costs, alone and beside busy processes.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

# Read by the runtimes once, when they are loaded with torch.
VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME")
# What a command sets where its user has set none of VARIABLES, such as {"GOMP_SPINCOUNT": "1000"}; nothing leaves the
# runtimes' own way.
DEFAULTS: dict[str, str] = {}


def settle(environ: MutableMapping[str, str] = os.environ) -> None:
    """Set DEFAULTS for this process's children. To be called before torch is imported."""
    if not any(name in environ for name in VARIABLES):
        environ.update(DEFAULTS)


def in_force(environ: MutableMapping[str, str] = os.environ) -> dict[str, str] | None:
    """What is set of VARIABLES, None where nothing is."""
    return {name: environ[name] for name in VARIABLES if name in environ} or None
