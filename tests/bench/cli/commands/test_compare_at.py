"""`bench compare A B --at-accuracy` and `--at-cross-entropy`, as they are typed."""

from __future__ import annotations

import json
import math

import pytest

from bench.runs.store import Store


def record(path, make_run, lengths, epoch_flop=1e13, machine="m"):
    """Runs of a recipe that gains 2.4 points and .024 nats with each doubling of its epochs, and little by chance."""
    for epochs in lengths:
        for seed, chance in enumerate((-0.0003, 0.0, 0.0003)):
            accuracy = 0.94 + 0.024 * math.log2(epochs / 10) + chance
            metrics = {"accuracy": accuracy, "train_s": 40.0 * epochs, "epochs": float(epochs)}
            metrics |= {"train_flops": epoch_flop * epochs, "cross_entropy": 1.33 - accuracy}
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


def test_at_a_cross_entropy_it_speaks_of_nats_and_of_no_accuracy(bench, make_run, tmp_path):
    record(tmp_path / "before.jsonl", make_run, (9, 10, 11))
    record(tmp_path / "after.jsonl", make_run, (8.5, 9.5, 10.5), 8e12)
    sides = ("compare", "before.jsonl", "after.jsonl", "--at-cross-entropy", ".39", "--by", "flop")
    answer = bench(*sides)
    said = " ".join(answer.out.replace("│", " ").replace("┃", " ").split())
    assert answer.code == 0, answer.err
    assert (
        "after.jsonl needs fewer FLOPs than before.jsonl: at a cross-entropy of 0.39 its training takes 0.800" in said
    )
    assert "nats an epoch" in said
    assert not any(word in said for word in ("accuracy", "points", "%"))
    found = json.loads(bench(*sides, "-f", "json").out)
    assert (found["at"], found["target"], found["by"], found["notes"]) == ("cross_entropy", 0.39, "flop", [])
    assert found["base"].keys() >= {"length_flop", "cross_entropy_per_flop", "cross_entropy_per_epoch"}
    assert found["base"]["cross_entropy_per_epoch"]["value"] == pytest.approx(-0.024 / math.log(2) / 10, rel=0.05)
    assert not [key for key in found["base"] if "accuracy" in key]
    # By seconds both need the same; a shared rate is as asked.
    said = " ".join(bench(*sides[:5], "--share-rate").out.split())
    assert "after.jsonl is as fast as before.jsonl: at a cross-entropy of 0.39" in said
    assert "at the same rate, as asked" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--by", "flop"), "--by says how recipes are compared at equal quality: add --at-accuracy 0.94 or"),
        (("--by", "seconds"), "--at-cross-entropy 0.39, or leave it out"),
        (("--share-rate",), "--share-rate says how recipes are compared at equal quality"),
        (("--at-accuracy", "0.94", "--at-cross-entropy", "0.39"), "were both given: leave out one of them"),
        (("--at-cross-entropy", "0"), "'0': give a mean cross-entropy in nats, more than 0"),
        (("--at-cross-entropy", "-0.39"), "'-0.39': give a mean cross-entropy in nats"),
        (("--at-cross-entropy", "39%"), "'39%': give a mean cross-entropy in nats"),
        (("--at-cross-entropy", "nan"), "'nan': give a mean cross-entropy in nats"),
        (("--at-cross-entropy", "."), "'.': give a mean cross-entropy in nats"),
        (("--at-cross-entropy", "0.39", "--junit", "x.xml"), "--at-cross-entropy: it is printed, as a table"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_to_do(bench, make_run, tmp_path, arguments, said):
    record(tmp_path / "a.jsonl", make_run, (9, 10))
    answer = bench("compare", "a.jsonl", "a.jsonl", *arguments)
    assert answer.code == 2
    assert said in " ".join(answer.err.replace("│", " ").split())
