import math

import pytest

import bench
from bench.runs.store import Store
from bench.scores.scaling import efficiency, efficiency_by_run, one_device_config


def test_efficiency_is_the_share_of_the_speed_that_a_device_keeps():
    found = efficiency([150.0, 170.0], 2, [100.0])
    assert (found.value, found.n, found.low) == (0.8, 2, None)


def test_its_interval_is_that_of_a_ratio_of_means():
    # Relative standard errors of 1/160 and 1/100 over a ratio of .8; by hand: 1.46 degrees of freedom.
    found = efficiency([159.0, 161.0], 2, [99.0, 101.0])
    error = 0.8 * math.hypot(1 / 160, 1 / 100)
    assert found.value == pytest.approx(0.8)
    assert (found.high - found.low) / 2 == pytest.approx(5.87 * error, rel=0.15)
    assert found.low < 0.8 < found.high


def test_equal_runs_have_no_interval():
    assert efficiency([200.0, 200.0], 2, [100.0, 100.0]).low is None


def test_configs_that_differ_in_devices_alone_have_one_key():
    one = {"batch_size": 64, "devices": None, "batch_per": None, "resolved": {"threads": 2}}
    assert one_device_config(one) == one_device_config({"batch_size": 64, "devices": 4, "batch_per": "device"})
    assert one_device_config(one) != one_device_config(one | {"batch_size": 32})


@pytest.fixture
def runs_of(make_run, tmp_path):
    def runs_of(*cells):
        store = Store(tmp_path / "runs" / "runs.jsonl")
        for number, (cell, samples_per_s, config) in enumerate(cells):
            store.append(
                make_run(
                    run_id=f"run{number}",
                    cell=cell,
                    sweep="devices",
                    measure="throughput",
                    metrics={"samples_per_s": samples_per_s},
                    config={"batch_size": 64, "batch_per": None} | config,
                    machine={"id": "here"},
                )
            )
        return bench.load(results=tmp_path).runs

    return runs_of


def test_every_run_on_several_devices_has_its_own_efficiency(runs_of):
    runs = runs_of(
        ("one", 90.0, {}),
        ("two", 150.0, {"devices": 2}),
        ("one", 110.0, {}),
        ("other", 90.0, {"devices": 2, "epochs": 3}),
    )
    found = efficiency_by_run(runs)
    assert found.name == "scaling_efficiency"
    assert found[1] == 0.75
    assert found.isna().tolist() == [True, False, True, True]


def test_only_what_is_alike_in_all_else_is_compared(runs_of):
    runs = runs_of(
        ("one", 100.0, {"devices": None, "resolved": {"threads": 2}}),
        ("weak", 190.0, {"devices": 2, "batch_per": "device", "resolved": {"threads": 1}}),
        ("other", 190.0, {"devices": 2, "batch_size": 32}),
    )
    assert efficiency_by_run(runs)[1] == 0.95
    assert math.isnan(efficiency_by_run(runs)[2])


def test_without_several_devices_there_is_none(runs_of):
    assert efficiency_by_run(runs_of(("one", 100.0, {}))).isna().all()
