"""What comes back from a host: the log and the pictures at their places here."""

from __future__ import annotations

import os

import pytest

from bench.execution.executors import host_report
from bench.execution.executors.host_report import HostReport, end_of, pictures_in
from bench.execution.measured import Measured, Refused


def test_pictures_lie_beside_the_log_and_the_record_names_no_others(tmp_path):
    named = [{"name": "a", "epoch": at, "file": f"logs/its-id/a_{at:03}.png"} for at in (1, 2)]
    measured = Measured("ok", facts={"resolved": {"pictures": named, "threads": 1}})
    report = HostReport(measured, log=b"said", pictures={"a_002.png": b"newest"})
    found = report.result(tmp_path / "logs" / ".running" / "its-id.log")
    assert (tmp_path / "logs" / ".running" / "its-id.log").read_bytes() == b"said"
    assert (tmp_path / "logs" / "its-id" / "a_002.png").read_bytes() == b"newest"
    assert found.facts["resolved"] == {"pictures": named[1:], "threads": 1}


def test_a_run_without_pictures_has_no_folder_for_them(tmp_path):
    HostReport(Measured("ok")).result(tmp_path / "logs" / ".running" / "its-id.log")
    assert [path.name for path in (tmp_path / "logs").iterdir()] == [".running"]


def test_a_refusal_names_its_host(tmp_path):
    report = HostReport(Measured(facts={"node": {"host": "there"}}), ("other data", 3))
    with pytest.raises(Refused, match="other data") as refused:
        report.result(tmp_path / "its-id.log")
    assert refused.value.facts == {"node": {"host": "there"}}


def test_only_the_newest_pictures_and_the_end_of_a_log_come_back(tmp_path, monkeypatch):
    monkeypatch.setattr(host_report, "MOST_PICTURE_BYTES", 8)
    monkeypatch.setattr(host_report, "MOST_LOG_BYTES", 3)
    for age, name in enumerate(("new.png", "old.png", "oldest.png")):
        (tmp_path / name).write_bytes(b"four")
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    assert pictures_in(tmp_path) == {"new.png": b"four", "old.png": b"four"}
    assert end_of(tmp_path / "new.png") == b"our"
    assert (pictures_in(tmp_path / "none"), end_of(tmp_path / "none")) == ({}, b"")
