"""Whose code the processes of a command run: never a module that only lies in the folder where it is called."""

import multiprocessing
import os
import shutil
import time
from pathlib import Path

import pytest

from bench.execution import imports
from bench.execution.interrupts import Interrupts
from bench.execution.measured import Refused
from bench.execution.ranks import be_rank
from bench.execution.runner import Follower
from bench.host.clock import Span
from bench.spec import recipes
from bench.spec.job import Job
from tests.command import bench, records

TINY = ("--set", "epochs=0.2", "--set", "target_accuracy=null", "--device", "cpu")
# Each loader starts one process more, which imports everything.
MATRIX = """
recipe: digits
set: {epochs: 0.2, target_accuracy: null, loader: torch, workers: 1}
axes: {model.width: [4]}
"""
# Some that Python imports when it starts a child, some that torch or the harness imports later.
USERS_MODULES = (
    "queue", "yaml", "random", "copy", "socket", "profile", "typing", "tempfile", "signal", "json", "numpy", "rich",
)  # fmt: skip


@pytest.mark.parametrize("arguments", [("sweep", "mine.yaml"), ("run", "digits", *TINY, "--set", "devices=2")])
def test_modules_of_the_current_folder_are_never_imported(tmp_path, arguments):
    for name in imports.PACKAGES:
        (tmp_path / name).mkdir()
    for name in USERS_MODULES:
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('the user\\'s {name} was imported')\n")
    (tmp_path / "mine.yaml").write_text(MATRIX)
    done = bench(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [record["status"] for record in records(tmp_path)] == ["ok"]


@pytest.fixture(scope="module")
def another_tree(tmp_path_factory):
    """A copy of the whole tree, each of whose packages says that it is imported."""
    root = tmp_path_factory.mktemp("another") / "tree"
    for name in imports.PACKAGES:
        shutil.copytree(Path(imports.ROOT, name), root / name, ignore=shutil.ignore_patterns("__pycache__"))
        with (root / name / "__init__.py").open("a") as file:
            file.write(f"\nprint('{name} of the copy')\n")
    (root / "mine.yaml").write_text(MATRIX)
    return root


@pytest.mark.slow  # compiles the copy
@pytest.mark.parametrize(("options", "is_copy"), [((), True), (("-P",), False)], ids=["python -m bench", "bench"])
def test_in_another_tree_all_processes_run_the_code_of_one(another_tree, tmp_path, options, is_copy):
    done = bench("sweep", "mine.yaml", "--results", tmp_path, cwd=another_tree, python=options)
    assert done.returncode == 0, done.stdout + done.stderr
    logs = [path.read_text() for path in (tmp_path / "logs").glob("*.log")]
    told = "".join([done.stdout, *logs])
    assert all((f"{name} of the copy" in told) == is_copy for name in imports.PACKAGES)


@pytest.fixture
def job(tmp_path):
    return Job(
        recipes.load("digits", "cpu"), 0, "cpu", None, tmp_path / "cache", tmp_path / "run.log", time.monotonic()
    )


def follow(job):
    with Interrupts() as interrupts:
        follower = Follower(job, lambda event: None, "fork", None, interrupts)
        while not follower.over:
            multiprocessing.connection.wait(follower.sources, 0.1)
            follower.advance()
        return follower.result()


@pytest.mark.parametrize("name", imports.PACKAGES)
def test_a_worker_with_a_package_of_another_tree_is_refused(job, monkeypatch, name):
    elsewhere = imports.places() | {name: f"/other/tree/{name}"}
    monkeypatch.setattr(imports, "places", lambda: elsewhere)
    with pytest.raises(Refused, match=f"{name} would come from /other/tree/{name}") as refused:
        follow(job)
    assert refused.value.exit_code == 2


def test_a_worker_that_does_not_say_whose_code_it_runs_is_refused(job, monkeypatch):
    def as_before(job, pipe, folder):
        pipe.send({"kind": "end", "status": "ok", "reason": None})

    monkeypatch.setattr("bench.execution.runner._work_while_watched", as_before)
    with pytest.raises(Refused, match="does not say"):
        follow(job)


def test_a_rank_of_another_tree_refuses(job, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("LOCAL_RANK", "0")
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    rank = context.Process(target=be_rank, args=(job, [Span("start", 0.0, 0.0)], [sender], "/other/tree"))
    rank.start()
    sender.close()
    said = receiver.recv()
    rank.join()
    assert (said["kind"], said["exit_code"]) == ("refused", 2)
    assert "/other/tree" in said["message"]


def test_a_folder_without_code_is_no_package(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert imports.difference(imports.places()) is None
    assert os.path.isdir(imports.ROOT)
