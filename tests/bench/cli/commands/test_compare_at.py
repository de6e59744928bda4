"""`bench compare A B --at-accuracy`, as it is typed."""

from __future__ import annotations

import json
import math

from bench.runs.store import Store


def record(path, make_run, lengths):
    """Runs of a recipe that gains 2.4 points with each doubling of its epochs, and little by chance."""
    for epochs in lengths:
        for seed, chance in enumerate((-0.0003, 0.0, 0.0003)):
            accuracy = 0.94 + 0.024 * math.log2(epochs / 10) + chance
            metrics = {"accuracy": accuracy, "train_s": 40.0 * epochs, "epochs": float(epochs)}
            Store(path).append(make_run(seed=seed, config={"epochs": epochs}, machine={"id": "m"}, metrics=metrics))


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
