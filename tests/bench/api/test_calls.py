"""`import bench` as users write it: in a script without a guard, in a notebook, and beside packages of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import bench
from bench.api.mappings import as_options
from bench.cli.commands import run as command
from bench.execution.measured import Measured
from bench.runs.store import Store
from tests.command import ENVIRONMENT, TIMEOUT_S

VALUES = {
    "data": "digits",
    "model": {"name": "darknet", "width": 4},
    "batch_size": 64,
    "epochs": 1,
    "optimizer": {"name": "sgd", "lr": 0.1},
}
# Her package is called as one of ours, her script has no guard, and it says once that it runs.
SCRIPT = """
import sys
print("the script runs")
import bench
from models import Net
runs, epochs = bench.run("digits", {"epochs": 0.2, "target_accuracy": None, "model.width": 4}, device="cpu")
swept = bench.sweep("mine.yaml", device="cpu", only={"model.width": 6}, quiet=True)
import models, bench.models
hers = models.__file__ != bench.models.__file__
print(Net.mark, *runs["status"], *swept.runs["status"], len(bench.load().runs), hers)
"""
MATRIX = "recipe: digits\nset: {epochs: 0.2, target_accuracy: null}\naxes: {model.width: [4, 6]}\n"


@pytest.fixture
def no_workers(monkeypatch):
    """Runs that are over at once, each with this accuracy."""
    jobs = []

    def execute(job, *_, **__):
        jobs.append(job)
        return Measured("ok", metrics={"accuracy": 0.5, "total_s": 1.0})

    monkeypatch.setattr(command, "execute", execute)
    return jobs


def python(folder, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=ENVIRONMENT, input=text, capture_output=True, text=True,
        timeout=TIMEOUT_S, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("how", ["a script", "a notebook"])
def test_it_works_without_a_guard_and_beside_a_package_called_models(tmp_path, how):
    """A notebook's main module is no file, as that of Python on a pipe."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("class Net:\n    mark = 'hers'\n")
    (tmp_path / "mine.yaml").write_text(MATRIX)
    (tmp_path / "script.py").write_text(SCRIPT)
    done = python(tmp_path, "script.py") if how == "a script" else python(tmp_path, "-", text=SCRIPT)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "the script runs\nhers ok ok 2 True\n"
    assert "digits, seed 0: ok" in done.stderr
    commands = bench.load(results=tmp_path / "results").runs["command"].tolist()
    assert commands == [
        """python -c 'import bench; bench.run("digits", {"epochs": 0.2, "target_accuracy": None, "model.width": 4}, """
        """device="cpu")'""",
        """python -c 'import bench; bench.sweep("mine.yaml", only={"model.width": 6}, device="cpu")'""",
    ]


def test_importing_bench_imports_nothing_else(tmp_path):
    code = "import sys; before = set(sys.modules); import bench; print(sorted(set(sys.modules) - before))"
    assert python(tmp_path, "-c", code).stdout == "['bench', 'bench.about']\n"


def test_every_name_is_there_and_another_is_refused():
    assert all(getattr(bench, name) is not None for name in bench.__all__)
    assert set(bench.__all__) <= set(dir(bench))
    with pytest.raises(AttributeError, match="has no attribute 'sweeep'"):
        bench.sweeep  # noqa: B018


def test_a_recipe_may_be_a_mapping_or_an_object(no_workers, tmp_path, capsys):
    results = tmp_path / "results"
    recipe = bench.Recipe(**VALUES)
    for given, name in ((VALUES, "hers"), (recipe, None)):
        runs, _ = bench.run(given, {"epochs": 2}, name=name, seeds=2, device="cpu", results=results, quiet=True)
        assert (runs["recipe"].unique().item(), runs["config.epochs"].tolist()) == (name or "recipe", [2, 2])
    assert [job.recipe.epochs for job in no_workers] == [2] * 4
    assert len(bench.load(results=results).runs["cell"].unique()) == 1
    assert capsys.readouterr() == ("", "")


def test_seeds_that_are_done_are_run_again_unless_asked_otherwise(no_workers, tmp_path):
    for again, jobs in ((True, 2), (False, 3)):
        frames = bench.run("digits", seeds=jobs, again=again, device="cpu", results=tmp_path, quiet=True)
        assert sorted(frames.runs["seed"]) == list(range(jobs))
    assert [job.seed for job in no_workers] == [0, 1, 2]


def test_a_shipped_recipe_can_be_read_and_changed(no_workers, tmp_path):
    recipe = bench.load_recipe("digits", {"model.width": 8}, device="cpu")
    assert recipe.model.options["width"] == 8
    (run,) = bench.run(recipe, seeds=1, device="cpu", results=tmp_path, quiet=True).runs["config.model.width"]
    assert run == 8


def test_the_users_process_is_left_as_it_was(no_workers, tmp_path):
    before, main, path = dict(os.environ), sys.modules["__main__"], list(sys.path)
    bench.run("digits", device="cpu", results=tmp_path, quiet=True)
    assert (dict(os.environ), sys.modules["__main__"], sys.path) == (before, main, path)


