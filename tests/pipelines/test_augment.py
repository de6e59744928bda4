"""The draws that decide augmentation, and the options that are refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.pipelines.augment import Augment, Draws
from bench.pipelines.errors import WrongOption

EVERYTHING = Augment("random", 3, "zero", 5, 0.2, 0.3)
seeds = st.integers(-(2**40), 2**40)
epochs = st.integers(0, 10_000)


def equal(one: Draws, other: Draws) -> bool:
    one_vectors, other_vectors = one.vectors(), other.vectors()
    return one_vectors.keys() == other_vectors.keys() and all(
        torch.equal(one_vectors[name], other_vectors[name]) for name in one_vectors
    )


@given(seed=seeds, epoch=epochs, count=st.integers(1, 50), noise=st.integers(0, 2**32))
def test_draws_depend_on_their_arguments_alone(seed: int, epoch: int, count: int, noise: int) -> None:
    first = EVERYTHING.draw(seed, epoch, count, 9, 7)
    torch.manual_seed(noise)
    EVERYTHING.draw(seed + 1, epoch, count, 9, 7)
    assert equal(first, EVERYTHING.draw(seed, epoch, count, 9, 7))


def test_drawing_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    EVERYTHING.draw(0, 0, 100, 9, 7)
    assert torch.equal(before, torch.get_rng_state())


@given(seed=seeds, epoch=epochs)
def test_seeds_and_epochs_differ_in_everything(seed: int, epoch: int) -> None:
    here = EVERYTHING.draw(seed, epoch, 200, 9, 7).vectors()
    for there in (EVERYTHING.draw(seed + 1, epoch, 200, 9, 7), EVERYTHING.draw(seed, epoch + 1, 200, 9, 7)):
        assert not any(torch.equal(here[name], vector) for name, vector in there.vectors().items())


def test_options_are_drawn_independently_of_each_other() -> None:
    everything, flip = EVERYTHING.draw(3, 4, 300, 9, 7), Augment("random").draw(3, 4, 300, 9, 7)
    assert equal(flip, Draws(mirrored=everything.mirrored))
    assert not torch.equal(everything.top, everything.left)


def test_draws_cover_their_ranges_and_nothing_else() -> None:
    draws = EVERYTHING.draw(0, 0, 20_000, 9, 7)
    assert draws.top.unique().tolist() == draws.left.unique().tolist() == list(range(7))
    assert draws.cutout_row.unique().tolist() == list(range(9))
    assert draws.cutout_column.unique().tolist() == list(range(7))
    for vector, low, high in ((draws.gain, 0.7, 1.3), (draws.offset, -0.2, 0.2)):
        assert low <= vector.min() < low + 0.01
        assert high - 0.01 < vector.max() <= high
    assert 0.48 < draws.mirrored.float().mean() < 0.52
    for vector in (draws.top, draws.cutout_column):
        counts = vector.unique(return_counts=True)[1]
        assert counts.max() < 1.15 * counts.min()


@given(seed=seeds, side=st.integers(1, 7))
def test_a_square_that_stays_inside_is_never_clipped(seed: int, side: int) -> None:
    augment = Augment(cutout_pixels=side, cutout_inside=True)
    draws = augment.draw(seed, 0, 2_000, 9, 7)
    for centres, length in ((draws.cutout_row, 9), (draws.cutout_column, 7)):
        cuts = [augment.cut(centre, length) for centre in centres.unique().tolist()]
        assert [last - first for first, last in cuts] == [side] * len(cuts)
        assert [first for first, _ in cuts] == list(range(length - side + 1))


@given(seed=seeds, epoch=epochs)
def test_alternating_flip_turns_every_image_over_each_epoch(seed: int, epoch: int) -> None:
    augment = Augment("alternating")
    states = [augment.draw(seed, e, 300, 9, 7).mirrored for e in (0, epoch, epoch + 1, epoch + 2)]
    assert 100 < states[0].sum() < 200
    assert torch.equal(states[1], states[0] if epoch % 2 == 0 else ~states[0])
    assert torch.equal(states[2], ~states[1])
    assert torch.equal(states[3], states[1])


def test_nothing_asked_nothing_drawn() -> None:
    assert Augment().draw(0, 0, 10, 9, 7).vectors() == {}


@given(rows=st.lists(st.integers(0, 19), max_size=30))
def test_rows_are_picked_from_every_vector(rows: list[int]) -> None:
    draws = EVERYTHING.draw(0, 0, 20, 9, 7)
    index = torch.tensor(rows, dtype=torch.int64)
    picked = draws[index].vectors()
    assert picked.keys() == draws.vectors().keys()
    for name, vector in draws.vectors().items():
        assert picked[name].tolist() == [vector[row].item() for row in rows]


@pytest.mark.parametrize(
    ("options", "allowed"),
    [
        ({"flip": "sometimes"}, "one of none, random, alternating"),
        ({"pad": "edge"}, "one of reflect, zero"),
        ({"shift_pixels": -1}, "a whole number, 0 or more"),
        ({"shift_pixels": True}, "a whole number, 0 or more"),
        ({"cutout_pixels": 2.5}, "a whole number, 0 or more"),
        ({"brightness": float("nan")}, "a number, 0 or more"),
        ({"brightness": float("inf")}, "a number, 0 or more"),
        ({"contrast": 1.5}, "a number from 0 to 1"),
        ({"contrast": "0.1"}, "a number from 0 to 1"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_allowed(options: dict[str, Any], allowed: str) -> None:
    with pytest.raises(WrongOption) as refused:
        Augment(**options)
    ((name, value),) = options.items()
    assert str(refused.value) == f"augment: {name} is {value!r}; allowed: {allowed}"


@pytest.mark.parametrize("options", [{"shift_pixels": 8}, {"cutout_pixels": 9}])
def test_an_augmentation_larger_than_the_image_is_refused(options: dict[str, int]) -> None:
    ((name, value),) = options.items()
    Augment(**{name: value - 1}).check_fits(8, 20)
    with pytest.raises(WrongOption, match=rf"{name} is {value}; allowed: 0 to {value - 1} for images of 8x20 pixels"):
        Augment(**options).check_fits(8, 20)
