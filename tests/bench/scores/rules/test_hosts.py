"""Every rule book on runs of several hosts."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bench.report.terminal.leaderboard import show_n
from bench.scores.leaderboard import boards
from bench.scores.rules import rule
from bench.statistics import estimates

# Extra seconds of training on each host, and of each of its two runs.
SLOWER_S = {"a": 0.0, "b": 8.0, "c": 20.0}
BOOKS = ("dawnbench", "mlperf", "speedrun", "coldstart")


def later(spans, seconds):
    """The spans of a run whose training took longer."""
    *before, train, look = spans
    train = {**train, "end_s": train["end_s"] + seconds}
    return [*before, train, {**look, "start_s": look["start_s"] + seconds, "end_s": look["end_s"] + seconds}]


@pytest.fixture
def on_hosts(trained):
    """Two runs on each of three hosts, which differ by many seconds, or the same runs on hosts that nobody knows."""

    def make(known: bool = True, accuracies=(0.95,) * 6, **machine):
        runs = []
        for host, slower_s in SLOWER_S.items():
            facts = {"id": "m", **machine, **({"host": host} if known else {})}
            for more_s in (slower_s, slower_s + 0.5):
                run = trained([accuracies[len(runs)]], seed=50 + len(runs), machine=facts)
                runs.append(replace(run, spans=later(run.spans, more_s)))
        return runs

    return make


@pytest.mark.parametrize("book", BOOKS)
def test_each_host_counts_once(on_hosts, book):
    over_hosts, plain = rule(book).score(on_hosts()), rule(book).score(on_hosts(known=False))
    assert over_hosts.time_s.hosts == 3
    assert over_hosts.time_s.value == pytest.approx(plain.time_s.value)
    assert over_hosts.time_s.high > plain.time_s.high
    assert over_hosts.accuracy.hosts == over_hosts.reached.hosts == 3
    assert over_hosts.n == plain.n == 6


@pytest.mark.parametrize("book", BOOKS)
def test_what_is_lacking_is_a_footnote(on_hosts, book, codes):
    score = rule(book).score(on_hosts())
    (note,) = [note.text for note in score.footnotes if note.code == "hosts"]
    assert note.startswith(
        "6 runs on 3 hosts, and each host counts once: hosts are lacking: of the variance, 100% between"
    )
    assert "more runs on these 3 hosts will not help" in note
    assert "hosts" not in codes(rule(book).score(on_hosts(known=False)).footnotes)


@pytest.mark.parametrize("book", BOOKS)
def test_runs_of_one_host_score_as_before(on_hosts, book):
    known = [replace(run, machine={"id": "m", "host": "a"}) for run in on_hosts(known=False)]
    plain = rule(book).score(on_hosts(known=False))
    score = rule(book).score(known)
    assert (score.time_s, score.accuracy, score.reached) == (plain.time_s, plain.accuracy, plain.reached)


def test_failed_runs_count_with_their_host(on_hosts):
    score = rule("dawnbench").score(on_hosts(accuracies=(0.95, 0.95, 0.95, 0.95, 0.9, 0.9)))
    assert score.time_s.method == "expected time to a success, MOVER interval over hosts"
    assert score.reached.method == "share, Wilson interval with a design effect"
    # All runs of one host failed, so that six runs are worth three.
    assert score.reached.low == pytest.approx(estimates.share(2, 3).low, abs=1e-6)


def test_a_host_that_is_off_is_a_footnote(on_hosts):
    runs = on_hosts(off="a memory copy takes 60% longer than on 3 other hosts of its kind")
    (note,) = [note.text for note in rule("coldstart").score(runs).footnotes if note.code == "host_off"]
    assert note.startswith("host a is off: a memory copy takes 60% longer")


def test_a_board_shows_the_number_of_hosts(on_hosts):
    for known, shown in ((True, "6 on 3 hosts"), (False, "6")):
        (board,) = boards(on_hosts(known), [], rule="coldstart")
        (row,) = board.rows
        assert show_n(row) == shown
