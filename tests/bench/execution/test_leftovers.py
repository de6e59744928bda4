from __future__ import annotations

import signal
from types import SimpleNamespace

from bench.execution import leftovers


def test_a_process_that_cannot_be_ended_is_named_and_not_waited_for_without_end(monkeypatch):
    sent: list[signal.Signals] = []
    tree = SimpleNamespace(members=lambda: [7, 8], describe=lambda pid: f"sudo {pid}", send=sent.append)
    clock = SimpleNamespace(now_s=100.0)
    monkeypatch.setattr(leftovers, "time", SimpleNamespace(monotonic=lambda: clock.now_s))
    left = leftovers.Leftovers(SimpleNamespace(pid=7, ended_s=100.0, tree=tree))
    while not left.are_gone(hurry=False):
        clock.now_s += 0.1
        assert clock.now_s < 200, "it waits without end"
    assert sent[:2] == [signal.SIGTERM, signal.SIGKILL]
    assert clock.now_s > 100 + leftovers.LINGER_S + leftovers.ASKED_S
    assert left.remark == "1 of its processes outlived it and could not be ended: sudo 8"
