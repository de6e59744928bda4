import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.ingredients.hard_examples import ShortEpochs
from bench.training.plan import WHOLE, Plan, Stage

shares = st.lists(st.floats(0.001, 1), min_size=0, max_size=4, unique=True).map(sorted)


def test_nothing_asked_is_one_whole_stage():
    plan = Plan(2.35, 10)
    assert (plan.total_batches, plan.total_steps, plan.stages) == (24, 24, [WHOLE])
    assert {plan.stage(batch) for batch in range(24)} == {WHOLE}


def test_sizes_change_at_their_shares_of_the_training():
    plan = Plan(2, 10, sizes=[(0.5, 20), (0.8, 24)])
    assert [plan.stage(batch).pixels for batch in (0, 9, 10, 15, 16, 19)] == [20, 20, 24, 24, None, None]
    assert plan.total_steps == 20


def test_whole_images_are_one_stage_however_others_are_resized():
    assert Plan(2, 10, sizes=[(0.5, 20)], antialias=False).stages == [Stage(20, antialias=False), WHOLE]


def test_smaller_batches_are_more_steps():
    plan = Plan(2, 10, cuts=[(0.25, 4), (0.5, 2)], scale_lr=True)
    assert plan.total_batches == 20
    assert plan.total_steps == 5 * 4 + 5 * 2 + 10
    assert plan.stages == [Stage(None, 4, 0.25), Stage(None, 2, 0.5), WHOLE]
    assert Plan(2, 10, cuts=[(0.25, 4)]).stage(0).lr_factor == 1


def test_a_stage_may_last_to_the_end():
    plan = Plan(1, 10, sizes=[(1.0, 20)])
    assert plan.stages == [Stage(pixels=20)]


@given(st.floats(0.1, 5), st.integers(1, 40), shares, shares)
def test_every_batch_has_the_stage_that_its_share_says(epochs, batches_per_epoch, size_ends, cut_ends):
    sizes = [(until, index + 1) for index, until in enumerate(size_ends)]
    cuts = [(until, 2 ** (len(cut_ends) - index)) for index, until in enumerate(cut_ends)]
    plan = Plan(epochs, batches_per_epoch, sizes, cuts)
    seen = [plan.stage(batch) for batch in range(plan.total_batches)]
    assert list(dict.fromkeys(seen)) == plan.stages
    assert sum(stage.steps for stage in seen) == plan.total_steps
    for batch, stage in enumerate(seen):
        pixels = next((p for until, p in sizes if batch < round(until * plan.total_batches)), None)
        steps = next((n for until, n in cuts if batch < round(until * plan.total_batches)), 1)
        assert (stage.pixels, stage.steps) == (pixels, steps)


def test_short_epochs_make_a_shorter_run():
    plan = Plan(4, 10, sizes=[(0.5, 20)], short=ShortEpochs(0.5, first=2))
    assert [plan.batches_in(epoch) for epoch in range(4)] == [10, 10, 5, 5]
    assert (plan.total_batches, plan.total_steps) == (30, 30)
    assert [plan.passes(epochs) for epochs in (1.3, 2, 3, 3.5, 4)] == [1.3, 2, 2.5, 2.75, 3]
    assert [plan.stage(batch).pixels for batch in (14, 15)] == [20, None]
    # The last of 7.59 epochs is a part of a short one, and so are 59 % of its batches.
    assert Plan(7.59, 10, short=ShortEpochs(0.6, first=4)).total_batches == 4 * 10 + 3 * 6 + 4


@given(
    st.floats(0.1, 9),
    st.integers(1, 40),
    st.floats(0.01, 0.99),
    st.integers(0, 9),
    st.none() | st.integers(0, 9),
    st.none() | st.integers(2, 4),
    shares,
)
def test_the_batches_of_short_epochs_add_up_to_the_run(epochs, batches_per_epoch, kept, first, end, every, ends):
    short, cuts = ShortEpochs(kept, first, end, every), [(until, 2) for until in ends]
    plan, whole = Plan(epochs, batches_per_epoch, cuts=cuts, short=short), Plan(epochs, batches_per_epoch)
    assert 1 <= plan.total_batches <= whole.total_batches
    complete = int(epochs)
    batches = [plan.batches_in(epoch) for epoch in range(complete + 1)]
    # The run ends in the last epoch, neither before nor after it.
    assert sum(batches[:-1]) <= plan.total_batches <= sum(batches)
    assert set(batches) <= {batches_per_epoch, max(1, round(kept * batches_per_epoch))}
    assert sum(plan.stage(batch).steps for batch in range(plan.total_batches)) == plan.total_steps
    assert plan.passes(epochs) == pytest.approx(epochs) or complete >= first


def test_a_batch_is_cut_into_equal_parts_without_a_copy():
    images, labels = torch.randn(8, 3, 2, 2).to(memory_format=torch.channels_last), torch.arange(8)
    parts = list(Stage(steps=4).cut(images, labels))
    assert [part.tolist() for _, part in parts] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert parts[0][0].data_ptr() == images.data_ptr()
    assert all(part.is_contiguous(memory_format=torch.channels_last) for part, _ in parts)
    with pytest.raises(ValueError, match="8 cannot be cut into 3"):
        Stage(steps=3).cut(images, labels)
