"""The pattern: what it finds, what is refused, and an end to what backtracks for ever."""

import signal
import time

import pytest

from bench.spec.epoch_pattern import MOST_SEARCH_S, BadPattern, EpochPattern, TooSlow

USUAL = r"epoch (?P<epoch>\d+).*acc (?P<accuracy>[\d.]+)"


def test_it_tells_the_groups_the_place_and_what_follows_the_accuracy():
    ((position, match),) = EpochPattern(USUAL).search(["loss 3", "epoch 4: loss .2 acc 93.5 %"])
    assert position == 1
    assert match.groups == {"epoch": "4", "accuracy": "93.5"}
    assert match.behind_accuracy == " %"


def test_an_optional_group_that_took_no_part_is_left_out():
    ((_, match),) = EpochPattern(r"acc (?P<accuracy>\d+)( loss (?P<loss>\d+))?").search(["acc 5"])
    assert match.groups == {"accuracy": "5"}


@pytest.mark.parametrize(
    ("pattern", "word"),
    [
        (r"acc ([\d.]+)", "no named group"),
        (r"acc (?P<acuracy>[\d.]+)", "did you mean 'accuracy'"),
        (r"acc (?P<accuracy>[\d.]+", "no regular expression"),
        (r"(?P<accuracy>\d+) (?P<percent>\d+)", "leave one out"),
        (r"(?P<accuracy>\d+) (?P<Loss>\d+)", "small letters"),
    ],
)
def test_what_could_find_no_epoch_is_refused_with_what_to_write(pattern, word):
    with pytest.raises(BadPattern, match=word):
        EpochPattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (r"(?P<accuracy>(\d+\.?)+)%z", "1" * 60),
        (r"(?P<accuracy>a+)+b.*(x+x+)+y", "a" * 20 + "b" + "x" * 60),
        (r"(.*)*(?P<accuracy>\d)x", "y" * 60),
    ],
)
def test_one_that_backtracks_for_ever_is_given_up_within_its_time(pattern, line):
    before_s = time.process_time()
    with pytest.raises(TooSlow) as given_up:
        EpochPattern(pattern).search(["harmless", line, "never looked at"])
    assert given_up.value.line == line
    assert time.process_time() - before_s < 4 * MOST_SEARCH_S
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_a_sound_pattern_reads_a_burst_of_lines_in_a_small_part_of_its_time():
    lines = ["step 100 of 400: loss 0.345, 1234 images/s, left 3 min"] * 2000
    before_s = time.process_time()
    assert EpochPattern(USUAL).search(lines) == []
    assert time.process_time() - before_s < MOST_SEARCH_S