def test_mistakes_are_raised_with_what_is_right(tmp_path):
    with pytest.raises(bench.UsageError, match="did you mean 'digits'"):
        bench.run("digts", results=tmp_path)
    with pytest.raises(bench.UsageError, match=r"settings\['modle.width'\]: unknown key 'modle'.* 'model'"):
        bench.run("digits", {"modle.width": 3}, results=tmp_path)
    with pytest.raises(bench.UsageError, match="the recipe: the key 'optimizer' is missing"):
        bench.run({name: value for name, value in VALUES.items() if name != "optimizer"}, results=tmp_path)
    with pytest.raises(bench.UsageError, match="does not vary 'width'"):
        bench.sweep("digits", only={"width": 3}, device="cpu", results=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seeds": 0}, "seeds is 0: give a whole number from 1 to 10,000"),
        ({"first_seed": -1}, "first_seed is -1: give a whole number from 0"),
        ({"device": "cdua"}, "unknown device 'cdua' (did you mean 'cuda'?); there are: auto, cpu, cuda"),
        ({"settings": ["epochs=1"]}, "settings are ['epochs=1']: give values by their dotted keys"),
        ({"settings": {"epochs": -1}}, "settings['epochs']: epochs is -1"),
        ({"recipe": None}, "recipe is None: give a name, a file"),
        ({"measure": "throughput", "sampling_timeout_s": -3}, "sampling_timeout_s is -3: give seconds"),
        ({"measure": "througput"}, "unknown measure 'througput' (did you mean 'throughput'?)"),
        ({"price": -1}, "a price is 0 to"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_starts(tmp_path, options, words):
    with pytest.raises(bench.UsageError, match=re.escape(words)):
        bench.run(**({"recipe": "digits", "results": tmp_path} | options))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("only", "words"),
    [
        ({"model.width": Path("4")}, "only['model.width'] is PosixPath('4'), of the type PosixPath: give text"),
        ({"model.width": np.int64(4)}, "of the type int64: give text, a number"),
        (["model.width=4"], "only is ['model.width=4']: give values by their keys"),
    ],
)
def test_what_cells_are_chosen_by_is_checked(tmp_path, only, words):
    with pytest.raises(bench.UsageError, match=re.escape(words)):
        bench.sweep("digits", only=only, device="cpu", results=tmp_path)


def test_a_tuple_holds_several_values_as_a_list_does():
    for values in ([4, "a"], (4, "a")):
        assert as_options("only", {"x": values}, apart=True) == ["x=4", 'x="a"']
    assert as_options("slurm", {"gres": ["a", 1]}) == ['gres=["a", 1]']


def test_what_was_stopped_is_recorded_and_raised(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "execute", lambda *_, **__: Measured("interrupted"))
    with pytest.raises(KeyboardInterrupt):
        bench.run("digits", device="cpu", results=tmp_path, quiet=True)
    assert bench.load(results=tmp_path).runs["status"].tolist() == ["interrupted"]


def test_a_thread_may_call_it(no_workers, tmp_path):
    """It hears no signals, so that a Ctrl-C is the main thread's."""
    found = []
    thread = threading.Thread(
        target=lambda: found.append(bench.run("digits", device="cpu", results=tmp_path, quiet=True))
    )
    thread.start()
    thread.join()
    assert found[0].runs["status"].tolist() == ["ok"]


def test_a_single_tag_is_one_tag(no_workers, tmp_path):
    bench.run("digits", device="cpu", results=tmp_path, quiet=True, tags="baseline")
    assert [run.tags for run in Store(tmp_path / "runs" / "runs.jsonl").read()] == [["baseline"]]


def test_a_leaderboard_is_a_frame(tmp_path):
    board = bench.leaderboard("cifar10/train", rule="dawnbench", metric="cost", results=tmp_path)
    assert set(board["rule"]) == {"dawnbench"}
    ranked = board[board["section"] == "ranked"]
    assert set(ranked["unit"]) == {"USD"}
    assert ranked["value"].is_monotonic_increasing
    assert len(ranked) > 10


def test_every_path_may_begin_at_the_home_folder(no_workers, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    (home / "hers.yaml").write_text("extends: digits\nepochs: 2\n")
    (home / "widths.yaml").write_text(MATRIX)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("HOME", str(home))
    made = bench.run("~/hers.yaml", seeds=1, device="cpu", results="~/results", quiet=True)
    assert made.runs["recipe"].tolist() == ["hers"]
    assert bench.load_recipe("~/hers.yaml", device="cpu").epochs == 2
    with pytest.raises(bench.UsageError, match="does not vary 'width'"):
        bench.sweep("~/widths.yaml", only={"width": 3}, device="cpu", results="~/results")
    for where in ({"results": "~/results"}, {"paths": ["~/results/runs"]}):
        assert bench.load(**where).runs["run_id"].tolist() == made.runs["run_id"].tolist()
        assert "hers" in set(bench.leaderboard("digits/train", **where)["system"])
    assert not list((tmp_path / "elsewhere").iterdir())
