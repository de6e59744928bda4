import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from bench.training.registries import SCHEDULES
from bench.training.schedules import constant, cosine, fit_one_cycle, linear, one_cycle, step, triangular, warmed_up


def torchs(make_scheduler, steps, **group):
    """The parameter group at each of `steps` steps, as torch's scheduler leaves it."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], **{"lr": 1.0, "momentum": 0.9} | group)
    scheduler = make_scheduler(optimizer)
    seen = []
    for _ in range(steps):
        seen.append({key: optimizer.param_groups[0][key] for key in ("lr", "momentum")})
        optimizer.step()
        scheduler.step()
    return seen


def test_constant_is_constant():
    assert {constant()(progress / 7) for progress in range(8)} == {(1.0, None)}


def test_linear_goes_to_zero():
    assert [linear()(p).lr_factor for p in (0, 0.25, 1)] == pytest.approx([1, 0.75, 0])


def test_linear_may_arrive_earlier_and_hold():
    """E1's: down to 5 % over 8.5 of 8.875 epochs."""
    at = linear(end=0.05, until=8.5 / 8.875)
    assert [at(epoch / 8.875).lr_factor for epoch in (0, 4.25, 8.5, 8.7, 8.875)] == pytest.approx(
        [1, 0.525, 0.05, 0.05, 0.05]
    )


def test_linear_may_hold_first_as_the_second_half_of_a_cycle_gan_falls():
    """100 epochs as it is, 100 more to zero."""
    at = linear(after=0.5)
    assert [at(epoch / 200).lr_factor for epoch in (0, 99, 100, 150, 200)] == pytest.approx([1, 1, 1, 0.5, 0])
    both = linear(start=2, end=1, after=0.2, until=0.6)
    assert [both(p).lr_factor for p in (0.1, 0.2, 0.4, 0.6, 0.9)] == pytest.approx([2, 2, 1.5, 1, 1])


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


def test_fit_one_cycle_is_torchs_with_cosines():
    """torch's first of 101 steps is number 0, its peak number 31 - 1, and its end number 100."""
    steps = 101
    theirs = torchs(lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 0.1, steps, pct_start=31 / 101), steps)
    ours = [fit_one_cycle()(step / (steps - 1)) for step in range(steps)]
    assert [0.1 * setting.lr_factor for setting in ours] == pytest.approx([one["lr"] for one in theirs])
    assert [setting.momentum for setting in ours] == pytest.approx([one["momentum"] for one in theirs])


def test_fit_one_cycle_has_the_lessons_values():
    """max/25 up to max at 30 %, down to max/250,000; momentum .95, .85, .95; halfway up a cosine is halfway."""
    at = fit_one_cycle()
    assert [at(p).lr_factor for p in (0, 0.15, 0.3, 0.65, 1)] == pytest.approx([0.04, 0.52, 1, 0.500002, 4e-6])
    assert [at(p).momentum for p in (0, 0.15, 0.3, 0.65, 1)] == pytest.approx([0.95, 0.9, 0.85, 0.9, 0.95])


def test_step_multiplies_at_its_milestones():
    at = step([0.3, 0.6], 0.1)
    assert [at(p).lr_factor for p in (0, 0.29, 0.3, 0.59, 0.6, 0.99)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_one_cycle_rises_and_falls_as_torchs_linear_one():
    """Torch's third phase ends elsewhere, so that the first two are compared: rise, and fall to the first rate."""
    steps, peak = 101, 40
    theirs = torchs(
        lambda optimizer: lr_scheduler.OneCycleLR(
            optimizer, 1.0, total_steps=steps, pct_start=(peak + 1) / steps, anneal_strategy="linear", div_factor=20,
            three_phase=True, base_momentum=0.85, max_momentum=0.95,
        ),
        2 * peak + 1,
    )  # fmt: skip
    at = one_cycle(20, 20, 0.95, 0.85)
    for index, group in enumerate(theirs):
        ours = at(index / 100)
        assert ours.lr_factor == pytest.approx(group["lr"], abs=1e-6)
        assert ours.momentum == pytest.approx(group["momentum"], abs=1e-6)


@pytest.mark.parametrize("end", [0.0, 0.1])
def test_cosine_is_torchs(end):
    theirs = torchs(lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 50, eta_min=end), 51)
    assert [cosine(end)(i / 50).lr_factor for i in range(51)] == pytest.approx([group["lr"] for group in theirs])


def test_a_warm_up_before_steps_is_torchs_chain_of_both():
    theirs = torchs(
        lambda optimizer: lr_scheduler.ChainedScheduler(
            [lr_scheduler.LinearLR(optimizer, 0.1, 1.0, 10), lr_scheduler.MultiStepLR(optimizer, [30, 60], 0.2)]
        ),
        100,
    )
    at = warmed_up(step([0.3, 0.6], 0.2), 0.1, start=0.1)
    assert [at(i / 100).lr_factor for i in range(100)] == pytest.approx([group["lr"] for group in theirs])


@given(st.sampled_from(sorted(SCHEDULES)), st.floats(0.01, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_warm_up_holds_back_the_beginning_of_every_schedule_and_nothing_else(name, share, start, progress):
    plain, warm = SCHEDULES.load(name)()(progress), warmed_up(SCHEDULES.load(name)(), share, start)(progress)
    assert warm.momentum == plain.momentum
    if progress >= share:
        assert warm == plain
    else:
        line = start + (1 - start) * progress / share
        assert warm.lr_factor == pytest.approx(line * plain.lr_factor)


@given(st.sampled_from(sorted(SCHEDULES)), st.floats(0, 1))
def test_rates_stay_between_zero_and_the_base(name, progress):
    setting = SCHEDULES.load(name)()(progress)
    assert 0 <= setting.lr_factor <= 1 + 1e-12
    assert setting.momentum is None or 0 <= setting.momentum < 1
