"""`bench sweep` as a user meets it: real workers, real files, signals, and a store that is resumed."""

import re
import signal
import subprocess

import pytest

from tests.bench.cli.commands.sweeping import wait_for_workers, worker_of
from tests.command import ENVIRONMENT, TIMEOUT_S, bench, read_until, records, start, statuses

TWO_BY_TWO = """
recipe: digits
set: {epochs: 0.2, target_accuracy: null}
axes:
  model.width: [4, 8]
  precision: [fp32, bf16]
"""
FOR_EVER = """
recipe: digits
set: {target_accuracy: null}
axes:
  epochs: [100000, 0.2]
"""


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep of four cells, and the folder that it was run in."""
    folder = tmp_path_factory.mktemp("swept")
    (folder / "mine.yaml").write_text(TWO_BY_TWO)
    return bench("sweep", "mine.yaml", cwd=folder), folder


@pytest.fixture
def plan(bench, monkeypatch):
    """What a sweep of mine.yaml in a folder would do, asked in this process, as it would in one of its own."""

    def plan(folder, *options):
        monkeypatch.chdir(folder)
        monkeypatch.setenv("OMP_NUM_THREADS", ENVIRONMENT["OMP_NUM_THREADS"])  # part of what a machine is
        answer = bench("sweep", "mine.yaml", "--dry-run", *options)
        assert answer.code == 0, answer.out + answer.err
        return answer.out

    return plan


def test_every_cell_is_run_and_recorded(swept):
    result, folder = swept
    assert result.returncode == 0, result.stdout + result.stderr
    made = records(folder)
    assert statuses(folder) == ["ok"] * 4
    assert [(one["config"]["model"]["width"], one["config"]["precision"]) for one in made] == [
        (4, "fp32"), (4, "bf16"), (8, "fp32"), (8, "bf16"),
    ]  # fmt: skip
    assert {(one["sweep"], one["recipe"], one["measure"]) for one in made} == {("mine", "digits", "time_to_accuracy")}
    assert len({one["cell"] for one in made}) == 4
    assert all(one["machine"]["id"] and one["versions"]["torch"] for one in made)


def test_the_output_tells_the_plan_each_run_and_a_row_a_cell(swept):
    result, _ = swept
    for words in (
        r"4 cells × 1 seed, interleaved: 0 done, 4 to run",
        r"Expected: unknown",
        r"mine, run 1 of 4: model.width=4, precision=fp32",
        r"mine, run 4 of 4: ok, accuracy \d",
        r"8 +│ +bf16 +│ +1 ok",
        r"^4 ok$",
        r"Recorded in results/runs/runs.jsonl",
    ):
        assert re.search(words, result.stdout, re.MULTILINE), result.stdout


def test_every_worker_starts_from_what_one_process_has_imported(swept):
    _, folder = swept
    starts = [record["config"]["resolved"]["start"] for record in records(folder)]
    assert len(starts) == 4
    assert len(set(starts)) == 1


def test_a_second_call_runs_nothing(swept, here):
    _, folder = swept
    before = (folder / "results" / "runs" / "runs.jsonl").read_bytes()
    answer = here(folder, "sweep", "mine.yaml")
    assert answer.code == 0, answer.out + answer.err
    assert "4 done, 0 to run" in answer.out
    assert (folder / "results" / "runs" / "runs.jsonl").read_bytes() == before


def test_the_same_point_of_another_command_is_the_same_cell(swept, plan):
    _, folder = swept
    (folder / "mine.yaml").write_text(TWO_BY_TWO.replace("[4, 8]", "[8, 16]"))
    planned = plan(folder)
    (folder / "mine.yaml").write_text(TWO_BY_TWO)
    assert "2 done, 2 to run" in planned
    assert re.search(rf"{records(folder)[2]['cell'][:8]} │ 8 +│ fp32 +│ 1 ok │", planned), planned
    assert re.search(r"16 +│ bf16 +│ +0 │ +1 │ +unknown", planned), planned
    assert len(records(folder)) == 4


def test_only_selects_cells_and_rerun_takes_them_again_with_a_known_duration(swept, plan):
    _, folder = swept
    planned = plan(folder, "--only", "model.width=4", "--only", "precision=bf16", "--rerun", "all")
    assert "1 cell × 1 seed, interleaved: 0 done, 1 to run" in planned
    assert re.search(r"Expected: \d", planned)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["digts"], r"unknown matrix 'digts' \(did you mean 'digits'\?\)"),
        (["mine.yaml", "--only", "model.widht=4"], r"does not vary 'model.widht' \(did you mean 'model.width'\?\)"),
        (["mine.yaml", "--only", "model.width=5"], r"model.width is never 5; it is 4 or 8"),
        (["mine.yaml", "--only", "model.width"], r"--only model.width: write key=value"),
        (["mine.yaml", "--rerun", "some"], r"--rerun some: give failed, all, or the id of a cell"),
        (["mine.yaml", "--limit", "0"], r"limit"),
    ],
)
def test_a_users_mistake_is_one_message_and_exit_code_2(tmp_path, bench, arguments, words):
    (tmp_path / "mine.yaml").write_text(TWO_BY_TWO)
    answer = bench("sweep", *arguments)
    assert answer.code == 2, answer.out + answer.err
    assert re.search(words, answer.err), answer.err
    assert "Traceback" not in answer.out + answer.err
    assert not (tmp_path / "results").exists()


def test_statuses_are_mixed_and_the_sweep_goes_on(here, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        """
recipe: digits
set: {target_accuracy: null, epochs: 0.2}
include:
  - {arm: explodes, optimizer.lr: 1.0e+30}
  - {arm: impossible, model.blocks: [1, 1, 1, 1, 1]}
  - {arm: incompatible, compile: true}
  - {arm: many, devices: 8}
  - {arm: endless, epochs: 1000000}
  - {arm: fine}
