"""Which start a run is of: the process in which all was imported that the run began with.

Runs that were forked off one server, or share a process, have in common what its start has fixed: where memory lies,
hash seeds, how large the heap already was. So they are no independent measurements of times and memory.
"""

from __future__ import annotations

import multiprocessing
import os

import psutil


def start_of_this_process() -> str:
    """Equal for processes of this machine that have one start: this process itself, or its fork server."""
    parent = multiprocessing.parent_process()
    is_forked = parent is not None and parent.pid != os.getppid()  # by a server, and asked for by the parent
    pid = os.getppid() if is_forked else os.getpid()
    try:
        return f"{pid}-{psutil.Process(pid).create_time():.2f}"
    except Exception:  # nothing that is asked only to be told may end a run
        return f"{pid}-unknown"
