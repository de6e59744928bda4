import pytest
import torch

from bench.profiling import reference
from bench.profiling.reference import Rate, matrix_product, memory_copy, normal_factors, seconds_of
from bench.statistics.sampling import Bounds, Samples, Stop
from bench.training.device import Device

HASTY = Bounds(relative_error=0.5, least_samples=3, least_s=0.0, timeout_s=0.5)


@pytest.fixture
def device(monkeypatch):
    monkeypatch.setattr(reference, "MATRIX_SIDE", {"cpu": 64})
    monkeypatch.setattr(reference, "COPY_BYTES", {"cpu": 2**20})
    return Device("cpu")


def rate(*seconds: float) -> Rate:
    return Rate(6.0, Samples(seconds, Stop.RELATIVE_ERROR))


def test_a_rate_is_work_over_the_median_time():
    assert rate(1.0, 2.0, 9.0).per_s == 3.0


def test_its_interval_is_of_order_statistics():
    # All of six fair coins fall alike once in 32: the extremes enclose the median with 96.9 %.
    assert rate(1.0, 2.0, 3.0, 3.0, 4.0, 6.0).interval_per_s == (1.0, 6.0)
    # Of nine, the second and the second to last: 1 - 2 * (1 + 9) / 512 = 96.1 %.
    assert rate(*(float(second) for second in range(1, 10))).interval_per_s == (6 / 8, 6 / 2)


def test_five_samples_are_too_few_for_an_interval():
    assert rate(1.0, 2.0, 3.0, 4.0, 5.0).interval_per_s is None


def test_the_product_multiplies(device):
    product = matrix_product(device, torch.float64)
    out = product.run()
    assert out.shape == (64, 64)
    assert out.dtype == torch.float64
    assert product.work == 2 * 64**3
    assert product.measure(HASTY).n >= 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_factors_are_drawn_where_they_are_used(device, monkeypatch, dtype):
    """On a host it takes longer than all that a GPU then does with them."""
    drawn, randn = [], torch.randn

    def noted(*shape, **where):
        drawn.append(where["device"])
        return randn(*shape, **where)

    monkeypatch.setattr(torch, "randn", noted)
    first, again = (normal_factors(device, dtype, (2, 3), (3, 4)) for _ in range(2))
    assert drawn == [device.torch] * 4
    assert [(tuple(factor.shape), factor.dtype) for factor in first] == [((2, 3), dtype), ((3, 4), dtype)]
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert not torch.equal(first[0].flatten(), first[1].flatten()[:6])


def test_the_copy_copies(device):
    copy = memory_copy(device)
    assert copy.run().eq(1).all()
    assert copy.work == 2 * 2**20
    assert copy.measure(HASTY).per_s > 0


def test_more_work_takes_longer(device):
    left = torch.randn(256, 256)
    once = min(seconds_of(device, lambda: left @ left) for _ in range(9))
    often = min(seconds_of(device, lambda: [left @ left for _ in range(30)]) for _ in range(9))
    assert often > 5 * once