timeout_s: 3
""",
    )
    answer = here(tmp_path, "sweep", "mine.yaml")
    assert answer.code == 1, answer.out + answer.err
    made = {record["config"]["arm"]: record for record in records(tmp_path)}
    assert {arm: record["status"] for arm, record in made.items()} == {
        "explodes": "diverged",
        "impossible": "skipped",
        "incompatible": "skipped",
        "many": "skipped",
        "endless": "timeout",
        "fine": "ok",
    }
    assert "the loss is" in made["explodes"]["reason"]
    assert "needs 16 pixels, not 8" in made["impossible"]["reason"]
    assert "needs warm_up_steps" in made["incompatible"]["reason"]
    assert made["many"]["reason"].startswith("needs 8 CPU cores, found ")
    assert made["endless"]["reason"].startswith("not done after timeout_s = 3 seconds")
    assert made["endless"]["metrics"]["steps"] > 0
    assert "3 skipped, 1 diverged, 1 timeout, 1 ok" in answer.out
    assert "--rerun failed" in answer.out
    again = here(tmp_path, "sweep", "mine.yaml")
    assert (again.code, "6 done, 0 to run" in again.out) == (1, True), again.out
    assert len(records(tmp_path)) == 6


def test_two_runners_on_one_store_run_every_cell_once(tmp_path):
    (tmp_path / "mine.yaml").write_text(TWO_BY_TWO)
    processes = [start("sweep", "mine.yaml", cwd=tmp_path) for _ in range(2)]
    said = [process.communicate(timeout=TIMEOUT_S)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert sorted(re.search(r"(\d) done, \d to run", output)[1] for output in said) == ["0", "4"]
    assert statuses(tmp_path) == ["ok"] * 4


def test_a_worker_that_is_killed_is_a_row_and_the_sweep_goes_on(tmp_path):
    (tmp_path / "mine.yaml").write_text(FOR_EVER)
    process = start("sweep", "mine.yaml", cwd=tmp_path)
    worker_of(process).kill()
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1, output
    assert [(one["status"], one["reason"]) for one in records(tmp_path)] == [
        ("crashed", "the worker was killed by SIGKILL"),
        ("ok", None),
    ]


def test_ctrl_c_once_finishes_the_run_and_the_same_command_goes_on(tmp_path, plan):
    (tmp_path / "mine.yaml").write_text(TWO_BY_TWO.replace("epochs: 0.2", "epochs: 10"))
    process = start("sweep", "mine.yaml", "--limit", 2, cwd=tmp_path)
    worker_of(process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert statuses(tmp_path) == ["ok"]
    assert "the same command runs the rest" in output
    assert "1 done, 3 to run" in plan(tmp_path)


def test_ctrl_c_in_the_last_run_leaves_nothing_and_is_no_failure(tmp_path):
    (tmp_path / "mine.yaml").write_text("recipe: digits\nset: {target_accuracy: null, epochs: 10}\n")
    process = start("sweep", "mine.yaml", cwd=tmp_path)
    worker_of(process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, output
    assert statuses(tmp_path) == ["ok"]
    assert "the same command runs the rest" not in output


def test_ctrl_c_twice_stops_now_and_the_run_is_not_done(tmp_path, plan):
    (tmp_path / "mine.yaml").write_text(FOR_EVER)
    process = start("sweep", "mine.yaml", cwd=tmp_path)
    worker_of(process)
    process.send_signal(signal.SIGINT)
    read_until(process, "stopping after this run")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, output
    assert statuses(tmp_path) == ["interrupted"]
    assert "0 done, 2 to run" in plan(tmp_path)


def test_two_jobs_run_side_by_side_and_the_rows_say_so(swept, tmp_path, plan):
    (tmp_path / "mine.yaml").write_text(TWO_BY_TWO.replace("epochs: 0.2", "epochs: 5"))
    process = start("sweep", "mine.yaml", "--jobs", 2, cwd=tmp_path)
    first, second = wait_for_workers(process, 2)
    if hasattr(first, "cpu_affinity"):
        assert not set(first.cpu_affinity()) & set(second.cpu_affinity())
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, output
    assert "Note: 2 runs at once share this CPU" in output
    made = records(tmp_path)
    assert [one["status"] for one in made] == ["ok"] * 4
    assert len({one["cell"] for one in made}) == 4
    assert {one["config"]["resolved"]["neighbours"] for one in made} == {1}
    _, alone = swept
    assert {one["machine"]["id"] for one in made} == {one["machine"]["id"] for one in records(alone)}
    # One of them disturbed the other, so for a sweep without neighbours nothing is done.
    assert "0 done, 4 to run" in plan(tmp_path)
    assert "4 done, 0 to run" in plan(tmp_path, "--jobs", 2)


def test_ctrl_c_once_lets_all_present_runs_finish_and_twice_ends_them_all(tmp_path):
    (tmp_path / "mine.yaml").write_text(FOR_EVER.replace("[100000, 0.2]", "[100000, 200000, 0.2]"))
    process = start("sweep", "mine.yaml", "--jobs", 2, cwd=tmp_path)
    wait_for_workers(process, 2)
    process.send_signal(signal.SIGINT)
    read_until(process, "stopping after these runs")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, output
    assert statuses(tmp_path) == ["interrupted"] * 2


def test_a_reader_that_goes_away_ends_neither_the_sweep_nor_its_rows(tmp_path):
    (tmp_path / "mine.yaml").write_text(TWO_BY_TWO)
    process = start("sweep", "mine.yaml", cwd=tmp_path, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read()
    assert process.wait(timeout=TIMEOUT_S) == 0, said
    assert said == "bench: nobody reads the output any more; the work goes on, and Ctrl-C stops it\n"
    assert statuses(tmp_path) == ["ok"] * 4


def test_data_that_no_cell_can_have_is_told_once_before_anything_runs(here, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.pipelines.datasets.fetch.RETRY_DELAYS_S", ())
    (tmp_path / "mine.yaml").write_text("recipe: darknet\nmeasure: throughput\naxes: {model.width: [8, 16, 32]}\n")
    answer = here(tmp_path, "sweep", "mine.yaml", BENCH_DATA_URL="http://127.0.0.1:9/", BENCH_DATA=str(tmp_path))
    assert answer.code == 3, answer.out + answer.err
    assert answer.err.count("cifar10 is not on this machine") == 1
    assert "Traceback" not in answer.err
    assert records(tmp_path) == []


def test_what_this_machine_cannot_run_is_said_and_is_no_failure(here, tmp_path):
    (tmp_path / "mine.yaml").write_text(TWO_BY_TWO.replace("[4, 8]", "[4]").replace("[fp32, bf16]", "[fp32, tf32]"))
    answer = here(tmp_path, "sweep", "mine.yaml")
    assert sorted(statuses(tmp_path)) == ["ok", "skipped"]
    assert answer.code == 0, answer.out + answer.err
    assert re.search("precision=tf32, seed 0: skipped: .*tf32", answer.out), answer.out
    only_tf32 = here(tmp_path, "sweep", "mine.yaml", "--only", "precision=tf32")
    assert only_tf32.code == 3, only_tf32.out


def test_sampling_stops_as_the_matrix_and_the_command_line_say(here, tmp_path, plan):
    matrix = """
