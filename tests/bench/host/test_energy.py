"""Energy meters on hardware that is made up: no GPU, no RAPL, no time."""

import pytest

from bench.host.energy import EnergyMeter, RaplCounter, cpu_counter, gpu_counter


class Nvml:
    """NVML with boards by UUID, each a list of the millijoules that it will tell."""

    class NVMLError(Exception):
        pass

    def __init__(self, boards, divided=(), broken=False):
        self.boards, self.divided, self.broken = boards, divided, broken

    def nvmlInit(self):  # noqa: N802
        if self.broken:
            raise self.NVMLError("no driver")

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: N802
        if uuid not in self.boards:
            raise self.NVMLError("not found")
        return uuid

    def nvmlDeviceGetMigMode(self, handle):  # noqa: N802
        return handle in self.divided, 0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):  # noqa: N802
        told = self.boards[handle]
        if told is None:
            raise self.NVMLError("not supported")
        return told.pop(0) if len(told) > 1 else told[0]


class Counter:
    """Tells these joules in turn, the last for ever; an exception is raised."""

    name = "made up"
    coarse_below_s = 1.0

    def __init__(self, *joules):
        self.told = list(joules)

    def joules(self):
        next_j = self.told.pop(0) if len(self.told) > 1 else self.told[0]
        if isinstance(next_j, Exception):
            raise next_j
        return next_j


def test_the_boards_in_use_are_summed():
    counter = gpu_counter(["a", "b"], Nvml({"a": [1000, 1000, 4000], "b": [500, 500, 1500], "c": [9]}))
    assert (counter.name, counter.joules(), counter.joules()) == ("nvml", 1.5, 5.5)


@pytest.mark.parametrize(
    ("uuids", "nvml"),
    [
        (["a"], Nvml({}, broken=True)),
        (["x"], Nvml({"a": [1]})),
        (["a"], Nvml({"a": None})),
        (["a", "b"], Nvml({"a": [1], "b": None})),
        (["a"], Nvml({"a": [1]}, divided=("a",))),
        ([], Nvml({"a": [1]})),
    ],
)
def test_a_board_that_does_not_count_alone_has_no_counter(uuids, nvml):
    assert gpu_counter(uuids, nvml) is None


def test_this_machines_own_driver_is_asked():
    assert gpu_counter(["GPU-00000000-0000-0000-0000-000000000000"]) is None


def make_zone(folder, name, kind, energy_uj, full_uj=1_000_000):
    zone = folder / name
    zone.mkdir()
    for file, value in (("name", kind), ("energy_uj", energy_uj), ("max_energy_range_uj", full_uj)):
        (zone / file).write_text(f"{value}\n")
    return zone


def test_rapl_counts_packages_and_survives_its_wrap(tmp_path):
    one = make_zone(tmp_path, "intel-rapl:0", "package-0", 900_000)
    two = make_zone(tmp_path, "intel-rapl:1", "package-1", 0)
    make_zone(tmp_path, "intel-rapl:0:0", "core", 5)
    make_zone(tmp_path, "intel-rapl:2", "psys", 7)
    counter = cpu_counter(tmp_path)
    assert counter.joules() == 0.0
    (one / "energy_uj").write_text("100000")  # 200,000 further, round its range
    (two / "energy_uj").write_text("300000")
    assert counter.joules() == pytest.approx(0.5)


def test_a_long_phase_loses_no_round_of_a_counter(tmp_path):
    zone, clock = make_zone(tmp_path, "intel-rapl:0", "package-0", 0), iter(range(0, 10_000, 40))
    meter = EnergyMeter(cpu_counter(tmp_path), lambda: next(clock))
    for uj in (600_000, 200_000, 800_000, 400_000):  # two rounds of a million, and 400,000
        (zone / "energy_uj").write_text(str(uj))
        meter.look()
    assert meter.metrics(train_s=0.0) == {"energy_j": pytest.approx(2.4)}


def test_a_counter_that_does_not_wrap_around_is_not_read_in_between():
    clock = iter(range(0, 10_000, 40))
    meter = EnergyMeter(Counter(1.0, 5.0, OSError("read in between")), lambda: next(clock))
    meter.look()
    meter.look()
    assert meter.metrics(train_s=0.0) == {"energy_j": 4.0}


def test_no_rapl_is_no_counter(tmp_path):
    assert cpu_counter(tmp_path / "nothing") is None
    zone = make_zone(tmp_path, "intel-rapl:0", "package-0", 1)
    (zone / "energy_uj").unlink()
    assert cpu_counter(tmp_path) is None
    with pytest.raises(OSError, match="energy_uj"):
        RaplCounter([zone])


def test_each_phase_has_its_own():
    meter = EnergyMeter(Counter(100.0, 103.0, 110.0, 111.0, 121.0, 125.0))
    for phase in ("data", "train", "eval", "train"):
        meter.enter(phase)
    assert meter.metrics(train_s=2.0) == {"energy_j": 25.0, "train_energy_j": 5.0, "train_energy_coarse": False}


def test_less_than_a_second_is_said_to_be_coarse():
    meter = EnergyMeter(Counter(0.0, 1.0, 2.0))
    meter.enter("train")
    assert meter.metrics(train_s=0.99)["train_energy_coarse"] is True


def test_rapl_is_fast_enough_for_less_than_a_second(tmp_path):
    zone = make_zone(tmp_path, "intel-rapl:0", "package-0", 0)
    meter = EnergyMeter(cpu_counter(tmp_path))
    meter.enter("train")
    (zone / "energy_uj").write_text("500000")
    assert meter.metrics(train_s=0.5) == {"energy_j": 0.5, "train_energy_j": 0.5, "train_energy_coarse": False}
    assert meter.metrics(train_s=0.01)["train_energy_coarse"] is True


def test_a_counter_that_stands_still_counts_nothing():
    meter = EnergyMeter(Counter(7.0))
    meter.enter("train")
    assert meter.metrics(train_s=2.0) == {"energy_j": None, "train_energy_j": None, "train_energy_coarse": None}


def test_without_training_there_is_the_whole_alone():
    assert EnergyMeter(Counter(1.0, 3.0)).metrics(train_s=0.0) == {"energy_j": 2.0}


def test_without_a_counter_it_is_unknown_and_not_zero():
    meter = EnergyMeter(None)
    meter.enter("train")
    assert meter.source is None
    assert meter.metrics(0.0) == {"energy_j": None}
    assert meter.metrics(2.0) == {"energy_j": None, "train_energy_j": None, "train_energy_coarse": None}


def test_a_counter_that_fails_ends_the_count_and_not_the_run(capsys):
    meter = EnergyMeter(Counter(1.0, 2.0, OSError("gone"), 5.0))
    meter.enter("data")
    meter.enter("train")
    meter.enter("eval")
    assert meter.metrics(2.0)["energy_j"] is None
    assert "energy is not counted any more: gone" in capsys.readouterr().out
