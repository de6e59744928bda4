"""`bench time` as a user meets it: real processes, a real repository, exit codes, and what is in the record then."""

from __future__ import annotations

import csv
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.command import ENVIRONMENT, bench, records, start

PATTERN = r"epoch (?P<epoch>\d+): acc (?P<accuracy>[\d.]+)"
HEAVY = {"torch", "numpy", "pandas", "scipy", "yaml", "matplotlib", "sklearn", "pyarrow"}


@pytest.fixture(scope="module")
def timed(_own_repository_once, tmp_path_factory):
    """A user's repository in which her script was timed, and what that printed."""
    root = shutil.copytree(_own_repository_once, tmp_path_factory.mktemp("timed") / "own")
    options = [
        "--target",
        "0.9",
        "--first-seed",
        "1",
        "--price",
        "3.6",
        "--task",
        "shapes/train",
        "--epoch-pattern",
        PATTERN,
    ]
    command = [sys.executable, "train.py", "--epochs", "3", "--seed", "{seed}"]
    return root, bench("time", *options, "--", *command, cwd=root)


def test_it_trains_and_says_so(timed):
    _, result = timed
    assert result.returncode == 0, result.stdout + result.stderr
    for word in (
        "train.py, seed 1",
        "load_and_train time",
        "peak memory",
        r"cost at \$3.6/h",
        "Recorded in results/runs",
    ):
        assert re.search(word, result.stdout), result.stdout


def test_its_record_is_one_like_every_other(timed):
    root, _ = timed
    (first,) = records(root)
    assert (first["status"], first["seed"]) == ("ok", 1)
    assert first["recipe"] == "train.py"
    assert first["config"]["command"][-1] == "{seed}"
    assert first["config"]["data"] == {"name": "shapes"}
    assert [row["epoch"] for row in first["epochs"]] == [1, 2, 3]
    assert first["metrics"]["accuracy"] >= 0.9
    # torch alone takes as much.
    assert first["metrics"]["peak_host_bytes"] > 100 << 20
    assert first["metrics"]["own_cpu_s"] > 0
    assert len(first["code"]["commit"]) == 40
    assert (first["code"]["dirty"], first["code"]["changed_during_run"]) == (False, [])
    assert re.fullmatch("[0-9a-f]{12}", first["machine"]["id"])
    assert "epoch 3: acc" in (root / "results" / first["log"]).read_text()


def test_it_stands_in_the_tables_and_boards_beside_a_recipe(timed, make_run, bench, monkeypatch):
    root, _ = timed
    monkeypatch.chdir(root)
    config = {"data": {"name": "shapes"}, "model": {"name": "cnn"}, "target_accuracy": 0.9, "device": "cpu"}
    recipe = make_run(
        recipe="ours",
        config=config,
        machine={"id": "a" * 12, "cpu_model": "CPU"},
        data={"name": "shapes", "official": True},
        metrics={"accuracy": 0.95, "target_accuracy": 0.9, "total_s": 1e4},
        spans=[{"name": "train", "start_s": 0.0, "end_s": 1e4}],
    )
    other = root / "other.jsonl"
    other.write_bytes(recipe.to_json_line())
    try:
        files = ["results/runs/runs.jsonl", "other.jsonl"]
        board = bench("leaderboard", *files, "--task", "shapes/train", "--format", "csv")
    finally:
        other.unlink()
    assert board.code == 0, board.err
    rows = {(row["rule"], row["system"]): row for row in csv.DictReader(board.out.splitlines())}
    assert (rows["coldstart", "train.py"]["rank"], rows["coldstart", "ours"]["rank"]) == ("1", "2")
    assert rows["dawnbench", "train.py"]["rank"] == "1"
    assert "the script does not report when it trained" in rows["speedrun", "train.py"]["reasons"]
    listed = bench("results", "--status", "ok")
    assert listed.out.count("train.py") == 1
    run = bench("results", "show", records(root)[0]["run_id"])
    assert "load_and_train" in run.out


