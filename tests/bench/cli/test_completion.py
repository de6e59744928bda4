"""What a shell is told, by the protocol that the scripts of `bench --show-completion` speak."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests import command


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("bench ", {"run", "sweep", "leaderboard", "find-lr"}),
        ("bench run dig", {"digits"}),
        ("bench show cifar9", {"cifar94", "cifar95", "cifar96"}),
        ("bench sweep gate_s", {"gate_step"}),
        ("bench data cifar", {"cifar10", "cifar100"}),
        ("bench run digits --set mod", {"model="}),
        ("bench run digits --set model=dark", {"model=darknet"}),
        ("bench run digits --set precision=pure", {"precision=pure_fp16", "precision=pure_bf16"}),
        ("bench run digits --measure in", {"inference"}),
        ("bench run digits --device c", {"cpu", "cuda"}),
        ("bench results --rec", {"--recipe"}),
        ("bench results --recipe digi", {"digits"}),
        ("bench baseline s", {"save", "show"}),
        ("bench list mat", {"matrices", "matrix-keys"}),
        ("bench leaderboard --rule dawn", {"dawnbench"}),
        ("bench show digits --card h", {"h100", "h200"}),
    ],
)
def test_the_names_are_offered(typed: str, offered: set[str], bench, monkeypatch):
    monkeypatch.setenv("_BENCH_COMPLETE", "complete_zsh")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", typed)
    said = bench().out
    assert all(f'"{name}"' in said.replace("\\:", ":") for name in offered), said


def test_bash_completes_by_the_script_that_is_shown(tmp_path):
    program = tmp_path / "bench"
    program.write_text(f'#!/bin/sh\nexec {" ".join(command.line())} "$@"\n')
    program.chmod(0o755)
    lines = """
        source <(bench --show-completion)
        COMP_WORDS=(bench run cifar94_ch) COMP_CWORD=2
        _bench_completion bench
        echo "${COMPREPLY[@]}"
    """
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", lines], cwd=tmp_path, env=command.ENVIRONMENT | {"PATH": path}, capture_output=True, text=True,
        timeout=command.TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.stdout == "cifar94_cheap\n", done.stderr
