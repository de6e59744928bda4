"""The bytes that a step keeps: counted alike in every run, and equal to what the network's layers say."""

import pytest

BATCH, PIXELS = 64, 8 * 8


@pytest.fixture
def count(make_job, run_here):
    def counted(*settings):
        end = run_here(make_job("memory", *settings))[-1]
        assert (end["status"], end["reason"]) == ("ok", None)
        return end["metrics"]

    return counted


def test_two_runs_count_the_same(count):
    first, second = count(), count()
    for name in ("activation_bytes", "weight_bytes", "parameters", "forward_flops_per_example"):
        assert first[name] == second[name]
    assert first["activation_bytes_per_example"] == first["activation_bytes"] / BATCH


@pytest.mark.parametrize("setting", ["accumulate=4", "proxy={kept: 0.5, model: {width: 2}}"])
def test_parts_and_a_proxy_are_counted_alike_in_every_run_too(count, setting):
    first, second = (count(setting)["activation_bytes"] for _ in range(2))
    assert first == second < 0.8 * count()["activation_bytes"]


def test_an_activation_in_place_saves_its_input_and_a_bias_costs_its_own_size_alone(count):
    in_place, copied = count(), count("model.inplace=false")
    assert copied["activation_bytes"] > in_place["activation_bytes"] + BATCH * PIXELS * 4
    assert copied["weight_bytes"] == in_place["weight_bytes"]
    biased = count("model.bias=true")
    assert biased["parameters"] > in_place["parameters"]
    assert biased["activation_bytes"] == in_place["activation_bytes"]


def test_the_bytes_are_a_constant_and_so_many_an_example(count):
    small, medium, large = (count(f"batch_size={size}")["activation_bytes"] for size in (32, 64, 128))
    assert 0 < large - medium == 2 * (medium - small) <= large
