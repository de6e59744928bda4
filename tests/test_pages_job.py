"""The jobs that `bench init --pages` writes, run step by step on a repository with committed runs, without network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bench.cli.commands.init import GITHUB_PAGES, GITLAB_PAGES
from bench.runs.store import Store
from tests import command
from tests.bench.competitors import cell
from tests.bench.gate.conftest import commit, git_in

ROOT = Path(__file__).resolve().parent.parent
# Installing bench is the one step that needs a network; `python` writes down what it was asked for.
STUBS = {
    "python": '#!/bin/sh\necho "$@" >> "$CALLS"\n',
    "bench": f'#!/bin/sh\nPYTHONPATH={ROOT} PYTHONSAFEPATH=1 exec {sys.executable} -m bench "$@"\n',
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of a machine, of which some were exported to results/published and committed, with both jobs."""
    root = tmp_path_factory.mktemp("repository")
    git_in(root, "init", "--quiet", "--initial-branch=main")
    store = Store(root / "results" / "runs" / "runs.jsonl")
    for run in [*cell(10.0, "ours"), *cell(20.0, "secret")]:
        store.append(run)
    (root / ".gitignore").write_text("results/runs/\n*.lock\n")
    for arguments in (
        ["results", "export", "results/published/ours.jsonl", "--recipe", "ours"],
        ["results", "annotate", "results/published/ours.jsonl", "--machine-label", "lab A"],
        ["init", "--pages", "--ci", "both", "--source", "me/bench@v1"],
    ):
        command.bench(*arguments, cwd=root, check=True)
    commit(root)
    return root


@pytest.fixture
def step(repository: Path, tmp_path: Path):
    """Run a script as a runner does, in a fresh clone of the repository."""
    clone, tools = tmp_path / "clone", tmp_path / "tools"
    subprocess.run(["git", "clone", "--quiet", str(repository), str(clone)], check=True)
    tools.mkdir()
    for name, content in STUBS.items():
        (tools / name).write_text(content)
        (tools / name).chmod(0o755)
    (tmp_path / "temp").mkdir()
    environment = {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "HOME": os.environ["HOME"],
        "CALLS": str(tmp_path / "calls"),
        "RUNNER_TEMP": str(tmp_path / "temp"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
        "OMP_NUM_THREADS": "1",
    }

    def run(script: str, more: dict[str, str] | None = None) -> None:
        how = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
        done = subprocess.run(how, cwd=clone, env=environment | (more or {}), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    return run


def check_pages(folder: Path) -> None:
    index = (folder / "index.html").read_text()
    assert "ours" in index
    assert "secret" not in index
    assert "lab A: A CPU" in (folder / "boards" / "coldstart-digits-train-96.html").read_text()
    assert "secret" not in (folder / "leaderboards.csv").read_text()
    assert (folder / "runs" / "ours.jsonl").read_text().count("\n") == 10


def test_the_steps_on_github_build_the_pages(repository, step, tmp_path):
    job = yaml.safe_load((repository / GITHUB_PAGES).read_text())["jobs"]["build"]
    for one in job["steps"]:
        if "run" in one:
            step(one["run"], one.get("env"))
    assert "pip install --quiet git+https://github.com/me/bench@v1" in (tmp_path / "calls").read_text()
    (upload,) = [one for one in job["steps"] if "upload-pages-artifact" in one.get("uses", "")]
    check_pages(Path(upload["with"]["path"].replace("${{ runner.temp }}", str(tmp_path / "temp"))))
    assert "| digits/train to 96 % | coldstart |" in (tmp_path / "summary").read_text()


def test_the_steps_on_gitlab_build_the_pages(repository, step, tmp_path):
    job = yaml.safe_load((repository / GITLAB_PAGES).read_text())["pages"]
    for script in [*job["before_script"], *job["script"]]:
        step(script, job["variables"])
    assert job["artifacts"]["paths"] == ["public"]
    check_pages(tmp_path / "clone" / "public")
