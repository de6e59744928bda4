"""A run on several hosts: where they meet, and which of them says how it ended."""

from __future__ import annotations

import pytest

from bench.execution.executors.host_report import HostReport
from bench.execution.executors.several import meeting_of, worst
from bench.execution.measured import Measured, Refused


def reports(*ends):
    return [HostReport(Measured(status, reason), log=b"of host %d" % at) for at, (status, reason) in enumerate(ends)]


@pytest.mark.parametrize(
    ("ends", "status", "reason"),
    [
        ([("ok", None), ("ok", None)], "ok", None),
        ([("not_reached", "low"), ("failed", "closed")], "not_reached", "low"),
        ([("failed", "connection closed"), ("oom", "full")], "oom", "host 1: full"),
        ([("failed", "connection closed"), ("interrupted", "stopped")], "failed", "connection closed"),
        ([("crashed", "killed"), ("failed", "connection closed")], "crashed", "killed"),
    ],
)
def test_the_host_that_ended_the_others_says_why(tmp_path, ends, status, reason):
    found = worst(dict(enumerate(reports(*ends))), tmp_path / "run.log")
    assert (found.status, found.reason) == (status, reason)


def test_the_log_is_that_of_the_first_host_and_a_refusal_of_any_host_refuses_the_run(tmp_path):
    log = tmp_path / "logs" / "run.log"
    worst(dict(enumerate(reports(("ok", None), ("ok", None)))), log)
    assert log.read_bytes() == b"of host 0"
    refused = HostReport(Measured(), ("no such file", 3))
    with pytest.raises(Refused, match="no such file"):
        worst(dict(enumerate([*reports(("failed", "closed")), refused])), log)


def test_a_host_that_left_no_word_changes_no_other_host_s_number(tmp_path):
    _, second, third = reports(("failed", "closed"), ("failed", "closed"), ("oom", "full"))
    found = worst({1: second, 2: third}, tmp_path / "run.log")
    assert (found.status, found.reason) == ("oom", "host 2: full")


def test_hosts_meet_at_a_port_of_the_first():
    said = {}

    def meet(endpoint=None):
        if endpoint is not None:
            said["endpoint"] = endpoint
        return said.get("endpoint")

    first, second = meeting_of(0, "127.0.0.1", meet), meeting_of(1, "192.0.2.1", meet)
    assert first.endpoint == second.endpoint
    assert first.endpoint.startswith("127.0.0.1:")
    assert (first.host_index, second.host_index) == (0, 1)
