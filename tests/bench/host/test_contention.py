from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench.host import contention
from bench.host.contention import LoadCheck, Sampler, Usage

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
QUIET = Usage(10.0, cores=2, threads=2, own_cpu_s=19.6, others_cpu_s=0.1, steal_s=0.0)


class Machine:
    """A folder such as /proc, with a clock: two cores, this process (1 helper above, 1 child below) and a stranger."""

    def __init__(self, proc: Path) -> None:
        self.proc, self.at_s = proc, 0.0
        self.cpu = {name: dict.fromkeys(("user", "idle", "steal"), 0) for name in ("cpu0", "cpu1", "cpu7")}
        self.processes = {3: [1, 0], 4: [os.getpid(), 0], 5: [1, 0], 6: [4, 0]}
        self.pressure_us = 0
        self.write()

    def write(self) -> None:
        lines = ["cpu  1 1 1 1 1 1 1 1 0 0"]
        lines += [f"{name} {c['user']} 0 0 {c['idle']} 0 0 0 {c['steal']} 0 0" for name, c in self.cpu.items()]
        (self.proc / "stat").write_text("\n".join([*lines, "intr 5 1 2", ""]))
        (self.proc / "pressure").mkdir(exist_ok=True)
        pressure = f"some avg10=1.00 avg60=1.00 avg300=1.00 total={self.pressure_us}\nfull avg10=0.00 total=7\n"
        (self.proc / "pressure" / "cpu").write_text(pressure)
        for pid, (parent, ticks) in self.processes.items():
            (self.proc / str(pid)).mkdir(exist_ok=True)
            fields = [parent, *[0] * 9, ticks, 0, 100, 0]
            (self.proc / str(pid) / "stat").write_text(f"{pid} (a ) name) S {' '.join(map(str, fields))} 20 0\n")

    def sampler(self) -> Sampler:
        return Sampler(os.getpid(), helpers=[3], proc=self.proc, cpus=[0, 1], now=lambda: self.at_s)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_what_outlives_its_parent_stays_the_runs_own(machine: Machine) -> None:
    sampler = Sampler(os.getpid(), proc=machine.proc, cpus=[0, 1], now=lambda: machine.at_s, members=lambda: [5])
    first = sampler.read()
    machine.at_s = 10.0
    machine.cpu["cpu0"] = {"user": 900, "idle": 100, "steal": 0}
    machine.cpu["cpu1"] = {"user": 0, "idle": 1000, "steal": 0}
    machine.processes[5] = [1, 900]  # a child of init by now
    machine.write()
    assert sampler.since(first).others_cpu_s == 0.0


def test_what_is_not_the_runs_own_is_the_others(machine: Machine) -> None:
    sampler = machine.sampler()
    first = sampler.read()
    machine.at_s = 10.0
    machine.cpu["cpu0"] = {"user": 900, "idle": 90, "steal": 10}
    machine.cpu["cpu1"] = {"user": 600, "idle": 400, "steal": 0}
    machine.cpu["cpu7"] = {"user": 1000, "idle": 0, "steal": 0}  # which this process may not use
    machine.processes = {3: [1, 20], 4: [os.getpid(), 200], 5: [1, 900], 6: [4, 300]}
    machine.pressure_us = 4_000_000
    machine.write()
    usage = sampler.since(first)
    # Our own process works as well, in the real time of this test.
    assert usage.own_cpu_s == pytest.approx(520 * TICK_S, abs=0.5)
    assert usage.others_cpu_s == pytest.approx(980 * TICK_S, abs=0.5)
    assert (usage.wall_s, usage.threads) == (10.0, 2)
    assert usage.steal_s == pytest.approx(10 * TICK_S)
    assert usage.pressure_s == pytest.approx(4.0)


def test_a_moment_without_a_tick_is_known_to_be_quiet(machine: Machine) -> None:
    sampler = machine.sampler()
    first = sampler.read()
    machine.at_s = 0.004
    moment = sampler.since(first)
    assert (moment.others_cpu_s, moment.steal_s) == (0.0, 0.0)
    together = contention.total([moment, QUIET])
    assert together is not None
    assert together.others_cpu_s == QUIET.others_cpu_s


def test_children_that_began_later_are_the_runs_own(machine: Machine) -> None:
    sampler = machine.sampler()
    first = sampler.read()
    machine.at_s = 10.0
    machine.processes |= {8: [6, 500], 9: [5, 700]}
    machine.write()
    assert sampler.since(first).own_cpu_s == pytest.approx(600 * TICK_S, abs=0.5)  # 8, and its children


