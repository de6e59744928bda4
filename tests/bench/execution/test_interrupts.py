from __future__ import annotations

import os
import signal
import time

from bench.execution.interrupts import Interrupts


class Interrupted:
    """A script that is started at the very moment of a Ctrl-C."""

    ends = 0

    def start(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    def pause(self) -> None: ...

    def terminate(self) -> None:
        self.ends += 1


def test_ctrl_c_is_heard_while_a_script_is_started():
    script = Interrupted()
    with Interrupts() as interrupts:
        interrupts.start(script)
        # The system may give the signal to another thread, whose turn comes later on a busy machine.
        given_up_s = time.monotonic() + 60
        while not script.ends and time.monotonic() < given_up_s:
            time.sleep(0.01)
        assert interrupts.stopping
        assert script.ends > 0
