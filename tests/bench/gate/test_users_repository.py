"""`bench regress` in a repository like a user's: real git, real commands, real processes."""

from __future__ import annotations

import json
import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.cli.commands.regress import RegressOptions, regress
from bench.cli.gate_options import ReportFormat, ReportOutput
from bench.errors import BenchError, MissingError, UsageError
from bench.execution import imports
from bench.execution.leftovers import Leftovers
from bench.gate import users_repository, users_side
from bench.gate.preparation import Environment
from bench.gate.snapshot import Snapshot
from bench.gate.subject import Sides
from bench.gate.users_repository import UsersRepository
from bench.gate.users_side import UsersSide
from bench.text.console import LastingConsole
from tests.bench.gate.conftest import commit, git_in

MATRIX = """
command:
  argv: python3 train.py
  epoch_pattern: 'acc (?P<accuracy>[.0-9]+)'
judge: [wall_s, accuracy]
"""
RECIPE_MATRIX = """
recipe: recipe.yaml
measure: throughput
sampling: {relative_error: 1.0, least_samples: 2, least_s: 0.01, timeout_s: 5}
"""
SCRIPT = """
import time
import settings
time.sleep(settings.SLEEP_S)
print("acc", settings.ACCURACY)
"""
REPORTING = """
import json, os, settings
event = {"event": "metrics", "tokens_per_s": 1e3 / settings.SLEEP_S}
open(os.environ["BENCH_EVENTS"], "a").write(json.dumps(event) + chr(10))
"""


class Theirs:
    """A repository whose script's speed and accuracy are lines of a module."""

    def __init__(self, root: Path, console: LastingConsole) -> None:
        self.root, self.console = root, console
        root.mkdir()
        git_in(root, "init", "--quiet", "--initial-branch=main")
        (root / "bench.yaml").write_text(MATRIX)
        (root / "train.py").write_text(SCRIPT)
        self.change()
        commit(root)

    def change(self, sleep_s: float = 0.05, accuracy: float = 0.9) -> None:
        (self.root / "settings.py").write_text(f"SLEEP_S = {sleep_s}\nACCURACY = {accuracy}\n")

    def regress(self, *matrices: str, **options) -> tuple[int, dict]:
        """The exit code, and the report."""
        out = self.root.parent / "report.json"
        options = {"base": "HEAD", "budget_s": 200.0, "results": self.root / "results"} | options
        output = ReportOutput(format=ReportFormat.json, out=out)
        code = regress(RegressOptions(list(matrices), output=output, **options), self.console)
        return code, json.loads(out.read_text())


@pytest.fixture
def theirs(tmp_path, monkeypatch) -> Theirs:
    made = Theirs(tmp_path / "theirs", LastingConsole(width=200))
    # These are measured by torch, and are about the machine alone.
    monkeypatch.setattr(users_side, "measured_apart", lambda kernels, device: None)
    monkeypatch.setattr("bench.gate.lock.lock_path", lambda: tmp_path / "lock")
    monkeypatch.chdir(made.root)
    return made


def verdicts(report: dict) -> dict[str, str]:
    return {one.get("metric", "cell"): one["verdict"] for one in report["findings"]}


def of_which_process(_device):
    return {"process": float(os.getpid())}


def test_the_gate_holds_no_gpu_while_commands_are_timed(tmp_path, monkeypatch):
    """Reference kernels on a GPU would leave a context and their memory to the process that calls them."""
    monkeypatch.setattr(users_side, "reference_kernels", of_which_process)
    side = users_side.UsersSide(None, None, tmp_path, lambda: None)
    assert side.ask("reference", device="cpu")["process"] != os.getpid()


