"""Where runs are carried out: what is refused before anything starts, and what is installed without being needed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from tests.command import ENVIRONMENT

TINY = "recipe: digits\nset: {epochs: 0.2, target_accuracy: null}\n"


@pytest.mark.parametrize(("executor", "module", "extra"), [("ray", "ray", "ray"), ("slurm", "submitit", "slurm")])
@pytest.mark.parametrize("command", ["sweep", "run"])
def test_without_its_engine_an_executor_says_what_to_install(
    bench, tmp_path, monkeypatch, command, executor, module, extra
):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == module else found(name, *more))
    (tmp_path / "mine.yaml").write_text(TINY)
    answer = bench(command, "mine.yaml" if command == "sweep" else "digits", "--executor", executor)
    assert answer.code == 3
    assert f"--executor {executor}: the package {module} is not installed here" in answer.err
    assert f"pip install 'bench-to-accuracy[{extra}]'" in answer.err
    assert not (tmp_path / "results" / "runs").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--address", "auto"), "--address auto: this is for --executor ray"),
        (("--slurm", "partition=gpu"), "--slurm partition=gpu: this is for --executor slurm"),
        (("--executor", "kubernetes"), "kubernetes"),
    ],
)
@pytest.mark.parametrize("command", [("sweep", "digits"), ("run", "digits")])
def test_options_of_another_executor_are_refused(bench, command, options, words):
    answer = bench(*command, *options)
    assert answer.code == 2
    assert words in answer.err


@pytest.mark.parametrize(
    "option",
    [
        ("--shared-process",),
        ("--keep-weights",),
        ("--keep-compiled",),
        ("--weights", "x", "--measure", "inference"),
    ],
)
def test_what_stays_on_this_machine_does_not_go_with_a_cluster(bench, monkeypatch, option):
    monkeypatch.setattr("bench.cli.executor_options.check_installed", lambda executor: None)
    answer = bench("run", "digits", "--executor", "ray", *option)
    assert answer.code == 2
    assert f"{option[0]}: this is for runs on this machine" in answer.err


def test_several_hosts_are_not_found_on_one_machine(bench):
    answer = bench("run", "digits", "--set", "devices=2", "--set", "nodes=2")
    assert answer.code == 3
    assert "needs 2 hosts, found 1; --executor ray or slurm finds those of a cluster" in answer.err


def test_no_engine_is_imported_where_none_is_asked_for(tmp_path):
    code = (
        "import sys, bench.cli.commands.sweep, bench.cli.commands.run; print({'ray', 'submitit'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
