import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from bench.training.orthogonalization import (
    KERNELS_A_STEP,
    LAUNCH_FLOPS,
    NEWTON_SCHULZ,
    batches,
    iterate,
    orthogonalize,
    orthogonalize_all,
    two_steps_by_gram,
)

HIVERGES = (3.4576, -4.7391, 2.0843)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(2, 24), st.integers(2, 24), st.integers(0, 2**31))
def test_orthogonalize_brings_singular_values_near_one(batch, rows, columns, seed):
    generator = torch.Generator().manual_seed(seed)
    matrices = torch.randn(batch, rows, columns, generator=generator)
    # Directions far weaker than the rest take more steps, so the claim is about well-conditioned ones.
    u, _, vh = torch.linalg.svd(matrices, full_matrices=False)
    matrices = u @ torch.diag_embed(torch.linspace(0.5, 1, min(rows, columns)).expand(batch, -1)) @ vh
    values = torch.linalg.svdvals(orthogonalize(matrices, 5).float())
    assert values.min() > 0.6
    assert values.max() < 1.3


@pytest.mark.parametrize("coefficients", [NEWTON_SCHULZ, HIVERGES])
def test_orthogonalize_follows_the_quintic_on_singular_values(coefficients):
    """Against the same polynomial applied to the singular values in float64; the rest is bfloat16's rounding."""
    generator = torch.Generator().manual_seed(1)
    matrix = torch.randn(1, 16, 40, generator=generator)
    u, s, vh = torch.linalg.svd(matrix.double(), full_matrices=False)
    s = s / s.norm()
    for _ in range(3):
        s = coefficients[0] * s + coefficients[1] * s**3 + coefficients[2] * s**5
    expected = u @ torch.diag_embed(s) @ vh
    assert torch.allclose(orthogonalize(matrix, 3, coefficients).double(), expected, atol=0.03)


@pytest.mark.parametrize("form", [None, "gram"])
def test_orthogonalize_treats_tall_and_wide_alike(form):
    matrix = torch.randn(1, 30, 7)
    assert torch.equal(orthogonalize(matrix, 3, form=form), orthogonalize(matrix.mT, 3, form=form).mT)


@pytest.mark.parametrize("form", [None, "gram"])
def test_zeros_stay_zeros_and_one_nan_is_everywhere_in_its_matrix_alone(form):
    matrices = torch.randn(3, 8, 24, generator=torch.Generator().manual_seed(0))
    matrices[0] = 0
    matrices[1, 3, 5] = torch.nan
    found = orthogonalize(matrices, 3, form=form)
    assert torch.equal(found[0], torch.zeros_like(found[0]))
    assert found[1].isnan().all()
    assert torch.allclose(found[2].float(), orthogonalize(matrices[2:], 3, form=form)[0].float(), atol=0.03)


@pytest.mark.parametrize("coefficients", [NEWTON_SCHULZ, HIVERGES])
def test_two_steps_by_the_gram_matrix_are_the_same_polynomial(coefficients):
    """In float64, where rounding hides nothing, with singular values from 0 to 1."""
    x = matrix_with(torch.linspace(0, 1, 12), columns=30).double()
    x = x / x.norm()
    expected = iterate(x, 2, coefficients)
    assert torch.allclose(two_steps_by_gram(x, coefficients), expected, atol=1e-9)
    assert not torch.allclose(iterate(x, 1, coefficients), expected, atol=0.01)


RANKS = torch.arange(1, 65, dtype=torch.float64)
SPECTRA = {
    "equal": torch.ones(64),
    "condition 1e3": torch.logspace(0, -3, 64),
    "condition 1e6": torch.logspace(0, -6, 64),
    "falling": 1 / RANKS,
    "one large": torch.where(RANKS == 1, 1.0, 0.02),
    "rank 8": (RANKS <= 8).float(),
    "rank 1": (RANKS <= 1).float(),
}


@pytest.mark.parametrize("form", [None, "gram"])
@pytest.mark.parametrize("coefficients", [NEWTON_SCHULZ, HIVERGES])
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_three_steps_are_near_the_exact_polynomial(spectrum, coefficients, form):
    """Errors of a singular value in the mean, in bfloat16: 0.006 to 0.013 in both forms.

    The polynomial itself brings singular values only to about 0.7 to 1.2.
    """
    matrix = matrix_with(SPECTRA[spectrum], columns=216)
    exact = iterate((matrix / matrix.norm()).double(), 3, coefficients)
    found = orthogonalize(matrix, 3, coefficients, form).double()
    assert (found - exact).norm() / len(RANKS) ** 0.5 < 0.02
    assert torch.linalg.svdvals(found).max() < 1.3