@pytest.mark.slow  # ten rounds, ten more in the second checkout, and the profiles
def test_a_slow_down_is_found_confirmed_and_explained(theirs):
    theirs.change(sleep_s=0.3)
    code, report = theirs.regress()
    assert code == 1
    assert verdicts(report) == {"wall_s": "slower", "accuracy": "same"}
    slower = report["findings"][0]
    assert "confirmed by a second checkout at another path: +" in slower["reason"]
    assert slower["cause"][0]["kind"] == "function"
    assert "sleep" in slower["cause"][0]["name"]
    assert "with changes that are not committed: settings.py" in " ".join(report["notes"])
    assert report["head"]["code"]["dirty"] is True
    assert report["head"]["code"]["commit"] == report["base"]["code"]["commit"]
    assert git_in(theirs.root, "status", "--porcelain") == "M settings.py"
    assert len(git_in(theirs.root, "worktree", "list").splitlines()) == 1


@pytest.mark.slow  # ten rounds
def test_a_second_checkout_of_other_code_confirms_nothing(theirs, monkeypatch):
    theirs.change(sleep_s=0.15)
    as_it_is = UsersRepository.open

    def after_a_change(subject: UsersRepository, place: int, open_sides: ExitStack) -> Sides:
        if place:
            theirs.change(sleep_s=0.16)
        return as_it_is(subject, place, open_sides)

    monkeypatch.setattr(UsersRepository, "open", after_a_change)
    with pytest.raises(UsageError, match="the sources were changed while they were measured"):
        theirs.regress()
    assert len(git_in(theirs.root, "worktree", "list").splitlines()) == 1


def test_the_base_stays_the_commit_that_it_was_at_first(theirs):
    first = git_in(theirs.root, "rev-parse", "HEAD")
    subject = UsersRepository(theirs.root, "main", [], {}, "cpu", 0, theirs.root / "results", print)
    theirs.change(sleep_s=0.06)
    commit(theirs.root)
    with ExitStack() as open_sides, pytest.raises(UsageError, match="no cell of these matrices"):
        subject.open(0, open_sides)
    assert subject.base.code["commit"] == first


def test_an_accuracy_loss_fails_and_an_earlier_call_counts(theirs):
    theirs.change(accuracy=0.8)
    commit(theirs.root)
    code, report = theirs.regress(base="HEAD~1")
    assert (code, verdicts(report)["accuracy"]) == (1, "less accurate")
    code, report = theirs.regress(base="HEAD~1", budget_s=1.0)
    assert code == 1
    assert any("pairs of runs are those of an earlier call" in note for note in report["notes"])


def test_pairs_do_not_count_in_a_test_that_was_planned_for_other_rounds(theirs, capsys):
    quick = MATRIX.replace("python3 train.py", "echo acc 0.9").replace("[wall_s, accuracy]", "[accuracy]")
    (theirs.root / "bench.yaml").write_text(quick)
    commit(theirs.root)
    assert "test" not in " ".join(theirs.regress(rounds=8)[1]["notes"])
    for rounds in (10, 8):  # more would spend the rate of false alarms twice, and fewer look at what was seen
        notes = " ".join(theirs.regress(rounds=rounds)[1]["notes"])
        assert f"its pairs do not count in this one of {rounds}: each test alone calls at most 1 % of equal" in notes
        assert ("are those of an earlier call" in notes) is (rounds == 8)
    assert "Measuring 10 new rounds: pairs of a test that was planned for 8 do not count" in capsys.readouterr().out
    assert {path.name.partition("-of-")[2] for path in (theirs.root / "results/gate").glob("*.jsonl")} == {
        "8.jsonl",
        "10.jsonl",
    }
    assert "test" not in " ".join(theirs.regress(rounds=12, fresh=True)[1]["notes"])


