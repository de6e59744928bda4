import io

import pytest
from rich.console import Console

from bench.report.terminal import progress
from bench.report.terminal.progress import LiveView, PlainView, Progress


@pytest.fixture
def now(monkeypatch):
    class Now:
        s = 1000.0

    monkeypatch.setattr(progress.time, "monotonic", lambda: Now.s)
    return Now


@pytest.fixture
def followed(now):
    return Progress("digits, seed 0", target=0.96, price_per_hour=3.6, origin_s=now.s)


def step(number, total=100, batch=64, loss=0.5):
    return {
        "kind": "step",
        "epoch": 1,
        "step": number,
        "total_steps": total,
        "examples": number * batch,
        "loss": loss,
    }


def epoch(number, accuracy):
    return {"kind": "epoch", "epoch": number, "steps": 50 * number, "examples": 0, "loss": 0.4, "accuracy": accuracy}


def test_rate_and_time_left_come_from_the_steps(followed, now):
    followed.take({"kind": "phase", "name": "train"})
    for number in (10, 20, 30):
        followed.take(step(number))
        now.s += 2.0
    assert followed.samples_per_s == pytest.approx(320)
    assert followed.left_s == pytest.approx(14)


def test_an_evaluation_does_not_slow_the_rate(followed, now):
    for phase, first in (("train", 10), ("eval", None), ("train", 30)):
        followed.take({"kind": "phase", "name": phase})
        now.s += 100.0
        if first:
            followed.take(step(first))
            now.s += 2.0
            followed.take(step(first + 10))
    assert followed.samples_per_s == pytest.approx(320)


def test_the_line_says_where_it_stands_and_what_it_costs(followed, now):
    followed.take({"kind": "phase", "name": "train"})
    now.s += 100.0
    followed.take(step(10))
    followed.take(epoch(1, 0.875))
    line = followed.line()
    for words in ("digits, seed 0: training", "elapsed 1 min 40 s", "epoch 1", "step 50/100", "accuracy 87.50 %",
                  "target 96.00 %", "cost $0.1"):  # fmt: skip
        assert words in line


def test_an_epoch_without_evaluation_keeps_the_last_accuracy(followed):
    followed.take(epoch(1, 0.5))
    followed.take(epoch(2, None))
    assert followed.accuracy == 0.5


def test_a_download_is_shown(followed):
    followed.take({"kind": "phase", "name": "data"})
    followed.take({"kind": "download", "what": "cifar.tar.gz", "done_bytes": 2**20, "total_bytes": 2**22})
    assert "loading data (cifar.tar.gz 1 MiB of 4 MiB)" in followed.line()


def test_a_log_gets_few_lines(followed, now):
    out = io.StringIO()
    with PlainView(Console(file=out, width=200), followed) as view:
        for phase in ("import", "train", "eval", "train", "eval"):
            view({"kind": "phase", "name": phase})
            now.s += 0.1
            view({"kind": "tick"})
        assert len(out.getvalue().splitlines()) == 3
        view(epoch(1, 0.5))
        assert "accuracy 50.00 %" in out.getvalue().splitlines()[-1]
        now.s += 60
        view({"kind": "tick"})
    assert len(out.getvalue().splitlines()) == 5
    assert "\x1b" not in out.getvalue()


def test_a_terminal_is_redrawn_and_left_clean(followed):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    with LiveView(console, followed) as view:
        view({"kind": "phase", "name": "train"})
        view(step(10))
    assert "training" in out.getvalue()
    assert "step" in out.getvalue()


def test_the_view_suits_the_output(followed):
    assert isinstance(progress.view(Console(file=io.StringIO()), followed), PlainView)
    assert isinstance(progress.view(Console(file=io.StringIO(), force_terminal=True), followed), LiveView)
