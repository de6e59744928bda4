"""Scripts under the rule books: on each clock that they tell enough for, and off the others with the reason."""

import pytest

from bench.runs.run import Run
from bench.scores.rules import rules_for

SPANS = (("rest", 2), ("data", 1), ("train", 4), ("eval", 1), ("rest", 1))


@pytest.fixture
def scores(make_run):
    """Each rule's score of five runs of a script that told these spans, by the rule's name."""

    def score(spans, reported, **fields):
        at_s, made = 0.0, []
        for name, seconds in spans:
            made.append({"name": name, "start_s": at_s, "end_s": at_s + seconds})
            at_s += seconds
        config = {"command": ["python", "train.py"], "data": {"name": "cifar10"}, "target_accuracy": 0.94}
        common = {
            "config": config | {"device": "cpu", "resolved": {"reported": list(reported)}},
            "spans": made,
            "epochs": [{"epoch": 1, "accuracy": 0.95}],
            "metrics": {"accuracy": 0.95, "target_accuracy": 0.94, "total_s": at_s},
            "sweep": "a matrix",
        }
        runs: list[Run] = [make_run(seed=seed + 3, **common | fields) for seed in range(5)]
        return {rule.name: rule.score(runs) for rule in rules_for("time_to_accuracy")}

    return score


def test_one_that_tells_all_ranks_under_all(scores):
    found = scores(SPANS, ["data", "train", "eval", "epochs"])
    assert {name: (one.qualifies, one.time_s and one.time_s.value) for name, one in found.items()} == {
        "dawnbench": (True, 7.0),
        "mlperf": (True, 6.0),
        "speedrun": (True, 5.0),
        "coldstart": (True, 9.0),
    }
    assert all(one.task == "cifar10/train" for one in found.values())
    assert all("data_of_a_script" in {note.code for note in one.footnotes} for one in found.values())
    undivided = [note.text for note in found["dawnbench"].footnotes if note.code == "undivided"]
    assert undivided == ["the script's imports are on the clock, because no spans tell them apart"]


def test_one_whose_epochs_alone_are_known_ranks_where_that_is_enough(scores):
    found = scores((("load_and_train", 7), ("eval", 0), ("rest", 1)), ["epochs"])
    assert {name for name, one in found.items() if one.qualifies} == {"dawnbench", "coldstart"}
    assert found["dawnbench"].time_s is not None
    assert found["dawnbench"].time_s.value == 7
    assert "the script's imports and evaluations are on the clock" in str(found["dawnbench"].footnotes)
    assert [reason.text for reason in found["mlperf"].reasons] == [
        "the script does not report when it first touched its data, where this clock starts: "
        "send events of the span data"
    ]
    assert [reason.code for reason in found["speedrun"].reasons] == ["script_tells_too_little"] * 2
    assert found["speedrun"].time_s is None


def test_one_that_tells_nothing_is_a_cold_start(scores):
    found = scores((("rest", 9),), [])
    assert {name for name, one in found.items() if one.qualifies} == {"coldstart"}
    assert "give --epoch-pattern, or send epoch events" in found["dawnbench"].reasons[0].text


def test_without_a_target_the_remedy_is_an_option_and_no_recipe(scores):
    config = {"command": ["python", "train.py"], "data": {"name": "shapes"}, "target_accuracy": None, "device": "cpu"}
    found = scores(SPANS, [], config=config, metrics={"accuracy": 0.95, "total_s": 9.0})
    (reason,) = [one for one in found["coldstart"].reasons if one.code == "no_target"]
    assert "give `bench time` a --target" in reason.text
    assert "recipe" not in reason.text


def test_a_sweep_of_scripts_is_as_cold_as_a_script_by_hand(scores):
    assert not scores(SPANS, [])["coldstart"].reasons


def test_one_that_failed_is_not_blamed_for_what_it_had_no_time_to_tell(scores):
    reasons = scores((("rest", 1),), [], status="crashed", epochs=[], metrics={})["dawnbench"].reasons
    assert [reason.code for reason in reasons] == ["not_reached"]


def test_an_evaluation_without_an_accuracy_is_off_dawnbenchs_clock_too(scores):
    spans = (("data", 1), ("train", 4), ("other_eval", 3), ("train", 4), ("eval", 1))
    found = scores(spans, ["data", "train", "eval", "epochs"])
    # Loading and training: 1 + 4 + 4 s. MLPerf's clock has no pause.
    assert [found[name].time_s.value for name in ("dawnbench", "mlperf")] == [9, 13]
