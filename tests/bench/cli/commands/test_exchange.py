"""`bench export`, `check` and `import` as a user calls them: files, exit codes, and one message for a mistake."""

import json
from pathlib import Path

import msgspec
import pytest

import bench
from bench.exchange import dawnbench
from bench.exchange.entry import EntryRow, TrainEntry
from bench.exchange.to_runs import run_of
from bench.runs.run import Run
from bench.runs.store import Store
from tests.command import records

PUBLISHED = Path(__file__).resolve().parents[4] / "results" / "published" / "cifar94.jsonl"
ENTRY = TrainEntry(
    author="A. Author",
    author_email="author@example.org",
    framework="PyTorch 1.0",
    model="ResNet 9",
    hardware="1 V100",
    timestamp="2018-11-06",
    rows=(EntryRow(1.0, 0.1, 90.0), EntryRow(2.0, 0.2, 94.5)),
    cost_per_hour=3.06,
)


@pytest.fixture
def call(bench):
    """The command in this process, in a folder of its own."""
    return bench


def put(folder: Path, name: str = "a_b_c_d") -> Path:
    path = dawnbench.path_of(ENTRY, folder, name)
    dawnbench.write(ENTRY, path)
    return path


def test_a_published_run_is_exported_and_checks(call, tmp_path):
    submitter = ["--author", "A", "--email", "a@example.org", "--hardware", "box"]
    result = call("export", "dawnbench", PUBLISHED, *submitter)
    assert result.code == 0, result.err
    (path,) = (tmp_path / "CIFAR10" / "train").glob("A_speedrun_box_*.json")
    assert f"{path.relative_to(tmp_path)}\n" in result.out
    assert "note: the data were not checked" in result.out
    result = call("check", "CIFAR10")
    assert result.code == 0
    assert "valid: 94.40 % in 14 min 58 s" in result.out
    # Once more is the same file again; another run of the same name gets its own.
    call("export", "dawnbench", PUBLISHED, *submitter)
    assert len(list(path.parent.iterdir())) == 2
    path.write_text(path.read_text().replace("a@example.org", "b@example.org"))
    call("export", "dawnbench", PUBLISHED, *submitter)
    assert len(list(path.parent.iterdir())) == 4


def test_a_published_run_as_mlperf_log(call, tmp_path):
    result = call("export", "mllog", PUBLISHED, "--out", "logs")
    assert result.code == 0, result.err
    lines = (tmp_path / result.out.strip()).read_text().splitlines()
    last = json.loads(lines[-1].removeprefix(":::MLLOG "))
    assert (last["key"], last["metadata"]["status"]) == ("run_stop", "success")


def test_of_several_runs_those_that_do_not_fit_are_left_out(call, tmp_path, make_run):
    store = Store(tmp_path / "results" / "runs" / "runs.jsonl")
    store.append(make_run(run_id="unfit"))
    result = call("export", "mllog", "results/runs", PUBLISHED, "--out", "logs")
    assert result.code == 0
    assert "left out: run unfit makes no MLPerf log: it trained to no target" in result.out
    assert len(list((tmp_path / "logs").iterdir())) == 1
    result = call("export", "mllog", "unfit")
    assert result.code == 2
    assert "run unfit makes no MLPerf log" in result.err


def test_a_folder_that_cannot_be_written_is_exit_code_3(call, tmp_path):
    (tmp_path / "file").write_text("")
    result = call("export", "mllog", PUBLISHED, "--out", "file")
    assert result.code == 3
    assert "cannot be written" in result.err


def test_check_says_all_and_exits_1(call, tmp_path):
    put(tmp_path, "good_b_c_d")
    path = put(tmp_path)
    path.with_suffix(".tsv").write_text("epoch\thours\ttop1Accuracy\n1\t0.2\t93\n2\t0.1\t0.94\n")
    path.write_text(path.read_text().replace("3.06", "-3.06"))
    result = call("check", "CIFAR10/train/a_b_c_d.tsv", "CIFAR10")
    assert result.code == 1
    assert "1 valid, 1 invalid" in result.out
    for words in ("a_b_c_d.json: invalid", "costPerHour: is -3.06", "tsv:3: hours 0.1 follow 0.2", "93; 94 is needed"):
        assert words in result.out


def test_imports_show_in_the_table_as_others_and_only_once(call, tmp_path):
    path = put(tmp_path)
    result = call("import", path)
    assert (result.code, result.out.split(";")[0]) == (0, "1 of 1 entries were new")
    assert call("import", tmp_path / "CIFAR10").out.startswith("0 of 1 entries were new")
    runs, epochs = bench.load(results=tmp_path / "results")
    assert list(runs["config.imported.source"]) == ["dawnbench"]
    assert len(epochs) == 2
    # And out again, as they were.
    assert call("export", "dawnbench", "2018", "--out", "again").code == 0
    assert dawnbench.load(tmp_path / "again" / "CIFAR10" / "train" / "a_b_c_d.json") == ENTRY


def test_names_in_records_of_others_lead_to_no_other_folder(call, tmp_path, make_run):
    run = run_of(ENTRY, "../../../outside")
    Store(tmp_path / "foreign.jsonl").append(run)
    result = call("export", "dawnbench", "foreign.jsonl", "--out", "entries")
    assert result.code == 0, result.err
    assert [path.name for path in (tmp_path / "entries").rglob("*.json")] == ["..-..-..-outside.json"]
    published = Run.from_json_line(PUBLISHED.read_bytes())
    Store(tmp_path / "hostile.jsonl").append(msgspec.structs.replace(published, run_id="../../outside"))
    assert call("export", "mllog", "hostile.jsonl", "--out", "logs").code == 0
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["..-..-outside.log"]
    assert not list(tmp_path.parent.glob("outside*"))
    # Too long for any file system: a message, as every file that cannot be written.
    Store(tmp_path / "long.jsonl").append(run_of(ENTRY, "ü" * 10_000))
    assert call("export", "dawnbench", "long.jsonl", "--out", "entries").code == 3


def test_an_import_is_all_or_nothing(call, tmp_path):
    put(tmp_path, "good_b_c_d")
    put(tmp_path).with_suffix(".tsv").unlink()
    result = call("import", "CIFAR10")
    assert result.code == 2
    assert "this file is missing" in result.err
    assert "nothing was imported" in result.err
    assert not (tmp_path / "results").exists()


def test_wrong_usage_is_one_message_and_exit_code_2(call, tmp_path):
    for arguments, words in (
        (["check", "nothing"], "there is no file or folder nothing"),
        (["export", "dawnbench", PUBLISHED], "give --author and --email"),
        (["run", "digits", "--price", "p3.16xlrge"], "did you mean 'p3.16xlarge'"),
    ):
        result = call(*arguments)
        assert result.code == 2, (arguments, result.out)
        assert words in result.err


def test_a_named_price_is_recorded_with_its_date(call, tmp_path):
    tiny = ["--device", "cpu", "--set", "epochs=0.2", "--set", "target_accuracy=null", "--price", "p2.xlarge"]
    assert call("run", "digits", *tiny).code == 0
    (record,) = records(tmp_path)
    assert record["price_per_hour"] == 0.9
    assert record["config"]["resolved"]["price_source"]["date"] == "2017-10-11"
    # No driver counts here, or NVML or RAPL does; in either case it is said.
    counter = record["config"]["resolved"]["energy_counter"]
    assert (record["metrics"]["energy_j"] is None) == (counter is None)


def test_prices_are_listed(call, tmp_path):
    result = call("prices")
    assert result.code == 0
    assert "p3.16xlarge" in result.out
    assert "2018-04-18" in result.out
