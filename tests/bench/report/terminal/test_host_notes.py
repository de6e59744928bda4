from __future__ import annotations

import io
from pathlib import Path

import pytest

from bench.report.terminal import summary
from bench.report.terminal.host_notes import host_notes
from bench.report.terminal.summary import summarise
from bench.text import units
from bench.text.console import LastingConsole


@pytest.fixture
def on_hosts(make_run):
    def make(hosts: str, **machine):
        slower_s = {host: 10.0 * position for position, host in enumerate(dict.fromkeys(hosts))}
        return [
            make_run(
                seed=seed,
                metrics={"train_s": 100 + slower_s[host] + 0.1 * seed, "accuracy": 0.94},
                machine={"id": "m", "host": host, **machine},
                data={"official": True, "fingerprint": "f" * 64},
            )
            for seed, host in enumerate(hosts)
        ]

    return make


def times(runs):
    return [run.metrics["train_s"] for run in runs]


def test_a_mean_over_hosts_has_their_interval(on_hosts):
    runs = on_hosts("aabbcc")
    shown, plain = summarise(times(runs), units.duration, runs), summarise(times(runs), units.duration)
    assert plain == "1 min 50 s ± 9.57 s"
    assert shown == "1 min 50 s ± 25.3 s"
    assert summarise(times(runs[:4]), units.duration, runs[:4]) == "1 min 40 s, 1 min 50 s"
    assert summarise([5.0] * 6, units.duration, runs) == "5.00 s"
    assert summarise([None] * 6, units.duration, runs) == units.MISSING
    assert summarise([*times(runs)[:2], None, None, None, None], units.duration, runs) == "1 min 40 s, 1 min 40 s"


def test_the_summary_says_which_of_hosts_and_runs_is_lacking(on_hosts):
    out = io.StringIO()
    summary.print_summary(LastingConsole(file=out, width=140), on_hosts("aabbcc"), Path("results/runs/runs.jsonl"))
    assert "mean ± 95 % (n = 6, 3 hosts)" in out.getvalue()
    assert "Hosts, by train_s: 6 runs on 3 hosts, and each host counts once: hosts are lacking" in out.getvalue()


def test_runs_of_one_host_have_no_notes(on_hosts):
    assert host_notes(on_hosts("aaaa")) == []


def test_a_slow_host_is_named(on_hosts):
    assert host_notes(on_hosts("aa", off="a memory copy takes 60% longer")) == [
        "Slow hosts: host a is off: a memory copy takes 60% longer."
    ]
