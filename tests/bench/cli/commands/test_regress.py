"""The whole gate on real runs: a copy of this repository is one revision, and what is changed in it the other."""

from __future__ import annotations

import compileall
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from py_compile import PycInvalidationMode
from xml.etree import ElementTree

import pytest

from bench.cli.commands import regress as regress_command
from bench.cli.commands.baseline import save as save_command
from bench.cli.commands.regress import gate_matrices
from bench.errors import UsageError
from bench.gate.checkout import refuse_elsewhere
from tests import command

REPOSITORY = Path(__file__).resolve().parents[4]
MATRIX = """
recipe: digits
measure: loading
set: {batch_size: 512}
sampling: {relative_error: 1.0, least_samples: 3, least_s: 0.02, timeout_s: 5}
"""
PACKAGES = ("bench", "models", "pipelines")
# What the copy's workers need not import, which each start of a side would: other measures, and torch's compiler.
LEFT_OUT = {
    "bench/execution/preloaded.py": (r"(?s)PRELOADED = \(.*?\n\)\n", 'PRELOADED = ("bench.measures.loading",)\n'),
    "bench/measures/base.py": (r"import torch\._dynamo.*\n", ""),
}


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(root), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def copied(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("regress") / "repository"
    for package in PACKAGES:
        shutil.copytree(
            REPOSITORY / package, root / package, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name, (pattern, instead) in LEFT_OUT.items():
        source, count = re.subn(pattern, instead, (root / name).read_text())
        assert count == 1
        (root / name).write_text(source)
    # Each of many starts would compile every module. A module that is checked by its source's hash is good in every
    # checkout, and is part of the commit, so that both sides have it.
    compileall.compile_dir(root, quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
    (root / ".gitignore").write_text("__pycache__/\n/results/\n")
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "--force", ".")
    git(root, "commit", "--quiet", "--message", "All")
    return root


@pytest.fixture
def repository(copied: Path):
    yield copied
    git(copied, "checkout", "--quiet", "--force", "main")
    assert git(copied, "worktree", "list").count("\n") == 0


def start(repository: Path, *arguments: str, **options) -> subprocess.Popen[str]:
    # Like an installed package, the copy is found wherever one stands.
    environment = os.environ | {"PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    environment.pop("PYTHONSAFEPATH", None)
    return subprocess.Popen(
        command.line(*arguments), env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


def call(repository: Path, *arguments: str, cwd: Path) -> tuple[int, str, str]:
    process = start(repository, *arguments, cwd=cwd)
    out, error = process.communicate(timeout=400)
    return process.returncode, out, error


@pytest.fixture
def here(repository: Path, bench, monkeypatch):
    """The command in this process, as if it were that of the copy: for what ends before anything is measured."""
    for module in (regress_command, save_command):
        monkeypatch.setattr(module, "ROOT", repository)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as in `start`: it is part of what a machine is
    return bench


@pytest.fixture
def matrix(tmp_path) -> str:
    path = tmp_path / "quick.yaml"
    path.write_text(MATRIX)
    return str(path)


def slow_down(repository: Path) -> None:
    path = repository / "pipelines" / "loaders" / "resident.py"
    source = path.read_text()
    changed = source.replace("            yield ", "            __import__('time').sleep(0.004)\n            yield ")
    assert changed != source
    path.write_text(changed)


@pytest.mark.slow
@pytest.mark.timeout(600)  # rounds and their confirmation, each a start of two agents
def test_a_slow_down_in_the_working_tree_is_found_and_the_second_call_knows_it(repository, matrix, tmp_path):
    slow_down(repository)
    # A budget that is enough on a busy machine, too.
    arguments = ["regress", matrix, "--base", "main", "--rounds", "12", "--budget", "9m", "-f", "json"]
    arguments += ["--junit", "gate.xml"]
    code, out, error = call(repository, *arguments, cwd=tmp_path)
    assert code == 1, out + error
    report = json.loads(out)
    epoch = next(one for one in report["findings"] if one["metric"] == "epoch_min_s")
    assert epoch["verdict"] == "slower"
    assert epoch["n"] == 10  # a clear case ends with the first look
    assert "head is the working tree, with changes that are not committed" in report["notes"]
    assert report["head"]["code"]["dirty"] is True
    assert report["base"]["code"]["dirty"] is False
    assert ElementTree.parse(tmp_path / "gate.xml").find("testcase/failure") is not None
    code, out, _ = call(repository, *arguments, cwd=tmp_path)
    assert code == 1
    assert any("10 pairs of runs are those of an earlier call" in note for note in json.loads(out)["notes"])


@pytest.mark.slow
def test_ctrl_c_removes_the_base_and_the_same_command_goes_on(repository, matrix, tmp_path):
    arguments = ["regress", matrix, "--base", "main", "--rounds", "8"]
    process = start(repository, *arguments, cwd=tmp_path)
    deadline_s = time.monotonic() + 100
    gate = tmp_path / "results" / "gate"
    while not any(path.stat().st_size for path in gate.glob("*.jsonl")) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert git(repository, "worktree", "list").count("\n") == 1
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=30)
    assert process.returncode == 130, error
    assert "the same command goes on from there" in out
    assert git(repository, "worktree", "list").count("\n") == 0
    code, out, _ = call(repository, *arguments, "--budget", "1s", "--unsure", "pass", cwd=tmp_path)
    assert code == 0
    assert "are those of an earlier call; --fresh measures all anew" in out
    assert "both sides are the same sources" in out


@pytest.mark.slow
@pytest.mark.timeout(600)  # sixteen rounds, each a start of an agent: minutes on a busy machine
def test_a_stored_baseline_is_saved_listed_held_against_and_dropped(repository, here, matrix, tmp_path):
    answer = here("regress", matrix)
    assert answer.code == 3, answer.err
    assert "`bench baseline save quick` makes one here" in answer.out
    code, out, error = call(repository, "baseline", "save", matrix, "--runs", "8", cwd=tmp_path)
    assert code == 0, error
    assert "8 runs; quick: neighbouring runs differ by" in out
    assert "quick-" in here("baseline", "list").out
    assert "epoch of the loader: median" in here("baseline", "show", "quick").out
    slow_down(repository)
    code, out, error = call(repository, "regress", matrix, "--rounds", "8", "-f", "markdown", cwd=tmp_path)
    assert code == 1 or "but so is the machine" in out, out + error  # where a neighbour slowed the machine down
    answer = here("regress", matrix, "--margin", "0.01%")
    assert (answer.code, "below the noise floor" in answer.err) == (2, True)
    assert here("baseline", "drop", "quick").code == 0
    assert here("baseline", "list").code == 3


@pytest.mark.slow
def test_a_base_that_cannot_be_imported_is_no_baseline(repository, matrix, tmp_path):
    git(repository, "checkout", "--quiet", "-B", "broken")
    (repository / "bench" / "execution" / "runner.py").write_text("import nothing_of_that_name\n")
    git(repository, "commit", "--quiet", "--all", "--message", "Broken")
    git(repository, "checkout", "--quiet", "main")
    code, _, error = call(repository, "regress", matrix, "--base", "broken", cwd=tmp_path)
    assert code == 3
    assert "the base broken cannot be run here: ModuleNotFoundError: No module named 'nothing_of_that_name'" in error


@pytest.mark.slow
def test_a_recipe_that_the_base_has_not_is_no_baseline(repository, matrix, tmp_path):
    recipes = repository / "bench" / "recipes"
    shutil.copy(recipes / "digits.yaml", recipes / "novel.yaml")
    Path(matrix).write_text(MATRIX.replace("recipe: digits", "recipe: novel"))
    try:
        code, out, error = call(repository, "regress", matrix, "--base", "main", cwd=tmp_path)
    finally:
        (recipes / "novel.yaml").unlink()
    assert code == 3, error
    assert "the base cannot run this matrix" in out
    assert "Nothing could be compared: no baseline" in out


def test_a_matrix_is_measured_once_and_two_of_one_name_are_refused(matrix, tmp_path):
    assert gate_matrices([matrix, matrix]) == [Path(matrix).resolve()]
    other = tmp_path / "other" / "quick.yaml"
    other.parent.mkdir()
    other.write_text(MATRIX)
    with pytest.raises(UsageError, match="have one name; rename one, or call twice"):
        gate_matrices([matrix, str(other)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--base", "nowhere"], "--base nowhere: there is no such revision"),
        (["--base", "--help"], "there is no such revision"),
        (["--base", ""], "there is no such revision"),  # an empty variable of CI
        (["nothing"], "unknown matrix 'nothing'"),
        (["--budget", "5"], "'--budget': '5': give a number and a unit"),
        (["--margin", "3"], "'--margin': '3': give percent"),
        (["--rounds", "2"], "--rounds 2: fewer than 8 can tell nothing"),
        (["--out", "/"], "/ cannot be written: Is a directory; name another place"),
        (["--junit", "/"], "/ cannot be written: Is a directory"),
    ],
)
def test_a_mistake_is_one_message(here, arguments, message):
    answer = here("regress", *arguments)
    assert answer.code == 2
    assert message in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("arguments", [["regress"], ["regress", "quick.yaml"], ["baseline", "save"]])
@pytest.mark.parametrize("inside", ["", "src/deep"])
def test_in_another_repository_nothing_is_judged_in_its_stead(
    repository, here, tmp_path, monkeypatch, arguments, inside
):
    folder = tmp_path / "theirs" / inside
    folder.mkdir(parents=True)
    git(tmp_path / "theirs", "init", "--quiet")
    monkeypatch.chdir(folder)
    answer = here(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert f"measures the sources of bench itself, which are in {repository}" in " ".join(answer.err.split())
    assert f"{tmp_path / 'theirs'}" in answer.err
    assert not (folder / "results").exists()


def test_in_another_repository_a_base_needs_a_matrix_of_it(here, tmp_path, monkeypatch):
    theirs = tmp_path / "theirs"
    (theirs / "src").mkdir(parents=True)
    git(theirs, "init", "--quiet")
    monkeypatch.chdir(theirs / "src")
    answer = here("regress", "--base", "HEAD")
    assert (answer.code, "has no commit yet" in answer.err) == (2, True)
    git(theirs, "commit", "--quiet", "--allow-empty", "--message", "One")
    answer = here("regress", "--base", "HEAD")
    assert answer.code == 2
    assert f"there is no bench.yaml in {theirs}" in answer.err
    assert "`bench init` writes one" in answer.err
    assert not list(theirs.rglob("results"))


def test_bench_s_own_folders_and_those_of_no_repository_are_no_other_s(copied, tmp_path):
    for folder in (copied, copied / "bench", tmp_path):
        refuse_elsewhere(copied, folder, "bench regress")
    vendored = tmp_path / "theirs" / "vendor" / "bench"
    vendored.mkdir(parents=True)
    git(tmp_path / "theirs", "init", "--quiet")
    refuse_elsewhere(vendored, vendored, "bench regress")
    bare = tmp_path / "theirs.git"
    git(tmp_path, "init", "--quiet", "--bare", str(bare))
    worktree = tmp_path / "worktree"  # where .git is a file
    worktree.mkdir()
    (worktree / ".git").write_text("gitdir: elsewhere")
    for folder in (tmp_path / "theirs", worktree, bare):
        with pytest.raises(UsageError, match="and not those of"):
            refuse_elsewhere(vendored, folder, "bench regress")


def test_what_is_no_checkout_says_what_to_do_instead(tmp_path):
    for package in PACKAGES:
        shutil.copytree(
            REPOSITORY / package, tmp_path / package, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    code, _, error = call(tmp_path, "regress", "--base", "main", cwd=tmp_path)
    assert code == 2
    assert "is not a git checkout" in error
    assert "`bench baseline save`, then `bench regress`" in error


def test_nohup_lets_the_gate_go_on_when_the_terminal_closes():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    heard = []
    try:
        for number in (signal.SIGHUP, signal.SIGTERM):
            try:
                with regress_command.sigterm_interrupts():
                    os.kill(os.getpid(), number)
            except KeyboardInterrupt:
                heard.append(number)
        assert heard == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_two_files_are_compared_and_a_missing_one_is_a_mistake(bench, make_run, tmp_path):
    from bench.runs.store import Store

    for name, factor in (("a", 1.0), ("b", 1.2)):
        for position in range(8):
            metrics = {"step_min_s": 0.01 * factor * (1 + position / 1000)}
            Store(tmp_path / f"{name}.jsonl").append(
                make_run(measure="throughput", metrics=metrics, machine={"id": "m1"})
            )
    answer = bench("compare", "a.jsonl", "b.jsonl")
    assert (answer.code, "slower" in answer.out) == (1, True)
    assert bench("compare", "b.jsonl", "a.jsonl").code == 0
    answer = bench("compare", "a.jsonl", "c.jsonl")
    assert (answer.code, "c.jsonl: no such file" in answer.err) == (2, True)
