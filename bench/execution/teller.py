"""The worker's end of the pipe to its parent."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import threading
from multiprocessing.connection import Connection
from typing import Any

# Messages that a reader who lags behind can do without.
EXPENDABLE = ("step", "download")


class Teller:
    """The worker's end of the pipe, and its ear for SIGTERM.

    SIGTERM raises KeyboardInterrupt, once, and never in the middle of a message, which would tear it.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._telling = self._interrupted = False
        signal.signal(signal.SIGTERM, self._interrupt)

    def __call__(self, kind: str, **values: Any) -> None:
        if kind in EXPENDABLE and not select.select([], [self._pipe], [], 0)[1]:
            return  # the parent's terminal stands still, and training is not to wait for it
        self._telling = True
        try:
            self._pipe.send({"kind": kind, **values})
        except (BrokenPipeError, ConnectionResetError):
            # Nobody is left to record this run, and a worker must not outlive its parent.
            os._exit(1)
        finally:
            self._telling = False
        if self._interrupted:
            self._interrupted = False
            raise KeyboardInterrupt

    def _interrupt(self, _signum: int, _frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if self._telling:
            self._interrupted = True
        else:
            raise KeyboardInterrupt


def end_with_parent() -> None:
    """Let this process not outlive the one that started it, even if it hangs."""
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