recipe: digits
measure: throughput
set: {model.width: 4}
axes: {arm: [a, b]}
sampling: {relative_error: 1.0e-9, timeout_s: 0.5}
seeds: 5
"""
    (tmp_path / "mine.yaml").write_text(matrix)
    answer = here(tmp_path, "sweep", "mine.yaml", "--sampling-timeout", 0, "--order", "grouped")
    assert answer.code == 0, answer.out + answer.err
    made = records(tmp_path)
    assert [one["config"]["arm"] for one in made] == ["a"] * 5 + ["b"] * 5
    assert {one["metrics"]["n"] for one in made} == {1}
    assert made[0]["config"]["resolved"]["sampling"] == {
        "relative_error": 1e-9, "least_samples": 10, "least_s": 0.5, "timeout_s": 0.0
    }  # fmt: skip
    assert re.search(r"a / b: ratio of the medians \d\.\d{4} \[\d", answer.out), answer.out
    # How well a figure is known is no part of what it is a figure of.
    (tmp_path / "mine.yaml").write_text(matrix.replace("timeout_s: 0.5", "timeout_s: 9"))
    assert "10 done, 0 to run" in plan(tmp_path)


def test_a_run_interrupted_while_it_samples_keeps_its_figures(here, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "recipe: digits\nmeasure: throughput\nset: {model.width: 4}\n"
        "sampling: {relative_error: 1.0e-9, least_s: 600, timeout_s: 600}\ntimeout_s: 4\n",
    )
    answer = here(tmp_path, "sweep", "mine.yaml")
    assert answer.code == 1, answer.out + answer.err
    (made,) = records(tmp_path)
    assert (made["status"], made["reason"].split(";")[0]) == ("timeout", "not done after timeout_s = 4 seconds")
    assert made["metrics"]["samples_per_s"] > 0
    assert made["metrics"]["n"] >= 1


def test_the_page_of_a_sweep_is_one_file_with_its_table_and_its_charts(swept, here):
    _, folder = swept
    answer = here(folder, "sweep", "mine.yaml", "--report")
    assert answer.code == 0, answer.out + answer.err
    assert "Page: results/sweeps/mine.html" in answer.out
    page = (folder / "results" / "sweeps" / "mine.html").read_text()
    for words in ("Sweep mine", "4 cells × 1 seed", "accuracy by width", "training time by precision", "settings"):
        assert words.lower() in page.lower()
    assert statuses(folder) == ["ok"] * 4


OWN_MEASURE = """
from bench.measures.base import Measure


class Answer(Measure):
    def measure(self, open_loaders):
        self.metrics |= {"answer": 42.0, "question_s": 1.5}
        return "ok", None
"""


def test_a_users_own_measure_has_its_own_numbers_in_the_table(here, tmp_path):
    (tmp_path / "own.py").write_text(OWN_MEASURE)
    (tmp_path / "mine.yaml").write_text("recipe: digits\nmeasure: own.py:Answer\nset: {target_accuracy: null}\n")
    said = here(tmp_path, "sweep", "mine.yaml").out
    assert "mine, run 1 of 1: ok, answer 42," in said
    table = said[said.index("┏") :].splitlines()
    assert [heading.strip() for heading in table[1].strip("┃").split("┃")][1:4] == ["answer", "question s", "total"]
    assert [value.strip() for value in table[3].strip("│").split("│")][1:3] == ["42", "1.50 s"]