@pytest.mark.parametrize("gone", ["stat", "pressure/cpu", "all", "torn", "zeros"])
def test_what_a_container_does_not_tell_is_null(machine: Machine, gone: str) -> None:
    sampler = machine.sampler()
    match gone:
        case "all":
            sampler = Sampler(proc=machine.proc / "nothing", cpus=[0, 1], now=lambda: machine.at_s)
        case "torn":
            (machine.proc / "stat").write_text("cpu0 1 2 x\ncpu1")
            (machine.proc / "pressure" / "cpu").write_text("some total=much")
        case "zeros":
            pass  # gVisor's counters stand still while time goes by
        case name:
            (machine.proc / name).unlink()
    first = sampler.read()
    machine.at_s = 10.0
    usage = sampler.since(first)
    assert usage.own_cpu_s is not None
    assert (usage.others_cpu_s, usage.steal_s) == (None, None)  # in no case do the ticks add up to 10 s
    assert (usage.pressure_s is None) == (gone in ("pressure/cpu", "all", "torn"))
    assert usage.disturbance is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"own_cpu_s": 13.0, "others_cpu_s": 6.9}, "other processes took 35% of the CPU time"),
        ({"own_cpu_s": 18.4, "others_cpu_s": 1.2}, "other processes took 6% of the CPU time"),
        ({"own_cpu_s": 18.8, "others_cpu_s": 0.8}, None),  # 4 %
        ({"own_cpu_s": 10.0, "others_cpu_s": 5.0}, None),  # half a core was idle
        ({"own_cpu_s": 9.0, "others_cpu_s": 10.0, "cores": 64}, None),
        ({"own_cpu_s": 18.0, "steal_s": 1.0}, "the host gave 5% of the CPU time to other virtual machines"),
        ({"own_cpu_s": 5.0, "steal_s": 0.3}, "the host gave 6% of the CPU time to other virtual machines"),
        ({"steal_s": 0.3}, None),  # 1.5 %
        ({"wall_s": 0.3, "own_cpu_s": 0.3, "others_cpu_s": 0.3}, None),  # a few ticks
        ({"own_cpu_s": 13.0, "others_cpu_s": None, "steal_s": None}, None),
        ({"own_cpu_s": 0.0, "others_cpu_s": 0.0}, None),
    ],
)
def test_a_disturbance(change: dict[str, float], said: str | None) -> None:
    assert replace(QUIET, **change).disturbance == said


def test_spans_are_judged_by_name_and_together_where_they_are_short() -> None:
    busy = replace(QUIET, own_cpu_s=10.0, others_cpu_s=10.0)
    short = replace(busy, wall_s=0.3, own_cpu_s=0.3, others_cpu_s=0.3)
    spans = [
        {"name": "import", "host": QUIET.to_dict()},
        {"name": "train", "host": busy.to_dict()},
        {"name": "train", "host": QUIET.to_dict()},
        {"name": "start"},
    ]
    assert contention.disturbances(contention.by_span(spans)) == {"train": "other processes took 25% of the CPU time"}
    assert contention.disturbances(contention.by_span(spans), ["import"]) == {}
    three = [{"name": name, "host": short.to_dict()} for name in ("data", "init", "train")]
    assert contention.disturbances(contention.by_span(three)) == {"run": "other processes took 50% of the CPU time"}
    assert contention.disturbances(contention.by_span([{"name": "train"}, {"name": "eval", "host": None}])) == {}


@pytest.mark.parametrize("value", ["much", [1], True, -1.0, float("nan"), 10**400])
@pytest.mark.parametrize("name", ["own_cpu_s", "others_cpu_s", "steal_s", "cores", "wall_s"])
def test_what_a_record_of_others_counts_in_nonsense_is_unknown(name: str, value: object) -> None:
    assert (
        contention.disturbances(contention.by_span([{"name": "train", "host": QUIET.to_dict() | {name: value}}])) == {}
    )


def test_what_is_too_short_to_be_judged_is_judged_with_the_whole_run() -> None:
    busy = replace(QUIET, own_cpu_s=10.0, others_cpu_s=10.0)
    short = replace(QUIET, wall_s=0.2, own_cpu_s=0.4)
    spans = [{"name": "import", "host": busy.to_dict()}, {"name": "train", "host": short.to_dict()}]
    assert contention.disturbances(contention.by_span(spans), ["train"]) == {
        "run": "other processes took 49% of the CPU time"
    }
    spans[1]["host"] = QUIET.to_dict()
    assert contention.disturbances(contention.by_span(spans), ["train"]) == {}


@pytest.mark.parametrize(
    ("others_ticks", "device", "waits", "warned"),
    [(100, "cpu", True, True), (4, "cpu", True, False), (100, "cuda", True, False), (100, "cpu", False, False)],
)
def test_a_look_before_a_run(machine: Machine, others_ticks: int, device: str, waits: bool, warned: bool) -> None:
    def sleep(seconds: float) -> None:
        machine.at_s += 1.0
        machine.cpu["cpu0"] |= {"user": others_ticks, "idle": 100 - others_ticks}
        machine.cpu["cpu1"] |= {"idle": 100}
        machine.write()

    look = LoadCheck(
        Sampler(os.getpid(), helpers=[3, 4, 6], proc=machine.proc, cpus=[0, 1], now=lambda: machine.at_s), sleep
    )
    warning = look.warning(device, waits)
    assert (warning is not None) == warned
    if warning is not None:
        assert re.match(r"other processes use (1\.0|0\.9) of this machine's \d cores\.", warning)


def test_what_is_unknown_of_a_part_is_unknown_of_the_whole() -> None:
    together = contention.total([QUIET, replace(QUIET, steal_s=None)])
    assert together is not None
    assert (together.wall_s, together.own_cpu_s, together.steal_s) == (20.0, 39.2, None)
    assert contention.total([]) is None


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_on_this_machine_a_stranger_is_seen_and_a_child_is_ours() -> None:
    spin = "import time\nend = time.monotonic() + 1.2\nwhile time.monotonic() < end: pass"
    # The stranger's parent ends at once, as that of a daemon does.
    orphaned = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {spin!r}])"
    child = subprocess.Popen([sys.executable, "-c", spin])
    sampler = Sampler(root=os.getpid())
    time.sleep(0.6)
    with_child = sampler.since_the_first()
    child.wait()
    subprocess.run([sys.executable, "-c", orphaned], check=True)
    first = sampler.read()
    time.sleep(0.6)
    with_stranger = sampler.since(first)
    assert with_child.own_cpu_s is not None
    assert with_stranger.own_cpu_s is not None
    # Whatever else the machine does, the child worked for us and the stranger did not.
    assert with_child.own_cpu_s > 3 * with_stranger.own_cpu_s
    assert with_stranger.others_cpu_s is not None
    assert with_stranger.others_cpu_s > 3 * with_stranger.own_cpu_s
