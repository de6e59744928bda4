"""Bad input through the real command line: exit 2 (or 3 for what is missing), one message, and no work begun.

Nothing here gets as far as a worker: what would is a failure of the test. All of it runs in one process within the
memory that the tests have, so that no input may ask for much.
"""

from __future__ import annotations

import json
import re

import pytest

from bench.cli.commands import run as run_command
from tests.bench.documents.test_yaml_reader import REFUSED
from tests.command import records

RECIPE = "data: digits\nmodel: darknet\nbatch_size: 64\nepochs: 2\noptimizer: {name: sgd, lr: 0.1}\n"
# Every one of these is refused by `show` and by `run` alike, in words that name the key, or what is allowed there.
_SETTINGS = """
threads=1e20 threads=100000 threads=0 threads=-1 threads=true threads=0x_ threads=1_0 threads=9999999999999999999
batch_size=1:30 batch_size=1e2 batch_size=[1] batch_size={} batch_size=null batch_size=5000 batch_size=-0500
epochs=1e308 epochs=1e-300 epochs=.inf epochs=.nan epochs=-1 epochs=0 epochs=2001-12-14 epochs=1e999 epochs=no
optimizer.lr=1e308 optimizer.lr=1e-400 optimizer.lr=.nan optimizer.lr=.inf optimizer.lr=1:30.5 optimizer.lr=yes
optimizer=1 optimizer.name=x optimizer.groups=1 optimizer.groups.x.lr=1 optimizer.momentum=1 optimizer.betas=[1]
seeds=99999999 seeds=0 seeds=[1] price_per_hour=1e308 price_per_hour=-1 workers=1000000000 workers=-1
data.held_out=abc data.held_out=-1 data.held_out=100000 data.held_out=1.5 data.held_out=true data.foo=1 data=null
data.name=[1] data.shape=[1] model=null model.name=null loader=x loader=1 loader=[] model.width=.nan
augment.shift_pixels=8
augment.shift_pixels=1000000000 augment.cutout_pixels=9 augment.flip=x augment=[] ghost_batch=1 memory_format=x
precision=x precision=tf32 compile=yes winograd=x fused_activations=x huge_pages=x warm_up_steps=-1 devices=0
batch_per=x batch_sizes=1 accumulate=7 accumulate=99999999999 target_accuracy=94 target_accuracy=0 stop_at_target=1
evaluation.tta=7 evaluation.every_epochs=-1 loss.label_smoothing=2 loss=1 schedule=x schedule=1 schedule.start=1e308
lr_warm_up.epochs=99 lookahead.every=0 ema.decay=1 freeze=[] inference.fuse=1 image_sizes=[] drop_easy=1 cutmix=1
summary=[1] source={} published=1 = a .=1 a..b=1 on_cpu=1 a=[ a=!!python/object:os.system a={b:1,b:2} cuda_graph=true
"""
SETTINGS = _SETTINGS.split()
# What the worker alone can tell, which looks at the device.
TOLD_BY_THE_WORKER = ("cuda_graph=true", "precision=tf32")
OPTIONS = [
    ("--seeds", "1e20"), ("--seeds", "100000000000000000000"), ("--seeds", "0"), ("--seeds", "-1"), ("--seeds", "1_0"),
    ("--seeds", "10001"), ("--seeds", ""), ("--seeds", "nan"),
    ("--first-seed", "9223372036854775808"), ("--first-seed", "18446744073709551616"), ("--first-seed", "-1"),
    ("--first-seed", "9223372036854775807", "--seeds", "2"),
    ("--price", "1e308"), ("--price", "nan"), ("--price", "-1"), ("--price", ""), ("--price", "1_0"),
    ("--measure", "x"), ("--device", "tpu"), ("--nothing",), ("--set",),
    *(("--measure", "throughput", "--sampling-timeout", one) for one in ("nan", "1e308", "-5", "inf", "")),
    *(("--measure", "inference", "--weights", one) for one in ("", "nosuch", "x" * 300, "/dev/zero", "last")),
]  # fmt: skip
FILES = {
    **{name: text for name, (text, *_) in REFUSED.items()},
    "nothing": "", "null": "~", "text": "hello", "a list": "[1]", "an unknown key": RECIPE + "foo: 1\n",
    "a date": RECIPE + "seeds: 2001-13-45\n", "hex": RECIPE + "seeds: 0x_\n", "octal": RECIPE + "threads: 0o9\n",
    "an overlay of a list": RECIPE + "on_cpu: [1]\n", "an overlay of nothing": RECIPE + "on_cpu: nosuch\n",
    "an overlay of itself": RECIPE + "on_cpu: bad.yaml\n", "facts": RECIPE + "published: [{hardware: x, time_s: -1}]\n",
    "long": "#" * 300_000,
}  # fmt: skip
MATRIX = "recipe: digits\n"
_SIX_AXES = "".join(f"  model.k{i}: {list(range(100))}\n" for i in range(6))
MATRICES = {
    "10^12 cells": (MATRIX + f"axes:\n{_SIX_AXES}", "1,000,000,000,000 cells; at most 10,000"),
    "many seeds": (MATRIX + "seeds: 100000000\n", "less than or equal to 10000"),
    "many runs": (
        MATRIX + f"seeds: 10000\naxes:\n  epochs: {list(range(1, 101))}\n", "1,000,000 runs; at most 100,000"
    ),
    "a wrong zip": (MATRIX + "axes: {'epochs,batch_size': [1]}\n", "each entry is a list of 2"),
    "a long time": (MATRIX + "timeout_s: 1e308\n", "less than or equal to 2000000"),
    "a large order": (MATRIX + "order_seed: 99999999999999999999\n", "beyond the largest whole number"),
    "an infinity": (MATRIX + "axes: {optimizer.lr: [.inf]}\n", "finite"),
    "no key": (MATRIX + "axes: {'': [1]}\n", "needs the dotted key"),
    "dots": (MATRIX + "axes: {'.': [1]}\n", "unknown key"),
    "a deep key": (MATRIX + f"axes:\n  {'.'.join('a' * 500)}: [1]\n", "unknown key"),
    "impossible models": (MATRIX + "axes: {model.width: [1000000000000, -1, x]}\n", "no cell of this matrix"),
    "impossible data": (MATRIX + "axes: {data.held_out: [99999999]}\n", "give a whole number"),
}  # fmt: skip
OTHERS = [
    ("run", "x" * 5000), ("run", "x" * 5000 + ".yaml"), ("run", ""), ("run", "/"), ("run", "/dev/zero"),
    ("run", "no.yaml"),
    ("sweep", "digits", "--dry-run", "--jobs", "0"), ("sweep", "digits", "--dry-run", "--jobs", "9" * 5000),
    ("sweep", "digits", "--dry-run", "--jobs", "²"), ("sweep", "digits", "--dry-run", "--limit", "0"),
    ("sweep", "digits", "--dry-run", "--only", "x"), ("sweep", "digits", "--dry-run", "--only", "model.block=["),
    ("sweep", "digits", "--dry-run", "--rerun", "zz"), ("sweep", "no.yaml"), ("sweep", ""),
    ("profile", "digits", "--batch-size", "99999999999"), ("profile", "digits", "--depth", "-1"),
    ("compare", "nosuch", "nosuch"), ("compare", "", ""), ("compare", "--margin", "1e3%", "a", "b"),
    ("compare", "--floor", "9" * 400 + "h", "a", "b"),
    ("regress", "--budget", ""), ("regress", "--budget", "99999999999h"), ("regress", "--rounds", "0"),
    ("baseline", "noise", "x", "--rounds", "1"), ("baseline", "save", "--runs", "1e9"),
    ("leaderboard", "--rule", "x"), ("leaderboard", "--task", "x"), ("leaderboard", "--limit", "-1"),
    ("check", "nosuch"), ("check", "."), ("import", "nosuch"), ("export", "mllog", ""), ("data", "nosuch"),
]  # fmt: skip
SINCE = [
    "", "nan", "NaT", "-1d", "now", "today", "1e3d", "999999w", "2026-13-01", "2026-02-30", "d", "٣d", "20261120",
    "9999999d",
]  # fmt: skip
COLUMNS = [
    ("--by", "recipe,recipe"), ("--columns", "seed,seed"), ("--by", "seed", "--columns", "seed"), ("--by", "n"),
    ("--by", "recipe", "--columns", "total_s,total_s"), ("--sort", "seed,-seed"), ("--by", "nosuch"), ("--limit", "-1"),
    ("--where", "seed"), ("--where", "seed=1_0"), ("--where", "seed<nan"), ("--where", "started_at>=nan"),
    ("--where", "seed=" + "9" * 5000), ("--where", "nosuch=1"), ("--status", "x"), ("--recipe", ""),
]  # fmt: skip
BENCHMARK = {"benchmarks": [{"fullname": "t", "stats": {"min": 1.0}}], "machine_info": {"cpu": {"brand_raw": "x"}}}
BENCHMARKS = {
    "deep": '{"benchmarks":' + "[" * 100_000, "a list": "[]", "text": '"x"', "a number": "1", "nothing": "",
    "empty": "{}", "digits": '{"benchmarks": ' + "1" * 5000 + "}",
    **{f"benchmarks {n}": json.dumps(BENCHMARK | {"benchmarks": value}) for n, value in enumerate((
        1, [1], {"a": 1}, [], [{"fullname": 1, "stats": {"min": 1}}], [{"fullname": ["a"], "stats": {"min": 1}}],
        *([{"fullname": "a", "stats": value}] for value in ([], {}, {"min": "x"}, {"min": None}, {"min": [1]},
          {"min": -1}, {"min": 10**400}, {"min": float("nan")}, {"min": float("inf")}, {"min": True})),
    ))},
    **{f"machine {n}": json.dumps(BENCHMARK | {"machine_info": value}) for n, value in enumerate((
        [1], "x", {"cpu": [1]}, {"cpu": "x"}))},
    "commit": json.dumps(BENCHMARK | {"commit_info": [1]}),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_worker(monkeypatch):
    def begin(*_, **__):
        raise AssertionError("this should have been refused, and a run began")

    monkeypatch.setattr(run_command, "execute", begin)


def assert_refused(answer, *words, codes=(2,)):
    assert answer.code in codes, (answer.out, answer.err)
    assert answer.err.startswith("bench: ")
    assert "Traceback" not in answer.err
    assert len(answer.err) < 3000
    for word in words:
        assert word in answer.err


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_that_no_recipe_takes(setting, bench):
    for command in ("show", "run"):
        if command == "run" and setting in TOLD_BY_THE_WORKER:
            continue
        assert_refused(bench(command, "digits", "--device", "cpu", "--set", setting))


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_an_option_of_run(options, bench):
    assert_refused(bench("run", "digits", "--device", "cpu", *options))


@pytest.mark.parametrize("name", FILES)
def test_a_recipe_or_matrix_file(name, bench, tmp_path):
    (tmp_path / "bad.yaml").write_text(FILES[name])
    for arguments in (("show",), ("run",), ("sweep", "--dry-run")):
        assert_refused(bench(*arguments, "bad.yaml", "--device", "cpu"))


@pytest.mark.parametrize("name", MATRICES)
def test_a_matrix(name, bench, tmp_path):
    text, words = MATRICES[name]
    (tmp_path / "bad.yaml").write_text(text)
    assert_refused(bench("sweep", "bad.yaml", "--dry-run", "--device", "cpu"), words)


@pytest.mark.parametrize("arguments", OTHERS, ids=lambda arguments: " ".join(arguments)[:60])
def test_another_command_line(arguments, bench):
    assert_refused(bench(*arguments))


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_file_that_is_none_of_pytest_benchmark(name, bench, tmp_path):
    (tmp_path / "bad.json").write_text(BENCHMARKS[name])
    assert_refused(bench("compare", "bad.json", "bad.json"))


@pytest.fixture
def results(bench, make_run, tmp_path):
    from bench.runs.store import Store

    Store(tmp_path / "results" / "runs" / "runs.jsonl").append(make_run(metrics={"total_s": 1.0}))
    return bench


@pytest.mark.parametrize("since", SINCE)
def test_a_time_that_is_none(since, results):
    assert_refused(results("results", f"--since={since}"), "--since", "give a UTC date or time")


@pytest.mark.parametrize(
    "since", ["2020", "2020-01", "2020-01-31", "2020-01-31T18:00", "2020-01-31 18:00:30.5Z", "9999d"]
)
def test_a_time_that_is_one(since, results):
    assert results("results", "--since", since).code == 0


@pytest.mark.parametrize("options", COLUMNS, ids=lambda options: " ".join(options)[:60])
def test_columns(options, results):
    assert_refused(results("results", *options))


def test_numbers_are_those_of_yaml_1_2(bench, tmp_path):
    """What version 1.1 took for octal, sexagesimal and truth is decimal, and text."""
    assert "500" in bench("show", "digits", "--device", "cpu", "--set", "batch_size=0500").out
    text = MATRIX + "axes: {batch_size: [016, 032], arm: [no, se, on]}\n"
    (tmp_path / "mine.yaml").write_text(text)
    planned = bench("sweep", "mine.yaml", "--dry-run", "--device", "cpu").out
    for word in (" 16 ", " 32 ", " no ", " se ", " on "):
        assert word in planned


def test_the_words_of_libraries_are_in_no_message(bench, results):
    assert_refused(bench("run", "digits", "--device", "cuda:1"), "'--device': 'cuda:1' is not one of")
    assert_refused(bench("results", "--where", "total_s>=94%"), "the column holds numbers")


# What is said of each: regular expressions.
NAMED = {
    "run digts": [r"unknown recipe 'digts' \(did you mean 'digits'\?\)"],
    "run digits --set modle.width=3": [r"unknown key 'modle' \(did you mean 'model' or 'nodes'\?\)"],
    "run digits --set model=darknett": [r"unknown model 'darknett' \(did you mean 'darknet'\?\)"],
    "run digits --set loader=residnet": [r"unknown loader 'residnet' \(did you mean 'resident'\?\)"],
    "run digits --set data=digitz": [r"unknown data set 'digitz' \(did you mean 'digits'\?\)"],
    "run digits --set data=random": ["random data has nothing to learn"],
    "run digits --set batch_size=5000": ["5000", "1,?437"],
    "data cifra10": ["cifra10"],
}


@pytest.mark.parametrize("line", NAMED)
def test_a_mistake_is_named_with_what_was_meant(line, bench, tmp_path):
    answer = bench(*line.split())
    assert_refused(answer)
    for words in NAMED[line]:
        assert re.search(words, answer.err), answer.err
    assert records(tmp_path) == []


def test_results_that_cannot_be_written_are_known_before_training(bench, tmp_path):
    (tmp_path / "file").write_text("")
    answer = bench("run", "digits", "--results", "file/results")
    assert_refused(answer, "file/results", codes=(3,))
    assert "training" not in answer.out
