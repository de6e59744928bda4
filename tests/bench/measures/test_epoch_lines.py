"""Epochs in printed lines: their numbers, and percent told from fractions."""

import pytest

from bench.measures.epoch_lines import EpochLines
from bench.spec.epoch_pattern import EpochPattern

PATTERN = r"(epoch (?P<epoch>-?[\d.]+) )?(loss (?P<loss>\S+) )?acc (?P<accuracy>\S+)"


def read(*lines: str, pattern: str = PATTERN) -> EpochLines:
    found = EpochLines(EpochPattern(pattern))
    for at_s, line in enumerate(lines):
        found.look([line], float(at_s))
    return found


def test_each_line_keeps_the_moment_at_which_it_came():
    found = read("epoch 1 loss 2.5 acc .5", "nothing", "epoch 2 loss 1e-3 acc .75").found
    assert [line.at_s for line in found] == [0.0, 2.0]
    assert found[1].values == {"epoch": 2, "loss": 0.001}


@pytest.mark.parametrize(
    ("printed", "meant"),
    [
        (["acc .5", "acc .935"], [0.5, 0.935]),
        (["acc 0", "acc 1.0"], [0.0, 1.0]),
        (["acc 51", "acc 93.5"], [0.51, 0.935]),
        (["acc 0.98", "acc 3.5", "acc 60"], [0.0098, 0.035, 0.6]),
        (["acc 0.5 %", "acc 0.9 %"], [0.005, 0.009]),
        (["acc 0.5%"], None),
        (["acc 93.5", "acc nan"], [0.935, float("nan")]),
    ],
)
def test_percent_is_told_from_fractions(printed, meant):
    accuracies, how = read(*printed, pattern=r"acc (?P<accuracy>[\d.na]+)").accuracies()
    assert accuracies == pytest.approx(meant or [0.005], nan_ok=True)
    assert how is not None
    assert ("percent" in how) == (
        max(one for one in accuracies if one == one) * 100
        == pytest.approx(max(float(line.split()[1].rstrip("%")) for line in printed if "nan" not in line))
    )


@pytest.mark.parametrize(
    "printed", [["acc 93.5", "acc .935"], ["acc 93.5 %", "acc .935"], ["acc 50", "acc 93.5", "acc 0.9"]]
)
def test_where_nobody_could_tell_nothing_is_guessed(printed):
    with pytest.raises(ValueError, match="name the group percent"):
        read(*printed, pattern=r"acc (?P<accuracy>[\d.]+)").accuracies()


def test_the_group_percent_needs_no_guess():
    accuracies, how = read("acc 93.5", "acc .935", pattern=r"acc (?P<percent>[\d.]+)").accuracies()
    assert accuracies == pytest.approx([0.935, 0.00935])
    assert how == "accuracies are percent, as their lines say"


def test_numbers_that_are_none_are_noted_and_left_out():
    found = read("acc high", "acc 935", "acc -1", "epoch 1.5 acc .5", "epoch 2 acc .5")
    assert [line.values for line in found.found] == [{"epoch": 2}]
    assert len(found.problems) == 3
    assert "'high', which is no number" in found.problems[0]
    assert "'935', which is not from 0 to 100" in found.problems[1]


def test_a_pattern_that_was_given_up_looks_no_more():
    found = read("1" * 60, pattern=r"(?P<accuracy>(\d+\.?)+)%z")
    assert "backtracks" in (found.gave_up or "")
    assert found.look(["5%z"], 1.0) == []


def test_the_latest_is_as_good_as_what_is_known_by_then():
    found = EpochLines(EpochPattern(r"acc (?P<accuracy>[\d.]+)"))
    shown = []
    for line in ("acc 0.9", "acc 60", "acc 0.8"):
        found.look([line], 0.0)
        shown.append(found.latest)
    assert shown == pytest.approx([0.9, 0.6, 0.008])


def test_a_pattern_that_matches_every_step_is_given_up(monkeypatch):
    monkeypatch.setattr("bench.measures.epoch_lines.MOST_EPOCHS", 2)
    assert read("acc .1", "acc .2").gave_up is None
    assert read("acc .1", "acc .2", "acc .3").gave_up == (
        "the pattern matched more than 2 lines; let it match one line an epoch"
    )
