import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.training.curriculum import WHOLE, Curriculum, ShortEpochs, Stage
from bench.training.examples import Examples

shares = st.lists(st.floats(0.001, 1), min_size=0, max_size=4, unique=True).map(sorted)


def test_nothing_asked_is_one_whole_stage():
    curriculum = Curriculum(2.35, 10)
    assert (curriculum.total_batches, curriculum.total_steps, curriculum.stages) == (24, 24, [WHOLE])
    assert {curriculum.stage(batch) for batch in range(24)} == {WHOLE}


def test_sizes_change_at_their_shares_of_the_training():
    curriculum = Curriculum(2, 10, sizes=[(0.5, 20), (0.8, 24)])
    assert [curriculum.stage(batch).pixels for batch in (0, 9, 10, 15, 16, 19)] == [20, 20, 24, 24, None, None]
    assert curriculum.total_steps == 20


def test_whole_images_are_one_stage_however_others_are_resized():
    assert Curriculum(2, 10, sizes=[(0.5, 20)], antialias=False).stages == [Stage(20, antialias=False), WHOLE]


def test_smaller_batches_are_more_steps():
    curriculum = Curriculum(2, 10, cuts=[(0.25, 4), (0.5, 2)], scale_lr=True)
    assert curriculum.total_batches == 20
    assert curriculum.total_steps == 5 * 4 + 5 * 2 + 10
    assert curriculum.stages == [Stage(None, 4, 0.25), Stage(None, 2, 0.5), WHOLE]
    assert Curriculum(2, 10, cuts=[(0.25, 4)]).stage(0).lr_factor == 1


def test_a_stage_may_last_to_the_end():
    curriculum = Curriculum(1, 10, sizes=[(1.0, 20)])
    assert curriculum.stages == [Stage(pixels=20)]


@given(st.floats(0.1, 5), st.integers(1, 40), shares, shares)
def test_every_batch_has_the_stage_that_its_share_says(epochs, batches_per_epoch, size_ends, cut_ends):
    sizes = [(until, index + 1) for index, until in enumerate(size_ends)]
    cuts = [(until, 2 ** (len(cut_ends) - index)) for index, until in enumerate(cut_ends)]
    curriculum = Curriculum(epochs, batches_per_epoch, sizes, cuts)
    seen = [curriculum.stage(batch) for batch in range(curriculum.total_batches)]
    assert list(dict.fromkeys(seen)) == curriculum.stages
    assert sum(stage.steps for stage in seen) == curriculum.total_steps
    for batch, stage in enumerate(seen):
        pixels = next((p for until, p in sizes if batch < round(until * curriculum.total_batches)), None)
        steps = next((n for until, n in cuts if batch < round(until * curriculum.total_batches)), 1)
        assert (stage.pixels, stage.steps) == (pixels, steps)


def test_short_epochs_make_a_shorter_run():
    curriculum = Curriculum(4, 10, sizes=[(0.5, 20)], short=ShortEpochs(0.5, first=2))
    assert [curriculum.batches_in(epoch) for epoch in range(4)] == [10, 10, 5, 5]
    assert (curriculum.total_batches, curriculum.total_steps) == (30, 30)
    assert [curriculum.passes(epochs) for epochs in (1.3, 2, 3, 3.5, 4)] == [1.3, 2, 2.5, 2.75, 3]
    assert [curriculum.stage(batch).pixels for batch in (14, 15)] == [20, None]
    # The last of 7.59 epochs is a part of a short one, and so are 59 % of its batches.
    assert Curriculum(7.59, 10, short=ShortEpochs(0.6, first=4)).total_batches == 4 * 10 + 3 * 6 + 4


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
    curriculum, whole = (
        Curriculum(epochs, batches_per_epoch, cuts=cuts, short=short),
        Curriculum(epochs, batches_per_epoch),
    )
    assert 1 <= curriculum.total_batches <= whole.total_batches
    complete = int(epochs)
    batches = [curriculum.batches_in(epoch) for epoch in range(complete + 1)]
    # The run ends in the last epoch, neither before nor after it.
    assert sum(batches[:-1]) <= curriculum.total_batches <= sum(batches)
    assert set(batches) <= {batches_per_epoch, max(1, round(kept * batches_per_epoch))}
    assert sum(curriculum.stage(batch).steps for batch in range(curriculum.total_batches)) == curriculum.total_steps
    assert curriculum.passes(epochs) == pytest.approx(epochs) or complete >= first


def test_a_batch_is_cut_into_equal_parts_without_a_copy():
    images, labels = torch.randn(8, 3, 2, 2).to(memory_format=torch.channels_last), torch.arange(8)
    batch = Examples(images, labels, numbers=labels + 10)
    parts = list(Stage(steps=4).cut(batch))
    assert [part.labels.tolist() for part in parts] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert [part.numbers.tolist() for part in parts] == [[10, 11], [12, 13], [14, 15], [16, 17]]
    assert parts[0].images.data_ptr() == images.data_ptr()
    assert all(part.images.is_contiguous(memory_format=torch.channels_last) for part in parts)
    with pytest.raises(ValueError, match="8 cannot be cut into 3"):
        next(Stage(steps=3).cut(batch))
