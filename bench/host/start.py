"""The start to which a run belongs: the process that imported everything the run started with.

Runs that were forked from one server, or share a process, have in common what its start fixed: memory layout, hash
seeds and heap size. They are therefore not independent measurements of time and memory.
"""

from __future__ import annotations

import multiprocessing
import os

import psutil


def start_of_this_process() -> str:
    """An id that is equal for processes with the same start, which is this process itself or its fork server."""
    parent = multiprocessing.parent_process()
    is_forked = parent is not None and parent.pid != os.getppid()  # forked by a server, on behalf of the parent
    pid = os.getppid() if is_forked else os.getpid()
    try:
        return f"{pid}-{psutil.Process(pid).create_time():.2f}"
    except Exception:  # a fact that is only recorded must not end a run
        return f"{pid}-unknown"
