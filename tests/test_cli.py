"""The command line as a user meets it: real processes, real files, exit codes, and no traceback."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import bench
from tests import command
from tests.command import read_until, records
from tests.processes import left_after

TINY = ["--device", "cpu", "--set", "epochs=0.2", "--set", "target_accuracy=null"]


def assert_refused(result, code: int, *words: str) -> None:
    assert result.returncode == code, result.stdout + result.stderr
    for word in words:
        assert re.search(word, result.stderr), result.stderr
    assert "Traceback" not in result.stdout + result.stderr


@pytest.fixture(scope="module")
def reached(tmp_path_factory):
    """One full run of the digits recipe, and the folder that it was run in."""
    folder = tmp_path_factory.mktemp("reached")
    return command.bench("run", "digits", "--price", "3.6", cwd=folder), folder


def test_digits_reaches_its_target_and_says_so(reached):
    result, _ = reached
    assert result.returncode == 0, result.stdout + result.stderr
    for word in (
        "accuracy",
        "train time",
        "samples/s",
        "peak memory",
        r"cost at \$3.6/h",
        r"Recorded in results/runs/runs.jsonl",
    ):
        assert re.search(word, result.stdout), result.stdout


def test_the_record_is_complete(reached):
    _, folder = reached
    (record,) = records(folder)
    assert record["status"] == "ok"
    assert record["command"].startswith("bench run digits")
    assert record["metrics"]["accuracy"] >= record["metrics"]["target_accuracy"]
    assert record["metrics"]["parameters"] > 0
    assert record["metrics"]["forward_flops_per_example"] > 0
    assert record["metrics"]["peak_host_bytes"] > 1e7
    assert record["data"]["official"] is True
    assert len(record["data"]["fingerprint"]) == 64
    assert re.fullmatch("[0-9a-f]{12}", record["machine"]["id"])
    assert record["code"]["sources_sha256"]
    assert record["code"]["changed_during_run"] == []
    assert not [name for name in record["code"]["loaded"] if "not of this Python" in name]
    assert record["versions"]["torch"]
    assert record["config"]["batch_size"] == 64
    assert record["config"]["precision"] == record["config"]["resolved"]["precision"] in ("fp32", "bf16", "fp16")
    assert 0 < record["metrics"]["time_to_target_s"] <= record["metrics"]["total_s"]
    assert len(record["epochs"]) == record["metrics"]["epochs"]
    assert record["metrics"]["own_cpu_s"] > 0
    assert "contended" in record["metrics"]


def test_the_spans_cover_the_run_in_order_without_overlap(reached):
    _, folder = reached
    (record,) = records(folder)
    spans = record["spans"]
    assert [span["name"] for span in spans[:7]] == ["start", "import", "device", "data", "build", "init", "compile"]
    assert {"train", "eval", "final_eval"} <= {span["name"] for span in spans}
    assert all(a["end_s"] <= b["start_s"] for a, b in itertools.pairwise(spans))
    covered = sum(span["end_s"] - span["start_s"] for span in spans)
    assert 0.8 * record["metrics"]["total_s"] < covered <= record["metrics"]["total_s"]
    # Of each but the start, which is over before anybody can look, it is known what else the machine did.
    assert ["host" in span for span in spans] == [False] + [True] * (len(spans) - 1)
    assert sum(span["host"]["own_cpu_s"] for span in spans[1:]) <= record["metrics"]["own_cpu_s"]


def test_load_gives_the_run_as_frames(reached):
    _, folder = reached
    runs, epochs = bench.load(results=folder / "results")
    assert list(runs["status"]) == ["ok"]
    assert runs["config.model.name"].item() == "darknet"
    assert runs["accuracy"].item() == records(folder)[0]["metrics"]["accuracy"]
    assert runs["span.train_s"].item() == pytest.approx(runs["train_s"].item())
    assert len(epochs) == int(runs["epochs"].item())


def test_seeds_make_a_run_each_and_a_seed_repeats_itself(tmp_path):
    result = command.bench("run", "digits", *TINY, "--seeds", 2, cwd=tmp_path)
    assert result.returncode == 0
    assert "seed 1" in result.stdout
    assert "±" not in result.stdout
    assert command.bench("run", "digits", *TINY, "--first-seed", 1, cwd=tmp_path).returncode == 0
    assert [record["seed"] for record in records(tmp_path)] == [0, 1, 1]
    losses = [record["metrics"]["loss"] for record in records(tmp_path)]
    assert losses[0] != losses[1] == losses[2]


# All others are told in the tests' own process, by test_hostile_input.py and test_run.py in tests/bench/cli/commands.
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "digts"], [r"unknown recipe 'digts' \(did you mean 'digits'\?\)"]),
        (["ruin"], ["ruin"]),
    ],
)
def test_a_users_mistake_is_one_message_and_exit_code_2(tmp_path, arguments, words):
    assert_refused(command.bench(*arguments, cwd=tmp_path), 2, *words)
    assert records(tmp_path) == []


def test_missing_data_says_what_where_and_what_else(tmp_path):
    result = command.bench("run", "cifar94", cwd=tmp_path, BENCH_DATA="", BENCH_DATA_URL="http://127.0.0.1:9/")
    assert_refused(
        result,
        3,
        "cifar-10",
        "c58f30108f718f92721af3b95e74349a|c32a1d4ab5d03f1284b67883e8d87530",
        "BENCH_DATA",
        "make bench",
    )


def test_cuda_without_a_gpu_is_exit_3(tmp_path):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert_refused(command.bench("run", "digits", "--device", "cuda", cwd=tmp_path), 3, "--device cuda", "--device cpu")


def start(folder: Path, *arguments: str, until: str = "training") -> subprocess.Popen[str]:
    """A long run, returned once it says `until`."""
    process = command.start("run", "digits", *(arguments or ["--set", "epochs=100000"]), cwd=folder)
    read_until(process, until)
    return process


def worker_of(process: subprocess.Popen) -> int:
    """The child that uses the most memory: the one with torch in it."""
    psutil = pytest.importorskip("psutil")
    return max(psutil.Process(process.pid).children(), key=lambda child: child.memory_info().rss).pid


def test_ctrl_c_records_the_run_as_interrupted(tmp_path):
    process = start(tmp_path, until="evaluating")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    (record,) = records(tmp_path)
    assert record["status"] == "interrupted"
    assert record["metrics"]["steps"] > 0
    assert any(span["name"] == "train" for span in record["spans"])


def test_a_closed_output_ends_neither_the_training_nor_its_record(tmp_path):
    process = start(tmp_path, "--set", "epochs=3", "--set", "target_accuracy=null", until="starting")
    process.stdout.close()
    process.wait(timeout=60)
    (record,) = records(tmp_path)
    assert record["status"] == "ok"
    assert len(record["epochs"]) == 3


def test_a_worker_that_is_killed_is_recorded_as_crashed(tmp_path):
    process = start(tmp_path)
    os.kill(worker_of(process), signal.SIGKILL)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    (record,) = records(tmp_path)
    assert (record["status"], record["reason"]) == ("crashed", "the worker was killed by SIGKILL")
    assert record["machine"]["id"]
    assert record["data"]["name"] == "digits"


def test_a_worker_does_not_outlive_its_parent(tmp_path):
    process = start(tmp_path)
    worker = worker_of(process)
    process.kill()
    process.communicate(timeout=60)
    assert left_after(60, [worker]) == []


def test_help_imports_nothing_heavy():
    code = "import sys, bench.cli.app; print(*{'torch', 'pandas', 'numpy', 'scipy', 'pydantic'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == ""


def test_help_names_every_command_and_the_exit_codes(tmp_path):
    result = command.bench("--help", cwd=tmp_path)
    assert result.returncode == 0
    for word in ("run", "data", "env", "recipes", "leaderboard", "regress", "Exit codes"):
        assert word in result.stdout


def test_env_prints_the_fingerprint_without_names(tmp_path):
    facts = json.loads(command.bench("env", "--json", cwd=tmp_path).stdout)
    assert re.fullmatch("[0-9a-f]{12}", facts["machine"]["id"])
    assert os.uname().nodename not in json.dumps(facts["machine"])


def test_data_lists_every_set(tmp_path):
    result = command.bench("data", cwd=tmp_path)
    assert result.returncode == 0
    for name in ("cifar10", "cifar100", "mnist", "digits", "human_numbers", "mnist_recoloured", "random"):
        assert name in result.stdout
