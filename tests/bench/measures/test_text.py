"""A text on the loop made for images: it is learnt, counted by token, and refuses what images alone can have."""

import pytest

from bench.errors import UsageError
from bench.models import ImpossibleModel


def job(make_job, *settings):
    return make_job("time_to_accuracy", "target_accuracy=null", *settings, recipe="counting")


def test_a_gru_learns_to_count_in_three_epochs(make_job, run_here):
    end = run_here(job(make_job, "epochs=3"))[-1]
    # Guessing the commonest word of all is right in a sixth of the cases.
    assert 0.4 < end["metrics"]["accuracy"] < 1
    assert end["metrics"]["parameters"] == 54_950
    assert end["metrics"]["examples"] == 3 * 2_496


def test_where_the_last_token_alone_is_asked_for_the_share_is_of_those(make_job, run_here):
    settings = ("model=counting_rnn:m1", "data.steps=3", "data.predict=last", "epochs=1", "optimizer.lr=0.01")
    end = run_here(job(make_job, *settings))[-1]
    assert 0.3 < end["metrics"]["accuracy"] < 1


@pytest.mark.parametrize(
    "setting",
    ["evaluation.tta=1", "cutmix={}", "drop_easy={kept: 0.5, start: 0.5}", "image_sizes=[{pixels: 9, until: 1}]"],
)
def test_what_is_made_for_images_is_refused(setting, make_job, run_here):
    with pytest.raises(UsageError, match="human_numbers is a text, which this does not suit; leave it out"):
        run_here(job(make_job, setting))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["model=counting_rnn:m0"], "answers after the last token alone: set data.predict to last"),
        (["data.predict=last"], "answers after each token: set data.predict to every"),
        (["model=counting_rnn:m0", "data.predict=last"], "reads 3 tokens, not 20: set data.steps to 3"),
        (["data=digits", "loader=resident"], "'counting_rnn:m5' reads text, and digits is images"),
    ],
)
def test_a_network_that_does_not_suit_the_data_is_refused(settings, said, make_job, run_here):
    with pytest.raises(ImpossibleModel, match=said):
        run_here(job(make_job, *settings))
