"""The peak of this process's memory on the host."""

from __future__ import annotations

import resource
import sys

from bench.host import proc

# The unit of `ru_maxrss`.
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024


def peak_host_bytes() -> int:
    """The largest resident set of this process so far.

    Linux says it of the process's own memory. `ru_maxrss`, which other systems have, is at least the peak of the
    process that started this one, such as a notebook with much data.
    """
    own = proc.size_bytes("/proc/self", "status", b"VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_BYTES if own is None else own
