"""How OpenMP threads wait for each other between two parts of a step: by spinning or by sleeping.

A spinning thread resumes at once but occupies its core: beside busy processes, a training whose threads spin long is
slowed by more than its share. libgomp, which torch's CPU builds use on Linux, spins 300,000 times by default, for some
milliseconds (https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html). `tools/openmp_waiting.py` measures what
each setting costs, alone and beside busy processes.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

# The runtimes read these once, when torch loads them.
VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME")
# What a command sets if its user has set none of VARIABLES, such as {"GOMP_SPINCOUNT": "1000"}; an empty dict keeps the
# runtimes' own defaults.
DEFAULTS: dict[str, str] = {}


def settle(environ: MutableMapping[str, str] = os.environ) -> None:
    """Set DEFAULTS for this process's children. Call it before torch is imported."""
    if not any(name in environ for name in VARIABLES):
        environ.update(DEFAULTS)


def in_force(environ: MutableMapping[str, str] = os.environ) -> dict[str, str] | None:
    """Those of VARIABLES that are set; None if none is."""
    return {name: environ[name] for name in VARIABLES if name in environ} or None
