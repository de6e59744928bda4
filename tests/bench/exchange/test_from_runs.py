from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.exchange import dawnbench
from bench.exchange.entry import EntryRow
from bench.exchange.from_runs import Submitter, entry_of, remarks, stem
from bench.runs.run import Run

AUTHOR = Submitter("A. Author", "author@example.org")
PUBLISHED = Path(__file__).resolve().parents[3] / "results" / "published" / "cifar94.jsonl"


def test_evaluation_is_left_out_and_all_else_is_in(cifar_run):
    entry = entry_of(cifar_run(), AUTHOR)
    # Of 72 s at the end of the first epoch 5 were imports; of 118 at the second's end, 10 more an evaluation.
    assert entry.rows == (EntryRow(1.0, pytest.approx(67 / 3600), 50.0), EntryRow(1.9, pytest.approx(103 / 3600), 94.5))
    assert entry.cost_usd == pytest.approx(103 / 3600 * 3.6)


def test_the_last_row_has_the_accuracy_that_decided(cifar_run):
    assert entry_of(cifar_run({"accuracy": 0.9401}), AUTHOR).result.top1_percent == 94.01


def test_an_epoch_without_evaluation_is_no_row(cifar_run):
    epochs = [{"epoch": 1, "steps": 10, "accuracy": None}, {"epoch": 2, "steps": 19, "accuracy": None}]
    spans = [span for span in cifar_run().spans if span["name"] != "eval"]
    assert [row.epoch for row in entry_of(cifar_run(epochs=epochs, spans=spans), AUTHOR).rows] == [1.9]


def test_an_inference_run_is_an_inference_entry(cifar_run):
    entry = entry_of(cifar_run(measure="inference"), AUTHOR)
    assert (entry.latency_ms, entry.top1_percent) == (0.5, 94.5)
    assert entry.cost_usd == pytest.approx(0.5 / 1000 / 3600 * 3.6)


def test_an_inference_entry_says_which_weights_and_looks_once_at_each_image(cifar_run):
    weights = {"file": "a.pt", "sha256": "c0ffee", "run_id": "20261121T000000"}
    config = {"resolved": {"weights": weights}, "evaluation": {"tta": 2}}
    misc = entry_of(cifar_run(measure="inference", config=config), AUTHOR).misc
    assert (misc["weights"], misc["weightsOfRun"]) == ("c0ffee", "20261121T000000")
    assert (misc["batchSize"], misc["testTimeAugmentation"]) == (1, 0)
    mirrored = cifar_run(measure="inference", config=config | {"inference": {"mirror": True}})
    assert entry_of(mirrored, AUTHOR).misc["testTimeAugmentation"] == 1


def test_what_it_knows_and_what_it_is_told(cifar_run):
    entry = entry_of(cifar_run(), AUTHOR)
    assert entry.hardware == "A CPU / 16 GiB / 2 CPU"
    assert entry.framework == "PyTorch 2.13.0"
    assert entry.timestamp == "2026-11-20"
    assert entry.commit_hash == "c0ffee"
    assert stem(entry) == "A.-Author_speedrun_A-CPU-16-GiB-2-CPU_PyTorch-2.13.0"
    told = Submitter("A", "a@b", "my box", "my net", "torch", "https://example.org")
    entry = entry_of(cifar_run(), told)
    assert stem(entry) == "A_my-net_my-box_torch"
    assert entry.code_url == "https://example.org"


def test_a_batch_is_that_of_all_devices(cifar_run):
    assert entry_of(cifar_run(), AUTHOR).misc["batchSize"] == 2000
    for config, expected in (({"devices": 2}, 2000), ({"devices": 2, "batch_per": "device"}, 4000)):
        assert entry_of(cifar_run(config=config), AUTHOR).misc["batchSize"] == expected


