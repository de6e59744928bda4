"""What the steps of the GitHub Action decide by themselves: with a `bench` and a `gh` that only note their calls."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.action_runner import Ran, run_action
from tests.bench.gate.conftest import commit, git_in

ROOT = Path(__file__).resolve().parent.parent
BENCH = """#!/bin/sh
printf '%s\\n' "$@" > "$TMPDIR/bench-call"
case "$*" in *wrong.yaml*) exit 2;; esac
while [ $# -gt 0 ]; do [ "$1" != --out ] || echo "the report" > "$2"; shift; done
"""
# What it lists are the ids of the comments that bear the mark.
GH = """#!/bin/sh
echo "$@" >> "$TMPDIR/gh-calls"
case "$*" in *--paginate*) cat "$TMPDIR/comments";; *PATCH*comments/13" "*) exit 1;; esac
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A repository of two commits."""
    root = tmp_path / "work space"
    root.mkdir()
    git_in(root, "init", "--quiet", "--initial-branch=main")
    commit(root)
    commit(root)
    return root


@pytest.fixture
def temp(tmp_path: Path) -> Path:
    folder = tmp_path / "temp"
    folder.mkdir()
    return folder


@pytest.fixture
def act(workspace: Path, tmp_path: Path, temp: Path):
    """Run the action there for an event; what became of it, and the words that bench was called with."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("bench", BENCH), ("gh", GH)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)

    def run(event: dict[str, Any], **inputs: str) -> tuple[Ran, list[str]]:
        github = {"token": "secret", "repository": "me/mine", "action_path": str(ROOT), "event": event}
        inputs = {"command": str(tools / "bench"), **inputs}
        path = f"{tools}{os.pathsep}{os.environ['PATH']}"
        ran = run_action(ROOT / "action.yml", inputs, github, workspace, temp, path)
        return ran, (temp / "bench-call").read_text().splitlines()

    return run


def pull_request(base: str, head: str) -> dict[str, Any]:
    return {
        "pull_request": {"number": 7, "base": {"sha": base}, "head": {"sha": head, "repo": {"full_name": "me/mine"}}}
    }


def wheel(folder: Path, name: str, code: str) -> Path:
    """A package of one module, whose `main` is the program `bench`."""
    path, about = folder / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": code,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": f"[console_scripts]\nbench = {name}:main\n",
        f"{about}/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return path


@pytest.mark.slow  # a virtual environment with pip
def test_bench_sees_the_packages_of_the_repository_s_virtual_environment_and_changes_none(workspace, tmp_path, temp):
    theirs = tmp_path / "theirs"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", theirs], check=True)
    (site,) = theirs.glob("lib/python*/site-packages")
    (site / "only_theirs.py").write_text("NAME = 'only theirs'\n")
    told = """
import os, only_theirs
def main():
    with open(os.environ["TMPDIR"] + "/seen", "w") as file:
        file.write(only_theirs.NAME)
"""
    github = {"token": "", "repository": "", "action_path": str(wheel(tmp_path, "fake_bench", told)), "event": {}}
    inputs = {"python": str(theirs / "bin" / "python")}
    ran = run_action(ROOT / "action.yml", inputs, github, workspace, temp, os.environ["PATH"])
    assert ran.exit_code == 0, ran.log
    assert (temp / "seen").read_text() == "only theirs"
    assert {path.name for path in site.iterdir()} <= {"only_theirs.py", "__pycache__"}


def base_of(words: list[str]) -> str:
    return words[words.index("--base") + 1]


def test_a_pull_request_is_compared_with_the_commit_that_it_was_merged_into(act, workspace):
    stale = git_in(workspace, "rev-parse", "HEAD")
    git_in(workspace, "checkout", "--quiet", "-b", "theirs")
    (workspace / "theirs.py").touch()
    head = commit(workspace)
    git_in(workspace, "checkout", "--quiet", "main")
    (workspace / "others.py").touch()
    commit(workspace)  # since the event
    git_in(workspace, "merge", "--quiet", "--no-ff", "--message", "As GitHub does", "theirs")
    assert base_of(act(pull_request(stale, head))[1]) == "HEAD^1"
    assert base_of(act(pull_request(stale, head), base="main~2")[1]) == "main~2"
    git_in(workspace, "checkout", "--quiet", "theirs")  # as `ref:` of the checkout may ask for
    assert base_of(act(pull_request(stale, head))[1]) == stale


@pytest.mark.parametrize("before", ["0" * 40, "1" * 40, None], ids=["a new branch", "a push by force", "no push"])
def test_without_a_commit_before_it_a_push_is_compared_with_its_parent(act, workspace, before):
    assert base_of(act({"before": before})[1]) == "HEAD^"
    known = git_in(workspace, "rev-parse", "HEAD~1")
    assert base_of(act({"before": known})[1]) == known


def test_matrices_may_stand_on_several_lines(act):
    _, words = act({}, matrix="a.yaml b.yaml\nc.yaml\n")
    assert words[:5] == ["regress", "a.yaml", "b.yaml", "c.yaml", "--base"]
    assert act({})[1][:2] == ["regress", "--base"]


def test_the_report_of_an_earlier_call_in_the_job_is_not_told_again(act):
    assert act({})[0].summary == "the report\n"
    ran, _ = act({}, matrix="wrong.yaml")
    assert (ran.exit_code, "nothing was measured (exit code 2)" in ran.summary) == (2, True)
    assert ran.summary.count("the report") == 1  # the summary is that of the whole job


@pytest.mark.parametrize(
    ("comments", "wanted"),
    [
        (None, ["POST repos/me/mine/issues/7/comments"]),
        ("", ["POST repos/me/mine/issues/7/comments"]),
        ("11\n12\n", ["PATCH repos/me/mine/issues/comments/12"]),
        ("13\n", ["PATCH repos/me/mine/issues/comments/13", "POST repos/me/mine/issues/7/comments"]),
    ],
    ids=["no answer", "the first", "one of an earlier push", "one of another user"],
)
def test_only_a_comment_of_its_own_is_changed(act, temp, comments, wanted):
    if comments is not None:
        (temp / "comments").write_text(comments)
    ran, _ = act(pull_request("HEAD~1", "0" * 40))
    listing, *calls = (temp / "gh-calls").read_text().splitlines()
    assert "startswith(env.MARK)" in listing
    assert [call.partition("--method ")[2].partition(" --field")[0] for call in calls] == wanted
    assert (temp / "bench-comment.md").read_text().startswith("<!-- bench speed gate, ")
    assert (temp / "bench-comment.md").read_text().endswith("-->\n\nthe report\n")
    assert ran.exit_code == 0, ran.log


def test_where_nothing_was_noted_nothing_is_pushed(act):
    ran, _ = act({}, note="true")
    assert (ran.outcomes["Push the notes"], "could not be pushed" in ran.log) == (0, False)
