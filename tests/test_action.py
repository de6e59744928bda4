"""The GitHub Action's own steps, with this bench, a repository like a user's, and a `gh` that writes down its calls."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.action_runner import Ran, run_action
from tests.bench.gate.conftest import commit, git_in

ROOT = Path(__file__).resolve().parent.parent
# Each runs the gate itself once or twice, in processes of its own.
pytestmark = pytest.mark.slow
GH = """#!/bin/sh
echo "$@" >> "$GH_CALLS"
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A checkout whose head sleeps for twice as long as its base."""
    root = tmp_path / "workspace"
    root.mkdir()
    git_in(root, "init", "--quiet", "--initial-branch=main")
    (root / "bench.yaml").write_text("command: {argv: python3 train.py}\njudge: wall_s\n")
    for sleep_s in (0.05, 0.1):
        (root / "train.py").write_text(f"import time\ntime.sleep({sleep_s})\n")
        commit(root)
    return root


@pytest.fixture
def act(workspace: Path, tmp_path: Path):
    """Run the action there; the calls of `gh` are in the file `calls`."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "gh").write_text(GH.replace("$GH_CALLS", str(tmp_path / "calls")))
    (tools / "gh").chmod(0o755)
    (tools / "bench").write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} PYTHONSAFEPATH=1 exec {sys.executable} -m bench "$@"\n')
    (tools / "bench").chmod(0o755)
    (tmp_path / "temp").mkdir()
    path = f"{tools}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def run(base: str, **inputs: str) -> Ran:
        github = {
            "token": "secret",
            "repository": "me/mine",
            "action_path": str(ROOT),
            "event": {
                "pull_request": {"base": {"sha": base}, "number": 7, "head": {"repo": {"full_name": "me/mine"}}},
            },
        }
        inputs = {"command": str(tools / "bench"), "budget": "60s", **inputs}
        return run_action(ROOT / "action.yml", inputs, github, workspace, tmp_path / "temp", path)

    return run


def test_a_slower_head_fails_with_a_report_and_a_comment(act, workspace, tmp_path):
    ran = act(git_in(workspace, "rev-parse", "HEAD~1"))
    assert ran.exit_code == 1, ran.log
    assert ran.outputs["exit-code"] == "1"
    assert ran.outcomes["Measure"] == 0  # so that the comment is made
    assert "Regression: bench (slower)" in ran.summary
    listing, post = (tmp_path / "calls").read_text().splitlines()
    assert listing.startswith("api --paginate repos/me/mine/issues/7/comments")
    assert post.startswith("api --silent --method POST repos/me/mine/issues/7/comments")
    assert Path(ran.outputs["report"]).read_text() == ran.summary
    assert "Push the notes" not in ran.outcomes
    assert git_in(workspace, "status", "--porcelain") == ""


def test_equal_code_passes_and_a_missing_base_does_as_asked(act, workspace):
    git_in(workspace, "commit", "--quiet", "--allow-empty", "--message", "Nothing")
    assert act(git_in(workspace, "rev-parse", "HEAD~1"), comment="false").exit_code == 0
    git_in(workspace, "rm", "--quiet", "train.py")
    commit(workspace)
    (workspace / "train.py").write_text("print('new')\n")
    commit(workspace)
    lost = act(git_in(workspace, "rev-parse", "HEAD~1"), comment="false")
    assert (lost.exit_code, lost.outputs["exit-code"]) == (0, "3"), lost.log
    assert act(git_in(workspace, "rev-parse", "HEAD~1"), comment="false", **{"no-base": "fail"}).exit_code == 3


def test_a_wrong_matrix_fails_and_says_so_in_the_summary(act, workspace):
    (workspace / "bench.yaml").write_text("comand: x\n")
    ran = act("HEAD~1", comment="false")
    assert ran.exit_code == 2
    assert "unknown key 'comand'" in ran.log
    assert "exit code 2" in ran.summary


def test_notes_are_pushed_beside_those_of_another_job(act, workspace, tmp_path):
    origin = tmp_path / "origin.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", str(workspace), str(origin)], check=True)
    git_in(workspace, "remote", "add", "origin", str(origin))
    git_in(origin, "notes", "--ref=bench", "add", "-m", "of another job", "HEAD~1")
    ran = act("HEAD~1", comment="false", note="true", budget="20s")
    assert ran.outcomes["Push the notes"] == 0, ran.log
    assert git_in(origin, "notes", "--ref=bench", "show", "HEAD~1") == "of another job"
    assert '"cell": "bench"' in git_in(origin, "notes", "--ref=bench", "show", "HEAD")
