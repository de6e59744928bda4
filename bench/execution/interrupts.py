"""Ctrl-C and SIGTERM are counted and passed on to the workers, so that a record is always made."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class Interrupts:
    """While entered, Ctrl-C, SIGTERM and SIGHUP are counted and passed on to the workers, and nothing is raised here.

    Messages are therefore never torn. After `patience` presses of Ctrl-C, the next one asks the workers to end early;
    other signals do so at once. One more kills them. Only the main thread can hear them; in another one nothing is
    counted.
    """

    def __init__(self, patience: int = 0) -> None:
        self.count, self.patience = 0, patience
        # The last signal, which is passed on to a script.
        self.last: signal.Signals | None = None
        # How often this process was stopped and continued, for instance by Ctrl-Z and `fg`.
        self.continued = 0
        # Replaced and never modified, because a signal may arrive during a modification.
        self._processes: tuple[Any, ...] = ()
        self._before: dict[signal.Signals, Any] = {}

    @property
    def stopping(self) -> bool:
        """Whether the workers were asked to end early."""
        return self.count > self.patience

    def start(self, process: Any) -> None:
        """Start a worker that will receive the signals; it ignores Ctrl-C, which a terminal sends to all its
        processes. A process that leads a session of its own gets none from the terminal; for it, the signal is only
        delayed, so that none is lost."""
        is_apart = hasattr(process, "pause")
        with _keys_later() if is_apart else ctrl_c_ignored(), main_left_alone():
            process.start()
            self._processes = (*self._processes, process)
        if self.stopping:
            process.terminate()

    def ended(self, process: Any) -> None:
        """Forget this worker, which has ended."""
        self._processes = tuple(one for one in self._processes if one is not process)

    def __enter__(self) -> Interrupts:
        if not _hears_signals():
            return self
        numbers = [signal.SIGINT, signal.SIGTERM]
        # nohup makes it ignored, so that the work continues when the terminal closes.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        self._before = {number: signal.signal(number, self._handle) for number in numbers}
        self._before[signal.SIGCONT] = signal.signal(signal.SIGCONT, self._note_pause)
        if signal.getsignal(signal.SIGTSTP) is not signal.SIG_IGN:
            self._before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._pause)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _pause(self, _number: int, _frame: object) -> None:
        """Ctrl-Z: stop what leads a session of its own, which the terminal does not reach, and then this process."""
        apart = [process for process in self._processes if hasattr(process, "pause")]
        for process in apart:
            process.pause()
        os.kill(os.getpid(), signal.SIGSTOP)
        for process in apart:
            process.go_on()

    def _note_pause(self, _number: int, _frame: object) -> None:
        self.continued += 1

    def follow(self, count: int) -> None:
        """Count as many as another process has counted, the one that drives this host, and pass them on."""
        while self.count < count:
            self._take(signal.SIGTERM, self.count + 1)

    def _handle(self, number: int, _frame: object) -> None:
        self._take(number, self.count + 1 if number == signal.SIGINT else max(self.count, self.patience) + 1)

    def _take(self, number: int, count: int) -> None:
        was_stopping = self.stopping
        self.last = signal.Signals(number)
        self.count = count
        if self.stopping:
            for process in self._processes:
                (process.kill if was_stopping else process.terminate)()


@contextmanager
def _keys_later() -> Iterator[None]:
    """A Ctrl-Z or Ctrl-C in the body comes behind it, when it is known whom to stop; a child has to unblock them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP, signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def ctrl_c_ignored() -> Iterator[None]:
    """For the start of a process, which inherits it; in a thread that hears no signals nothing changes."""
    if not _hears_signals():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


@contextmanager
def main_left_alone() -> Iterator[None]:
    """For the start of a worker by multiprocessing, which would run the main module again in it.

    That is the user's script or notebook where bench was called from Python. A script that calls bench outside of
    `if __name__ == "__main__"` would so call itself without end, and no worker needs anything of it.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _hears_signals() -> bool:
    return threading.current_thread() is threading.main_thread()
