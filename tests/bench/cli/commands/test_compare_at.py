"""`bench compare A B --at-accuracy`, as it is typed."""

from __future__ import annotations

import json
import math

from bench.runs.store import Store


def record(path, make_run, lengths, epoch_flop=1e13, machine="m"):
    """Runs of a recipe that gains 2.4 points with each doubling of its epochs, and little by chance."""
    for epochs in lengths:
        for seed, chance in enumerate((-0.0003, 0.0, 0.0003)):
            accuracy = 0.94 + 0.024 * math.log2(epochs / 10) + chance
            metrics = {"accuracy": accuracy, "train_s": 40.0 * epochs, "epochs": float(epochs)}
            metrics["train_flops"] = epoch_flop * epochs
            Store(path).append(make_run(seed=seed, config={"epochs": epochs}, machine={"id": machine}, metrics=metrics))


def test_it_prints_the_rates_and_the_verdict(bench, make_run, tmp_path):
    record(tmp_path / "before.jsonl", make_run, (9, 10, 11))
    record(tmp_path / "after.jsonl", make_run, (8.5, 9.5, 10.5))
    answer = bench("compare", "before.jsonl", "after.jsonl", "--at-accuracy", "94%")
    assert answer.code == 0, answer.err
    assert "points an epoch" in answer.out
    assert "after.jsonl is as fast as before.jsonl: at 94.00 % its training takes 1.000" in answer.out
    answer = bench("compare", "before.jsonl", "after.jsonl", "--at-accuracy", ".94", "--format", "json")
    found = json.loads(answer.out)
    assert found["ratio"]["method"] == "ratio at the target, MOVER of Fieller intervals"
    assert (found["verdict"], found["base"]["n"]) == ("same", 9)
    for arguments, said in ((("1.2",), "more than 0 and less than 1"), (("0.94", "-f", "junit"), "--format json")):
        answer = bench("compare", "before.jsonl", "after.jsonl", "--at-accuracy", *arguments)
        assert answer.code == 2
        assert said in answer.err.replace("\n", " ")


def test_by_flop_it_speaks_of_flops_and_of_no_time(bench, make_run, tmp_path):
    record(tmp_path / "before.jsonl", make_run, (9, 10, 11))
    for name, epoch_flop, verdict in (
        ("fewer", 8e12, "needs fewer FLOPs than"),
        ("more", 1.25e13, "needs more FLOPs than"),
        ("equal", 1e13, "needs as many FLOPs as"),
    ):
        record(tmp_path / f"{name}.jsonl", make_run, (8.5, 9.5, 10.5), epoch_flop, machine="n")
        answer = bench("compare", "before.jsonl", f"{name}.jsonl", "--at-accuracy", "94%", "--by", "flop")
        said = " ".join(answer.out.split())
        assert answer.code == (1 if name == "more" else 0), answer.err
        assert f"{name}.jsonl {verdict} before.jsonl: at 94.00 % its training takes {epoch_flop / 1e13:.3f}" in said
        assert "times as many FLOPs (n = 18)" in said
        assert "0.1 PFLOP" in said
        assert not any(word in said for word in ("faster", "slower", "time to", "long", " s "))
    arguments = ("compare", "before.jsonl", "fewer.jsonl", "--at-accuracy", "94%", "--by", "flop", "-f", "json")
    found = json.loads(bench(*arguments).out)
    assert found["by"] == "flop"
    assert found["base"].keys() >= {"length_flop", "accuracy_per_flop", "accuracy_per_epoch", "epochs"}
    assert not [key for key in found["base"] if key.endswith("_s")]
    # The same files by seconds are of two machines.
    assert "another machine" in bench("compare", "before.jsonl", "fewer.jsonl", "--at-accuracy", "94%").err


def test_by_needs_an_accuracy(bench, make_run, tmp_path):
    record(tmp_path / "a.jsonl", make_run, (9, 10))
    for by in ("flop", "seconds"):
        answer = bench("compare", "a.jsonl", "a.jsonl", "--by", by)
        assert answer.code == 2
        assert "--by says what --at-accuracy compares: add --at-accuracy 0.94, or leave out --by" in answer.err
