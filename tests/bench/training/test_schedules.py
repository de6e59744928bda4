import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.training.schedules import SCHEDULES, constant, linear, one_cycle, step, triangular


def test_constant_is_constant():
    assert {constant()(progress / 7) for progress in range(8)} == {(1.0, None)}


def test_linear_goes_to_zero():
    assert [linear()(p).lr_factor for p in (0, 0.25, 1)] == pytest.approx([1, 0.75, 0])


def test_triangular_has_airbench94s_corners():
    at = triangular(start=0.2, peak=0.23, end=0.07)
    assert [at(p).lr_factor for p in (0, 0.115, 0.23, 0.615, 1)] == pytest.approx([0.2, 0.6, 1, 0.535, 0.07])


def test_one_cycle_has_fastais_values():
    """(20, 20, .95, .85) at lr 1.3: 0.065 → 1.3 at 40 % → 0.065 at 80 % → 0.00065 at the end."""
    at = one_cycle(20, 20, 0.95, 0.85)
    rates = [1.3 * at(p).lr_factor for p in (0, 0.2, 0.4, 0.6, 0.8, 0.9, 1)]
    assert rates == pytest.approx([0.065, 0.6825, 1.3, 0.6825, 0.065, 0.032825, 0.00065])
    momenta = [at(p).momentum for p in (0, 0.2, 0.4, 0.6, 0.8, 0.9, 1)]
    assert momenta == pytest.approx([0.95, 0.9, 0.85, 0.9, 0.95, 0.95, 0.95])


def test_one_cycle_without_a_last_part():
    at = one_cycle(div=10, pct=0)
    assert at(0.5).lr_factor == pytest.approx(1)
    assert at(1.0).lr_factor == pytest.approx(0.001)


def test_step_multiplies_at_its_milestones():
    at = step([0.3, 0.6], 0.1)
    assert [at(p).lr_factor for p in (0, 0.29, 0.3, 0.59, 0.6, 0.99)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


@given(st.sampled_from(sorted(SCHEDULES)), st.floats(0, 1))
def test_rates_stay_between_zero_and_the_base(name, progress):
    setting = SCHEDULES[name]()(progress)
    assert 0 <= setting.lr_factor <= 1 + 1e-12
    assert setting.momentum is None or 0 <= setting.momentum < 1
