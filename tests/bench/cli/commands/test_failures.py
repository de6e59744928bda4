"""Six ways to fail, in one sweep of real processes, which goes on to its end; see failures.yaml beside this file."""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.bench.cli.commands.sweeping import worker_of
from tests.command import TIMEOUT_S, read_until, records, start

MATRIX = Path(__file__).with_name("failures.yaml").read_text()


@pytest.mark.slow
@pytest.mark.skipif(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") > 64 << 30, reason="has too much memory")
def test_every_way_to_fail_is_a_status_with_its_reason_and_the_sweep_goes_on(tmp_path):
    # More devices than there are on any machine that this runs on.
    (tmp_path / "mine.yaml").write_text(MATRIX.replace("devices: 8}", "devices: 64}"))
    process = start("sweep", "mine.yaml", cwd=tmp_path)
    said = read_until(process, "run 4 of 6: arm=killed")
    worker_of(process).send_signal(signal.SIGSEGV)
    rest, _ = process.communicate(timeout=TIMEOUT_S)
    said += rest
    assert process.returncode == 1, said
    made = {record["config"]["arm"]: record for record in records(tmp_path)}
    assert {arm: record["status"] for arm, record in made.items()} == {
        "fine": "ok",
        "too large": "oom",
        "endless": "timeout",
        "killed": "crashed",
        "raises": "failed",
        "explodes": "diverged",
        "many devices": "skipped",
    }
    for arm, words in {
        "too large": "can't allocate memory",
        "endless": "not done after timeout_s = 10 seconds; its last phase was ",
        "killed": "the worker was killed by SIGSEGV",
        "raises": "ValueError: Expected more than 1 value per channel when training",
        "explodes": "the loss is nan",
        "many devices": "needs 64 ",
    }.items():
        assert words in made[arm]["reason"]
        assert re.search(f"arm={arm}.*{re.escape(words)}", said), said
    # The end of its log says where.
    assert "    ValueError: Expected more than 1 value per channel when training" in said
    assert all(status in said.splitlines()[-3] for status in ("1 ok", "1 oom", "1 timeout", "1 crashed", "1 skipped"))
    assert "--rerun failed" in said