def test_pairs_of_other_packages_do_not_count_and_sides_that_differ_in_them_are_told(theirs, monkeypatch):
    quick = MATRIX.replace("python3 train.py", "echo acc 0.9").replace("[wall_s, accuracy]", "[accuracy]")
    (theirs.root / "bench.yaml").write_text(quick)
    commit(theirs.root)
    told = []
    monkeypatch.setattr(users_repository, "installed", lambda *_: {"numpy": told.pop()})
    notes = []
    for of_base, of_head in (("1.0", "1.0"), ("1.0", "1.0"), ("2.0", "2.0"), ("1.0", "2.0")):
        told += [of_head, of_base]
        notes.append(" ".join(theirs.regress(rounds=8)[1]["notes"]))
    assert ["of an earlier call" in note for note in notes] == [False, True, False, False]
    assert "the sides have other packages, by `prepare`: numpy 1.0 → 2.0" in notes[-1]


def test_a_figure_of_the_script_s_own_is_judged_by_its_unit_and_one_that_is_not_reported_is_told(theirs):
    (theirs.root / "train.py").write_text(REPORTING)
    (theirs.root / "bench.yaml").write_text("command: python3 train.py\njudge: [tokens_per_s, loading_s]\n")
    commit(theirs.root)
    theirs.change(sleep_s=0.06)
    code, report = theirs.regress(fresh=True)
    told = {one.get("metric", one["reason"]): one["verdict"] for one in report["findings"]}
    assert (code, told) == (1, {"tokens_per_s": "slower", "not every run reports loading_s": "no_baseline"})


def test_each_side_is_prepared_in_its_own_environment(theirs, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "")
    (theirs.root / "bench.yaml").write_text("command: python train.py\nprepare: [echo prepared > made.txt]\n")
    (theirs.root / "train.py").write_text(
        "print(open('made.txt').read())\nimport sys; assert '.bench-env' in sys.prefix"
    )
    commit(theirs.root)
    code, report = theirs.regress(budget_s=4.0)
    assert code == 0, report
    assert not (theirs.root / "made.txt").exists()


@pytest.mark.slow  # two agents import torch for each of two rounds
def test_a_recipe_runs_the_network_of_each_side(own_repository, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.gate.lock.lock_path", lambda: tmp_path / "lock")
    monkeypatch.chdir(own_repository.root)
    (own_repository.root / "bench.yaml").write_text(RECIPE_MATRIX)
    own_repository.change("models/cnn.py", "    def forward(", "    def forwards(")
    out = tmp_path / "report.json"
    output = ReportOutput(format=ReportFormat.json, out=out)
    options = RegressOptions(None, "HEAD", 60.0, results=tmp_path / "results", output=output)
    assert regress(options, LastingConsole(width=200)) == 1
    (finding,) = json.loads(out.read_text())["findings"]
    assert (finding["verdict"], "forward" in finding["reason"]) == ("broken", True), finding
    assert "models/cnn.py" in own_repository.git("status", "--porcelain")


def opened_side(folder: Path, matrix: str) -> tuple[UsersSide, dict]:
    """A side without an agent, and what it says of a matrix of commands."""
    (folder / "mine.yaml").write_text(matrix)
    side = UsersSide(Snapshot(folder, "0" * 40), Environment({}), folder, lambda: pytest.fail("no agent is needed"))
    return side, side.ask("open", path=str(folder / "mine.yaml"), device="cpu", found=0)


def test_a_shell_s_text_that_is_too_long_for_a_file_s_name_is_no_missing_file(tmp_path):
    _, opened = opened_side(tmp_path, f"command: {{argv: [sh, -c, 'echo {'x' * 300}']}}\n")
    assert [cell["skip"] for cell in opened["cells"]] == [None]


def test_ctrl_c_is_heard_after_the_command_has_ended_too(tmp_path, monkeypatch):
    side, _ = opened_side(tmp_path, "command: 'true'\n")
    # While what the command may have left running is waited for; then its verdict is there already.
    monkeypatch.setattr(Leftovers, "are_gone", lambda *_: os.kill(os.getpid(), signal.SIGINT) is None)
    with pytest.raises(KeyboardInterrupt):
        side.ask("run", matrix=0, cell=0, seed=0, device="cpu", data=None, cache="", log=str(tmp_path / "log"))


def test_a_git_hook_s_repository_is_not_told_to_commands(tmp_path, monkeypatch):
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "KEPT"):
        monkeypatch.setitem(imports.ENVIRONMENT, name, "of the hook")
    side, _ = opened_side(tmp_path, "command: {argv: [env]}\n")
    side.ask("run", matrix=0, cell=0, seed=0, device="cpu", data=None, cache="", log=str(tmp_path / "log"))
    told = (tmp_path / "log").read_text()
    assert "KEPT=of the hook" in told
    assert "GIT_DIR=" not in told
    assert "GIT_INDEX_FILE=" not in told


