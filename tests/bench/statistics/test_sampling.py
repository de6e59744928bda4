import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.spec.measures import with_timeout
from bench.statistics.sampling import Bounds, Caution, Condition, Samples, Stop, sample

# Binary fractions, whose sums are exact.
ticks = st.integers(64, 192).map(lambda number: number / 128)
durations = st.lists(ticks, min_size=1, max_size=8)
LONG_S = 1e6


class Machine:
    """A clock, and arms that take the time they are told; `order` is who was sampled when."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.order: list[str] = []

    def __call__(self) -> float:
        return self.now_s

    def arm(self, name, seconds):
        taken = itertools.cycle(seconds)

        def take():
            self.order.append(name)
            self.now_s += (one := next(taken))
            return one

        return take


def sampled(seconds, bounds, throttled=lambda: False):
    machine = Machine()
    return sample({"arm": machine.arm("arm", seconds)}, bounds, throttled, machine)["arm"]


def samples(*seconds, **fields):
    return Samples(tuple(seconds), **{"stopped_by": Stop.RELATIVE_ERROR} | fields)


def first_that_suffices(seconds, bounds):
    """The criterion again, from all samples at once instead of one by one; None where they do not suffice."""
    values = np.array(seconds)
    deviations = [math.inf] + [values[:n].std(ddof=1) / values[:n].mean() for n in range(2, len(values) + 1)]
    for n in range(bounds.least_samples, len(values) + 1):
        if values[:n].sum() < bounds.least_s:
            continue
        error = deviations[n - 1] / math.sqrt(n)
        assume(not math.isclose(error, bounds.relative_error, rel_tol=1e-9))
        if error < bounds.relative_error:
            return n
        noise = np.array(deviations[4:n][-512:])
        if len(noise) > 64 and n % 16 == 0:
            spread = math.sqrt(((noise - noise[-1]) ** 2).sum() / (len(noise) - 1)) / noise[-1]
            assume(not math.isclose(spread, 0.05, rel_tol=1e-9))
            if spread < 0.05:
                return n
    return None


@settings(deadline=None)
@given(durations, st.integers(1, 12), ticks, st.sampled_from([0.01, 0.03, 0.1, 0.3]))
def test_it_stops_at_the_first_sample_that_suffices(seconds, least_samples, least_s, relative_error):
    bounds = Bounds(relative_error, least_samples, 4 * least_s, LONG_S)
    taken = sampled(seconds, bounds).seconds
    assert taken == tuple(itertools.islice(itertools.cycle(seconds), len(taken)))
    assert first_that_suffices(taken, bounds) == len(taken)


@given(durations, st.integers(1, 30), ticks)
def test_never_before_the_least_samples_and_the_least_time(seconds, least_samples, least_s):
    bounds = Bounds(math.inf, least_samples, 16 * least_s, LONG_S)
    taken = sampled(seconds, bounds)
    assert taken.n >= least_samples
    assert sum(taken.seconds) >= bounds.least_s
    # A bound that everything meets: what is least is also enough.
    assert taken.n in (least_samples, 2) or sum(taken.seconds[:-1]) < bounds.least_s


# Whole ticks, because a clock that shows more than zero rounds a time-out of a tick and one last bit to the tick.
@given(durations, st.integers(1, 30), ticks, st.floats(0, 0.2), st.integers(32, 1280).map(lambda tick: tick / 64))
def test_a_time_out_ends_the_first_round_after_it_and_names_what_is_unmet(
    seconds, least_samples, least_s, relative_error, timeout_s
):
    bounds = Bounds(relative_error, least_samples, 8 * least_s, timeout_s)
    taken = sampled(seconds, bounds)
    assert sum(taken.seconds[:-1]) < timeout_s
    if taken.stopped_by is not Stop.TIMEOUT:
        assert taken.unmet == []
        return
    assert sum(taken.seconds) >= timeout_s
    error = np.std(taken.seconds, ddof=1) / np.mean(taken.seconds) / math.sqrt(taken.n) if taken.n > 1 else math.inf
    assume(not math.isclose(error, relative_error, rel_tol=1e-9, abs_tol=1e-12))
    assert taken.unmet
    assert (Condition.LEAST_SAMPLES in taken.unmet) == (taken.n < least_samples)
    assert (Condition.LEAST_TIME in taken.unmet) == (sum(taken.seconds) < bounds.least_s)
    assert (Condition.RELATIVE_ERROR in taken.unmet) == (error >= relative_error)


def test_noise_that_stays_is_not_sampled_for_ever():
    noisy = np.random.default_rng(0).lognormal(sigma=0.5, size=5000)
    taken = sampled(noisy, Bounds(relative_error=1e-6, timeout_s=LONG_S))
    assert taken.stopped_by is Stop.STABLE_NOISE
    assert 64 < taken.n < 5000
    assert taken.relative_error > 1e-6
    assert taken.quality()["timed_out"] is False
    assert taken.notes()[0].startswith("stopped because the noise is steady, with relative standard error")


@given(st.lists(st.tuples(ticks, st.booleans()), min_size=1, max_size=40))
def test_throttled_samples_are_counted_and_stay_out_of_the_statistics(taken):
    seconds, flags = zip(*taken, strict=True)
    bounds = Bounds(0.0, least_samples=10**6, timeout_s=sum(seconds))
    flag = iter(flags)
    kept = tuple(one for one, throttled in taken if not throttled)
    result = sampled(seconds, bounds, lambda: next(flag))
    assert result.seconds == (kept or seconds)
    assert result.throttled == result.quality()["throttled"] == sum(flags)
    assert result.mean_s == pytest.approx(np.mean(kept or seconds))
    assert (Caution.THROTTLED in result.cautions) == (any(flags) and not all(flags))
    assert (Caution.SLOWED in result.cautions) == all(flags)


def test_where_the_clock_stays_low_all_arms_are_told_as_they_were():
    """It ended in an error, and on a GPU whose power is limited so did every sampling."""
    machine, downs = Machine(), iter([True, False] + [True] * 40)
    arms = {"a": machine.arm("a", [1.0]), "b": machine.arm("b", [2.0])}
    found = sample(arms, Bounds(least_samples=9, timeout_s=9.0), lambda: next(downs), machine)
    assert {name: (set(one.seconds), one.n - one.throttled) for name, one in found.items()} == {
        "a": ({1.0}, 0),
        "b": ({2.0}, 1),
    }
    for one in found.values():
        assert one.stopped_by is Stop.TIMEOUT
        assert "this is a slowed GPU's speed; let it cool, or raise its power limit" in one.notes()[-1]


def test_arms_take_turns_and_each_comes_first_in_every_second_round():
    machine = Machine()
    arms = {name: machine.arm(name, [1.0]) for name in "ab"}
    sample(arms, Bounds(least_samples=4, timeout_s=LONG_S), now=machine)
    assert "".join(machine.order) == "abbaabba"


def test_a_drift_hits_all_arms_alike():
    machine = Machine()

    def drifting():
        before_s = machine.now_s
        machine.now_s *= 1.01
        return machine.now_s - before_s

    taken = sample({"a": drifting, "b": drifting}, Bounds(math.inf, 20, 0.0, LONG_S), now=machine)
    assert taken["a"].n == taken["b"].n == 20
    # If b always came second, it would be a hundredth slower.
    assert taken["a"].mean_s == pytest.approx(taken["b"].mean_s, rel=1e-3)


def test_arms_that_differ_in_noise_all_meet_their_bounds():
    machine = Machine()
    arms = {"calm": machine.arm("calm", [1.0]), "noisy": machine.arm("noisy", [0.5, 1.5])}
    taken = sample(arms, Bounds(0.1, 10, timeout_s=LONG_S), now=machine)
    assert taken["calm"].n == taken["noisy"].n > 20
    assert max(one.relative_error for one in taken.values()) < 0.1


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=60))
def test_statistics_are_numpys(seconds):
    taken = samples(*seconds)
    assert taken.n == len(seconds)
    assert taken.min_s == min(seconds)
    for ours, theirs in (
        (taken.mean_s, np.mean(seconds)),
        (taken.median_s, np.median(seconds)),
        (taken.quantile_s(0.5), np.median(seconds)),
        (taken.p95_s, np.quantile(seconds, 0.95)),
        (taken.p99_s, np.quantile(seconds, 0.99)),
    ):
        assert ours == pytest.approx(theirs)
    if len(seconds) > 1:
        error = np.std(seconds, ddof=1) / math.sqrt(len(seconds)) / np.mean(seconds)
        assert taken.relative_error == pytest.approx(error, abs=1e-9)
    else:
        assert taken.relative_error is None


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_an_interruption_keeps_what_there_is_and_goes_on_its_way(rounds):
    machine, kept = Machine(), []
    seconds = iter([1.0, 2.0, 3.0][:rounds])

    def interrupted():
        try:
            return next(seconds)
        except StopIteration:
            raise KeyboardInterrupt from None

    with pytest.raises(KeyboardInterrupt):
        sample(
            {"a": machine.arm("a", [1.0]), "b": interrupted}, Bounds(timeout_s=LONG_S), now=machine, keep=kept.append
        )
    if not rounds:
        assert kept == []
        return
    (samples,) = kept
    assert samples["b"].seconds == (1.0, 2.0, 3.0)[:rounds]
    assert samples["b"].stopped_by is Stop.INTERRUPT
    assert samples["b"].notes()[0].startswith(f"interrupted with {rounds} of at least 10 samples")


def test_what_is_kept_at_the_end_is_what_is_returned():
    kept = []
    machine = Machine()
    taken = sample({"a": machine.arm("a", [1.0])}, Bounds(timeout_s=LONG_S), now=machine, keep=kept.append)
    assert kept == [taken]


def test_a_time_out_for_a_measure_that_samples_nothing_is_refused():
    assert with_timeout(Bounds(least_samples=3), 2.0, "loading") == Bounds(least_samples=3, timeout_s=2.0)
    with pytest.raises(UsageError, match="--sampling-timeout: time_to_accuracy samples nothing; throughput, inference"):
        with_timeout(Bounds(), 2.0, "time_to_accuracy")


CALM = [1.00, 1.01, 0.99, 1.02, 0.98, 1.00, 1.01, 0.99]


@pytest.mark.parametrize(
    ("seconds", "cautions"),
    [
        (CALM, []),
        ([3.0, *CALM], [Caution.SLOW_FIRST]),
        ([0.1, *CALM], [Caution.OUTLIERS]),
        ([*CALM, 3.0], [Caution.OUTLIERS]),
        ([3.0, *CALM, 3.0], [Caution.SLOW_FIRST, Caution.OUTLIERS]),
        # Ten standard deviations of this noise, and less.
        ([*CALM, 1.0 + 14.7 * 0.01], []),
        ([*CALM, 1.0 + 14.9 * 0.01], [Caution.OUTLIERS]),
        ([1.0] * 8, []),
        ([1.0], []),
    ],
)
def test_outliers_and_a_slow_first_sample_are_reported_and_kept(seconds, cautions):
    taken = samples(*seconds)
    assert taken.cautions == cautions
    assert taken.mean_s == pytest.approx(np.mean(seconds))
    assert all(any(caution.value in note for note in taken.notes()) for caution in cautions)


def test_every_caution_says_what_to_do():
    for caution in Caution:
        assert "; " in caution


def test_the_notes_of_a_time_out_give_the_figures():
    taken = samples(0.125, 0.25, stopped_by=Stop.TIMEOUT, bounds=Bounds(timeout_s=3))
    (note,) = taken.notes()
    for words in (
        "time-out of 3 s",
        "2 of at least 10 samples",
        "0.375 of at least 0.5 s",
        "33.33%",
        "0.50%",
    ):
        assert words in note


def test_samples_that_are_fine_have_no_notes():
    assert samples(*CALM).notes() == []
    assert samples(*CALM).quality("x_") == {
        "x_n": 8,
        "x_relative_error": pytest.approx(0.00463, rel=1e-2),
        "x_timed_out": False,
        "x_outliers": 0,
        "x_throttled": 0,
    }