def test_the_gpus_that_were_used(cifar_run):
    machine = {"memory_bytes": 2**37, "usable_cores": 16, "gpus": [{"name": "NVIDIA H200", "count": 8}]}
    run = cifar_run(config={"device": "cuda", "devices": 2}, machine=machine)
    assert entry_of(run, AUTHOR).hardware == "2 * NVIDIA H200 / 128 GiB / 16 CPU"
    for gpus, name in ([{}], None), (["a card"], "a card"):
        run = cifar_run(config={"device": "cuda"}, machine=machine | {"gpus": gpus})
        assert entry_of(run, AUTHOR).hardware == f"1 * {name} / 128 GiB / 16 CPU"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"config": {"data": {"name": "digits"}}}, "it is of digits"),
        ({"status": "diverged"}, "it ended as diverged"),
        ({"measure": "loading"}, "it measured loading"),
        ({"metrics": {"accuracy": 0.9399}}, r"its best accuracy is 93\.99 %"),
        ({"measure": "inference", "metrics": {"accuracy": None}}, "no accuracy, because its weights"),
        ({"measure": "inference", "metrics": {"accuracy": 0.9}}, r"its accuracy is 90\.00%"),
    ],
)
def test_what_makes_no_entry(cifar_run, fields, reason):
    with pytest.raises(UsageError, match=f"makes no DAWNBench entry: .*{reason}"):
        entry_of(cifar_run(**fields), AUTHOR)


def test_a_record_that_does_not_know_its_steps_makes_no_entry(cifar_run):
    epochs = [{"epoch": 1, "accuracy": 0.5}, {"epoch": 2, "accuracy": 0.945}]
    for run in (cifar_run(epochs=epochs), cifar_run({"steps": None}), cifar_run({"epochs": None})):
        with pytest.raises(UsageError, match="how many steps its epochs had"):
            entry_of(run, AUTHOR)


def test_an_entry_has_an_author(cifar_run):
    with pytest.raises(UsageError, match="--author and --email"):
        entry_of(cifar_run(), Submitter("A"))


@pytest.mark.parametrize(
    ("told", "fields", "reason"),
    [
        ({"email": "nonsense"}, {}, 'authorEmail: is "nonsense"; allowed: name@host'),
        ({"author": " "}, {}, "author: is"),
        ({}, {"config": {"model": {}}, "recipe": ""}, "model: is"),
        ({}, {"epochs": [{"epoch": n, "steps": 10, "accuracy": 0.95} for n in (1, 2)]}, "epoch 1 follows 1"),
    ],
)
def test_no_entry_is_made_that_is_not_valid(cifar_run, told, fields, reason):
    with pytest.raises(UsageError, match=reason):
        entry_of(cifar_run(**fields), replace(AUTHOR, **told))


def test_what_a_reader_should_be_told(cifar_run):
    assert remarks(cifar_run()) == []
    spot = {"resolved": {"price_source": {"kind": "spot"}}}
    run = cifar_run(data={"official": False}, code={"dirty": True}, config=spot)
    assert [words in note for words, note in zip(("publisher", "commit", "on demand"), remarks(run), strict=True)]
    assert entry_of(cifar_run(config=spot), AUTHOR).cost_usd is None
    assert "mean of 1000 requests" in remarks(cifar_run({"latency_n": 1000}, measure="inference"))[0]
    assert remarks(cifar_run({"latency_n": 12_000, "latency_images": 10_000}, measure="inference")) == []
    assert "no price" in remarks(cifar_run(price_per_hour=None))[0]


def test_our_published_run_makes_a_valid_entry(tmp_path):
    run = Run.from_json_line(PUBLISHED.read_bytes().splitlines()[0])
    entry = entry_of(run, AUTHOR)
    path = dawnbench.path_of(entry, tmp_path, stem(entry))
    assert dawnbench.write(entry, path) == [path, path.with_suffix(".tsv")]
    assert dawnbench.read(path).warnings == []
    assert dawnbench.load(path) == entry
    assert entry.result.top1_percent == pytest.approx(100 * run.metrics["accuracy"])
    # Longer than training alone, shorter than the whole run with its evaluations.
    assert run.metrics["train_s"] < entry.time_s < run.metrics["total_s"]


def test_a_seed_that_found_its_data_loaded_is_no_entry(cifar_run):
    shared = cifar_run(config={"resolved": {"shared_process": True}})
    with pytest.raises(UsageError, match="shared its process with other seeds, and loading and compilation count"):
        entry_of(shared, AUTHOR)


def test_a_run_whose_code_changed_meanwhile_is_no_entry(cifar_run):
    assert entry_of(cifar_run(code={"changed_during_run": [], "bytecode_not_of_source": []}), AUTHOR)
    for key in ("changed_during_run", "bytecode_not_of_source"):
        with pytest.raises(UsageError, match=r"models/a\.py"):
            entry_of(cifar_run(code={key: ["models/a.py"]}), AUTHOR)