def test_a_profile_ends_at_the_time_out_of_the_matrix(tmp_path):
    (tmp_path / "train.py").write_text("import time\ntime.sleep(60)\n")
    side, _ = opened_side(tmp_path, "command: python3 train.py\ntimeout_s: 0.5\n")
    told = side.ask("profile", matrix=0, cell=0, device="cpu", data=None, cache="")
    assert told == {"kind": "function", "seconds": {}}


def test_what_the_base_lacks_leaves_nothing_to_compare(theirs):
    (theirs.root / "bench.yaml").unlink()
    (theirs.root / "train.py").unlink()
    commit(theirs.root)
    (theirs.root / "bench.yaml").write_text(MATRIX)
    (theirs.root / "train.py").write_text(SCRIPT)
    code, report = theirs.regress()
    assert code == 3
    assert report["findings"][0]["reason"] == "in the base: there is no train.py"


def test_a_head_that_fails_is_broken_with_what_it_said(theirs):
    (theirs.root / "settings.py").write_text("raise RuntimeError('no such setting')\n")
    code, report = theirs.regress()
    assert (code, verdicts(report)) == (1, {"cell": "broken"})
    assert "no such setting" in report["findings"][0]["reason"]


@pytest.mark.parametrize(
    ("side", "error", "why"),
    [("base", MissingError, "the base HEAD cannot be prepared"), ("head", BenchError, "head cannot be prepared")],
)
def test_a_preparation_that_fails_is_one_message(theirs, side, error, why):
    (theirs.root / "bench.yaml").write_text(
        f"command: python3 train.py\nprepare: 'echo no luck; [ ${{PWD##*/}} != {side} ]'\n"
    )
    with pytest.raises(error, match=rf"(?s){why}: .*exit code 1.*no luck") as caught:
        theirs.regress()
    assert caught.value.exit_code == error.exit_code
    assert len(git_in(theirs.root, "worktree", "list").splitlines()) == 1


@pytest.mark.parametrize(
    ("matrix", "why"),
    [
        (
            "command: python3 train.py\njudge: [wall]\n",
            r"bench.yaml:2: 'wall' is no metric .*did you mean 'wall_s'",
        ),
        ("command: python3 train.py\nshared: [nowhere]\n", "shared: there is no .*nowhere"),
        ("comand: x\n", r"bench.yaml:1: unknown key 'comand' \(did you mean 'command'"),
    ],
)
def test_a_mistake_in_bench_yaml_is_told_with_its_place(theirs, matrix, why):
    (theirs.root / "bench.yaml").write_text(matrix)
    with pytest.raises(UsageError, match=why):
        theirs.regress()


def test_a_note_needs_two_commits_and_is_written_to_head(theirs):
    theirs.change(sleep_s=0.06)
    with pytest.raises(UsageError, match=r"--note: .*changes that are not committed"):
        theirs.regress(note=True)
    commit(theirs.root)
    with pytest.raises(UsageError, match="base and head are one commit"):
        theirs.regress(note=True)
    theirs.regress(base="HEAD~1", note=True, rounds=8)
    noted = json.loads(git_in(theirs.root, "notes", "--ref=bench", "show", "HEAD"))
    assert noted["base"] == git_in(theirs.root, "rev-parse", "HEAD~1")
    assert [len(figure["rises"]) for figure in noted["figures"]] == [8, 8]