def test_entries_and_logs_are_written_or_refused_with_the_reason(timed, bench, monkeypatch):
    root, _ = timed
    monkeypatch.chdir(root)
    run_id = records(root)[0]["run_id"]
    entry = bench("export", "dawnbench", run_id, "--author", "a", "--email", "a@example.org")
    assert "it is of shapes, and these are DAWNBench's CIFAR10 tasks" in entry.err + entry.out
    log = bench("export", "mllog", run_id)
    assert "the script does not report when it first touched its data" in log.err + log.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--target", "94", "--", "true"], "--target: .*0.94, not 94"),
        (["--epoch-pattern", "acc", "--", "true"], "--epoch-pattern: .*no named group"),
        (["--", "python3", "nothere.py"], "would find no file nothere.py"),
        (["--", "pyhton3", "x"], "no program 'pyhton3'.*did you mean 'python3'"),
        (["--task", "a b", "--", "true"], "--task: .*such as cifar10/train"),
        (["--timeout", "0", "--", "true"], "--timeout"),
        (["--name", "a\nb", "--", "true"], "--name: give 1 to 80 printable"),
        ([], "COMMAND"),
    ],
)
def test_wrong_usage_starts_nothing(tmp_path, bench, arguments, words):
    answer = bench("time", *arguments)
    assert answer.code == 2
    assert re.search(words, answer.err), answer.err
    assert "Traceback" not in answer.err
    assert records(tmp_path) == []


def test_a_failure_is_a_result_and_the_next_seed_has_its_turn(tmp_path):
    result = bench("time", "--seeds", "2", "--", "sh", "-c", "echo cannot; exit $BENCH_SEED", cwd=tmp_path)
    assert result.returncode == 1
    assert [run["status"] for run in records(tmp_path)] == ["ok", "crashed"]
    assert "seed 1: crashed: it ended with exit code 1; its last line was: cannot" in result.stdout
    assert "the command has no {seed}" in result.stdout


def test_a_target_that_no_pattern_serves_is_told_before_the_first_run(tmp_path):
    send = """echo '{"event": "epoch", "accuracy": 0.95}' >> "$BENCH_EVENTS" """
    result = bench("time", "--target", "0.9", "--", "sh", "-c", send, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    told = result.stdout.index("Note: without --epoch-pattern, a run fails unless the script itself sends its accuracy")
    assert told < result.stdout.index("sh, seed 0: ok, accuracy 95.00 %")


def test_the_plan_of_a_matrix_tells_it_too(tmp_path, bench):
    (tmp_path / "mine.yaml").write_text("command:\n  argv: sh run.sh\n  target: 0.5\n")
    planned = bench("sweep", "mine.yaml", "--dry-run")
    assert planned.code == 0, planned.err
    assert "Note: without epoch_pattern, a run fails unless the script itself sends its accuracy" in planned.out


def test_ctrl_c_ends_the_command_and_leaves_its_record(tmp_path):
    process = start("time", "--seeds", "3", "--", "sh", "-c", "echo begun; sleep 60", cwd=tmp_path)
    logs = tmp_path / "results" / "logs" / ".running"
    while not any(log.read_text() for log in logs.glob("*.log")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert [run["status"] for run in records(tmp_path)] == ["interrupted"]
    assert "Stopped: 0 of 3 seeds done" in said


def test_nothing_heavy_is_imported(tmp_path):
    program = (
        "import sys; sys.argv = ['bench', 'time', '--', 'true']\nfrom bench.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit:\n"
        f"    print('heavy:', sorted({{name.partition('.')[0] for name in sys.modules}} & {HEAVY!r}))"
    )
    root = Path(__file__).parents[4]
    command = [sys.executable, "-c", program]
    result = subprocess.run(
        command, cwd=tmp_path, env=ENVIRONMENT | {"PYTHONPATH": str(root)}, capture_output=True, text=True, check=True
    )
    assert "heavy: []" in result.stdout


def test_a_sweep_of_commands_runs_in_the_folder_of_its_matrix(tmp_path):
    (tmp_path / "matrices").mkdir()
    (tmp_path / "matrices" / "mine.yaml").write_text(
        "command:\n  argv: sh run.sh {word}\n  epoch_pattern: 'acc (?P<accuracy>[\\d.]+)'\n  target: 0.5\n"
        "axes:\n  word: [good, bad]\n"
    )
    (tmp_path / "matrices" / "run.sh").write_text('[ "$1" = good ] && echo acc 0.9 || echo acc 0.1\n')
    result = bench("sweep", "matrices/mine.yaml", cwd=tmp_path)
    assert result.returncode == 1
    assert [(run["config"]["parameters"], run["status"]) for run in records(tmp_path)] == [
        ({"word": "good"}, "ok"),
        ({"word": "bad"}, "not_reached"),
    ]
    again = bench("sweep", "matrices/mine.yaml", cwd=tmp_path)
    assert "2 done, 0 to run" in again.stdout