@pytest.mark.parametrize("form", [None, "gram"])
@pytest.mark.parametrize("steps", [2, 3, 4, 5, 7, 10])
def test_ill_conditioned_matrices_stay_bounded(steps, form):
    """Of these, three steps at once by one Gram matrix would leave some with singular values beyond 1.35."""
    generator = torch.Generator().manual_seed(0)
    for rows in (1, 3, 9, 16, 33):
        matrices = torch.randn(32, rows, 2 * rows + 3, generator=generator)
        left, _, right = torch.linalg.svd(matrices, full_matrices=False)
        decay = 3 * torch.rand(32, 1, generator=generator)
        second = 0.2 * torch.rand(32, 1, generator=generator)
        for values in (torch.exp(-decay * torch.arange(rows)), torch.where(torch.arange(rows) == 0, 1.0, second)):
            found = orthogonalize(left * values.unsqueeze(-2) @ right, steps, form=form)
            assert torch.linalg.svdvals(found.float()).max() < 1.3


def test_by_gram_matrices_fewer_products_are_large():
    """Without values, which no step may read: a GPU would wait."""
    rows, columns, flops = 256, 2304, {}
    for form, steps in itertools.product((None, "gram"), (2, 3)):
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            orthogonalize_all([torch.empty(rows, columns)], steps, False, form=form)
        flops[form, steps] = counter.get_total_flops()
    large, small = 2 * rows**2 * columns, 2 * rows**3
    assert flops == {
        (None, 2): 4 * large + 2 * small,
        (None, 3): 6 * large + 3 * small,
        ("gram", 2): 2 * large + 5 * small,
        ("gram", 3): 4 * large + 6 * small,
    }


def matrix_with(singular_values, columns):
    """A matrix [1, rows, columns] with these singular values."""
    generator = torch.Generator().manual_seed(0)
    rows = len(singular_values)
    left, right = (torch.linalg.qr(torch.randn(n, rows, generator=generator))[0] for n in (rows, columns))
    return (left * singular_values.float() @ right.mT)[None]


@pytest.mark.parametrize("form", [None, "gram"])
@pytest.mark.parametrize("pad", [False, True])
def test_matrices_of_many_shapes_are_orthogonalised_as_each_alone(pad, form):
    shapes = [(8, 30), (30, 8), (8, 8), (8, 30), (5, 30), (1, 4)]
    matrices = [torch.randn(shape) for shape in shapes]
    updates = orthogonalize_all(matrices, 3, pad, form=form)
    for matrix, update in zip(matrices, updates, strict=True):
        assert update.shape == matrix.shape
        assert torch.allclose(update.float(), orthogonalize(matrix[None], 3, form=form)[0].float(), atol=0.03)


# Rows and columns of the filters of SpeedrunNet and of a wide ResNet, each at most as many rows as columns.
SPEEDRUN = [(64, 216), (64, 576), (256, 576), (256, 2304), (256, 2304), (256, 2304)]
WIDE = [(640, 2880), (640, 5760), (640, 5760), (640, 5760), (640, 320)]


@pytest.mark.parametrize(("shapes", "batch_sizes"), [(SPEEDRUN, [4, 2]), (WIDE, [3, 1, 1])])
def test_zeros_are_multiplied_where_that_is_cheaper_than_to_launch_kernels(shapes, batch_sizes):
    """Measured in FLOPs: what the padding adds to a step against the kernels of the batches that it saves."""
    flops, found = {}, {pad: batches(shapes, pad) for pad in (False, True)}
    assert [len(batch) for batch in found[True]] == batch_sizes
    with torch.device("meta"):
        for pad in found:
            with FlopCounterMode(display=False) as counter:
                orthogonalize_all([torch.empty(shape) for shape in shapes], 1, pad)
            flops[pad] = counter.get_total_flops()
    saved = KERNELS_A_STEP * (len(found[False]) - len(found[True]))
    assert flops[True] - flops[False] <= saved * LAUNCH_FLOPS
    assert flops[True] < 1.25 * flops[False]


def test_without_padding_each_shape_is_a_batch_in_order():
    assert batches([(4, 8), (4, 16), (4, 8), (2, 8)], False) == [[0, 2], [1], [3]]
    assert sorted(map(sorted, batches([(4, 8), (4, 16), (4, 8), (2, 8)], True))) == [[0, 1, 2], [3]]
