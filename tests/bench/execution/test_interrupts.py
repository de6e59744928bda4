from __future__ import annotations

import os
import signal

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
        assert interrupts.stopping
        assert script.ends > 0
