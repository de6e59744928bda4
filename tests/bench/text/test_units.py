import pytest

from bench.text import units


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(1.5e-9, "1.5 ns"), (9e-7, "0.9 µs"), (1e-5, "10 µs"), (0.0, "0 ms"),
     (0.000857, "0.857 ms"), (0.0123, "12.3 ms"), (0.4, "0.40 s"), (9.99, "9.99 s"), (9.996, "10.0 s"),
     (99.9, "99.9 s"), (100, "1 min 40 s"), (191, "3 min 11 s"), (3599.6, "1 h 00 min"), (4020, "1 h 07 min"),
     (284400, "79 h 00 min"), (None, "–"), (float("nan"), "–"), (float("inf"), "∞")],
)  # fmt: skip
def test_durations(seconds, shown):
    assert units.duration(seconds) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [(950, "950"), (49946, "49,946"), (1_972_792, "1.97 M"), (236e6, "0.236 G"), (0.29e15, "0.29 P"), (None, "–")],
)
def test_counts(number, shown):
    assert units.count(number) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (None, "–"),
        (85, "85 FLOP"),
        (1.234e9, "1.23 GFLOP"),
        (9e12, "9 TFLOP"),
        (1e13, "0.01 PFLOP"),
        (8.708e13, "0.0871 PFLOP"),
        (2.5e15, "2.5 PFLOP"),
        (float("nan"), "–"),
        (float("inf"), "∞"),
    ],
)
def test_flops(number, shown):
    assert units.flop(number) == shown


@pytest.mark.parametrize(("per_s", "shown"), [(3.14159, "3.14/s"), (550.4, "550/s"), (12876.2, "12,876/s")])
def test_rates(per_s, shown):
    assert units.rate(per_s) == shown


@pytest.mark.parametrize(("size", "shown"), [(512, "512 B"), (344 * 2**20, "344 MiB"), (2.79 * 2**30, "2.79 GiB")])
def test_sizes(size, shown):
    assert units.size(size) == shown


def test_percentages_and_dollars():
    assert units.percent(0.94009) == "94.01 %"
    assert units.dollars(0.02118) == "$0.0212"
    assert units.dollars(1.1834) == "$1.18"


def test_get_follows_a_path_as_far_as_it_goes():
    assert units.get({"a": {"b": 3}}, "a", "b") == 3
    assert units.get({"a": 1}, "a", "b") is None


@pytest.mark.parametrize(("joules", "shown"), [(None, "–"), (85.24, "85.2 J"), (12_345, "12.3 kJ"), (1.2e6, "1.2 MJ")])
def test_energies(joules, shown):
    assert units.energy(joules) == shown
