"""What else a machine did while something was timed, from differences of the kernel's counters.

Reading the counters takes some 30 µs and happens only between spans. Linux has all of them; a counter that a system or
container does not provide is None and is not used.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from bench.host.fingerprint import physical_cores, usable_cpus
from bench.host.proc import pids, read, stat_of

# The kernel counts in ticks of 10 ms, several at a time: over a shorter time, one tick is several per cent of a core.
LEAST_S = 0.5
# The daemons of a quiet machine use less than 1 % of two cores. 5 % slows a training on all cores by about as much,
# which is more than a speed gate should miss.
OTHERS_SHARE = 0.05
# A hypervisor with free cores steals next to nothing; stolen time is lost directly.
STEAL_SHARE = 0.02
# Other processes disturb only if no core is idle.
FULL = 0.9
# If the ticks do not add up to the elapsed time, /proc/stat is not real, as in gVisor.
PLAUSIBLE = 0.5
LONGEST_TICK_S = 0.02
# Scanning all processes takes 1 ms for 100 of them, hence this interval.
SCAN_SHARE = 0.001
# A process that has just started has no children yet.
FIRST_SCAN_S = 0.5
# Before a run: 25 ticks of each core distinguish a busy core from an idle one.
LOOK_S = 0.25
BUSY_SHARE = 0.1
# A tenth of a tick, in which no counter of the kernel changes.
LATELY_S = 0.001
# No machine has so many seconds, cores or context switches.
MOST = 1e18


@dataclass(frozen=True)
class CounterReading:
    """Counters at a moment, in seconds since they started; None if the system does not provide them.

    `own_cpu_s` is the CPU time of the run's processes. Of the usable cores, `busy_s` is the time used by any process,
    `steal_s` the time that the hypervisor gave to other machines, and `ticks_s` all counted time including idle time.
    `pressure_s` is the time in which some process of the machine waited for a core (PSI, "some").
    """

    at_s: float
    own_cpu_s: float | None = None
    involuntary_switches: int | None = None
    busy_s: float | None = None
    steal_s: float | None = None
    ticks_s: float | None = None
    pressure_s: float | None = None


@dataclass(frozen=True)
class Usage:
    """Who used the cores during some wall time; None if the system does not say.

    `cores` are the usable physical ones, `threads` their hardware threads.
    """

    wall_s: float
    cores: int
    threads: int
    own_cpu_s: float | None = None
    others_cpu_s: float | None = None
    steal_s: float | None = None
    pressure_s: float | None = None
    involuntary_switches: int | None = None

    @classmethod
    def between(cls, first: CounterReading, last: CounterReading, cores: int, threads: int) -> Self:
        wall_s = last.at_s - first.at_s
        passed = {field.name: _passed(getattr(first, field.name), getattr(last, field.name)) for field in fields(first)}
        own_s, busy_s, ticks_s = passed["own_cpu_s"], passed["busy_s"], passed["ticks_s"]
        # A time shorter than a tick may contain none.
        plausible = ticks_s is not None and ticks_s >= PLAUSIBLE * (wall_s - LONGEST_TICK_S) * threads
        others_s = max(0.0, busy_s - own_s) if plausible and busy_s is not None and own_s is not None else None
        switches = passed["involuntary_switches"]
        return cls(
            wall_s,
            cores,
            threads,
            own_s,
            others_s,
            passed["steal_s"] if plausible else None,
            passed["pressure_s"],
            None if switches is None else int(switches),
        )

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self | None:
        """The usage in a record's span or metrics; None if there is none, as in older records."""
        values: dict[str, Any] = {field.name: _plausible(record.get(field.name)) for field in fields(cls)}
        if None in (values["wall_s"], values["cores"], values["threads"]):
            return None
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """The usage as a record keeps it, rounded to microseconds."""
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(self).items()}

    @property
    def others_share(self) -> float | None:
        """The share of the used CPU time that other processes used."""
        if self.own_cpu_s is None or self.others_cpu_s is None:
            return None
        used_s = self.own_cpu_s + self.others_cpu_s
        return self.others_cpu_s / used_s if used_s else 0.0

    @property
    def steal_share(self) -> float | None:
        """The share of the CPU time wanted by this machine that its host gave to others."""
        if self.steal_s is None or self.own_cpu_s is None or self.others_cpu_s is None:
            return None
        wanted_s = self.own_cpu_s + self.others_cpu_s + self.steal_s
        return self.steal_s / wanted_s if wanted_s else 0.0

    @property
    def is_full(self) -> bool:
        """Whether hardly any core was idle."""
        used = (self.own_cpu_s, self.others_cpu_s, self.steal_s)
        return sum(seconds or 0.0 for seconds in used) >= FULL * self.wall_s * self.cores

    @property
    def disturbance(self) -> str | None:
        """What disturbed the run, in words; None if nothing did or if it is unknown."""
        if self.wall_s < LEAST_S:
            return None
        if self.steal_share is not None and self.steal_share > STEAL_SHARE:
            return f"the host gave {self.steal_share:.0%} of the CPU time to other virtual machines"
        if self.others_share is not None and self.others_share > OTHERS_SHARE and self.is_full:
            return f"other processes took {self.others_share:.0%} of the CPU time"
        return None


def total(usages: Iterable[Usage]) -> Usage | None:
    """The sum of consecutive usages, None for an empty list. A value that one of them lacks is None in the sum."""
    every = list(usages)
    if not every:
        return None
    sums: dict[str, Any] = {}
    for field in fields(Usage):
        values = [getattr(usage, field.name) for usage in every]
        sums[field.name] = None if None in values else sum(values)
    return Usage(**sums | {"cores": every[0].cores, "threads": every[0].threads})


def by_span(spans: Iterable[Mapping[str, Any]]) -> dict[str, Usage]:
    """The total usage by name of span, for the names whose spans have a usage."""
    found: dict[str, list[Usage]] = defaultdict(list)
    for span in spans:
        host = span.get("host")
        if isinstance(host, Mapping) and (usage := Usage.of(host)):
            found[str(span.get("name"))].append(usage)
    return {name: usage for name, usages in found.items() if (usage := total(usages))}


def disturbances(every: Mapping[str, Usage], names: Iterable[str] | None = None) -> dict[str, str]:
    """What disturbed a run with these usages, by name of span; of all spans, or only of those in `names`.

    Spans that are too short to be judged alone are judged together under the name `run`; if their sum is still too
    short, the whole run is judged.
    """
    wanted = set(every if names is None else names)
    usages = {name: usage for name, usage in every.items() if name in wanted}
    told = {name: what for name, usage in usages.items() if (what := usage.disturbance)}
    together = total(usages.values())
    if not told and together and together.wall_s < LEAST_S:
        together = total(every.values())
    if not told and together and together.disturbance:
        return {"run": together.disturbance}
    return told


def _plausible(value: Any) -> int | float | None:
    """A number from a record; None if it is not a number, or not a possible count of seconds, cores or switches."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and 0 <= value < MOST else None


def _passed(first: float | None, last: float | None) -> float | None:
    """By how much a counter rose; 0 if it fell, as some of the kernel's counters do by a tick."""
    return None if first is None or last is None else max(0.0, last - first)


def metrics(whole: Usage, spans: Iterable[Mapping[str, Any]]) -> dict[str, float | int | bool | None]:
    """The metrics about contention in a run's record.

    `contended` is whether something disturbed the run or any of its spans, None if that is unknown.
    """
    names = ("own_cpu_s", "others_cpu_s", "steal_s", "pressure_s", "involuntary_switches")
    told = {name: value for name, value in whole.to_dict().items() if name in names}
    known = whole.others_share is not None
    return told | {"contended": bool(whole.disturbance or disturbances(by_span(spans))) if known else None}


class Sampler:
    """Reads the counters for this process and those that belong to its run.

    All descendants of the process `root`, by default this one, belong to the run. The `helpers`, such as the command
    that shows the progress, belong to it without their descendants, and so do the `members` of the moment, such as
    those that outlive their parents. `proc` is the kernel's folder, for tests.
    """

    def __init__(
        self,
        root: int | None = None,
        helpers: Iterable[int] = (),
        proc: Path = Path("/proc"),
        cpus: Sequence[int] | None = None,
        now: Callable[[], float] = time.monotonic,
        members: Callable[[], Iterable[int]] = lambda: (),
    ) -> None:
        self.root = os.getpid() if root is None else root
        self.helpers = set(helpers)
        self._proc, self._now, self._members = str(proc), now, members
        cpus = usable_cpus() if cpus is None else cpus
        self._cpu_names = {f"cpu{cpu}".encode() for cpu in cpus}
        self.threads = len(cpus)
        self.cores = physical_cores(cpus) or self.threads
        self._tick_s = 1 / os.sysconf("SC_CLK_TCK")
        self._family = {self.root}
        self._scans_took_s = 0.0
        self._began_s = now()
        self._next_scan_s = self._began_s + (FIRST_SCAN_S if root is None else 0.0)
        self._most_own_s = 0.0
        self._first = self._latest = self.read()

    def read(self) -> CounterReading:
        """The counters now; raises nothing if the system lacks some of them."""
        at_s = self._now()
        if at_s >= self._next_scan_s:
            self._scan()
        own_s, switches = self._own()
        self._latest = CounterReading(at_s, own_s, switches, *self._cores(), self._pressure_s())
        return self._latest

    def read_lately(self) -> CounterReading:
        """The last reading if it is recent enough, as between two spans that follow each other directly; else a new
        one."""
        return self._latest if self._now() - self._latest.at_s <= LATELY_S else self.read()

    def since_the_first(self) -> Usage:
        """Who used the cores since this sampler was made."""
        return self.since(self._first)

    def since(self, first: CounterReading) -> Usage:
        """Who used the cores from a reading until now."""
        return Usage.between(first, self.read(), self.cores, self.threads)

    def parent_of(self, pid: int) -> int | None:
        stat = self._stat(pid)
        return stat[0] if stat else None

    def _own(self) -> tuple[float | None, int | None]:
        try:
            import resource
        except ImportError:  # no Unix
            return None, None
        own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        own_s = sum(one.ru_utime + one.ru_stime for one in own)
        for pid in self._family - {os.getpid()}:
            if stat := self._stat(pid):
                own_s += sum(stat[1:]) * self._tick_s
        for pid in self.helpers:
            if stat := self._stat(pid):
                own_s += sum(stat[1:3]) * self._tick_s
        # A process that has ended but was not yet waited for is temporarily in no count.
        self._most_own_s = max(self._most_own_s, own_s)
        return self._most_own_s, sum(one.ru_nivcsw for one in own)

    def _stat(self, pid: int | str) -> tuple[int, ...] | None:
        """A process's parent and its ticks in user and kernel mode, including those of its ended children."""
        fields = stat_of(self._proc, pid)
        try:
            return int(fields[1]), *map(int, fields[11:15])
        except (ValueError, IndexError):
            return None

    def _scan(self) -> None:
        """Find the descendants of the root."""
        began_s = time.thread_time()
        children: dict[int, list[int]] = defaultdict(list)
        for pid in pids(self._proc):
            if stat := self._stat(pid):
                children[stat[0]].append(int(pid))
        family, new = {self.root}, [self.root]
        while new:
            new = [child for pid in new for child in children[pid] if child not in family]
            family.update(new)
        self._family = family | set(self._members())
        self._scans_took_s += time.thread_time() - began_s
        self._next_scan_s = self._began_s + self._scans_took_s / SCAN_SHARE

    def _cores(self) -> tuple[float | None, float | None, float | None]:
        """Busy, stolen and all counted seconds of the usable cores."""
        busy = stolen = ticks = 0
        seen = 0
        try:
            for line in read(self._proc, "stat").split(b"\n"):
                if not line.startswith(b"cpu"):
                    break
                name, *counts = line.split()
                if name in self._cpu_names:
                    user, nice, system, idle, iowait, irq, softirq, *rest = map(int, counts)
                    steal = rest[0] if rest else 0
                    here = user + nice + system + irq + softirq  # a guest's time is in its host's user time
                    busy, stolen, ticks = busy + here, stolen + steal, ticks + here + idle + iowait + steal
                    seen += 1
        except ValueError:
            return None, None, None
        if seen != len(self._cpu_names):
            return None, None, None
        return busy * self._tick_s, stolen * self._tick_s, ticks * self._tick_s

    def _pressure_s(self) -> float | None:
        text = read(self._proc, "pressure/cpu")
        try:
            some = next(line for line in text.split(b"\n") if line.startswith(b"some"))
            return int(some.rpartition(b"total=")[2]) / 1e6
        except (StopIteration, ValueError):
            return None


class LoadCheck:
    """Measures how busy the machine is before anything is timed, from the moment this object is made."""

    def __init__(self, sampler: Sampler | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sampler, self._sleep = sampler or Sampler(), sleep

    def warning(self, device: str, wait: bool) -> str | None:
        """A warning to print before a run on `cpu` or `cuda`; None if the machine is quiet or its load unknown.

        With `wait` it waits until enough time has passed for a judgement, a fraction of a second; else too short a time
        gives None.
        """
        usage = self._sampler.since_the_first()
        if wait and usage.wall_s < LOOK_S:
            self._sleep(LOOK_S - usage.wall_s)
            usage = self._sampler.since_the_first()
        if usage.wall_s < LOOK_S or usage.others_cpu_s is None:
            return None
        busy = usage.others_cpu_s / usage.wall_s
        # A training on a CPU uses all cores; one on a GPU needs one or two.
        if busy < (BUSY_SHARE if device == "cpu" else FULL) * usage.cores:
            return None
        return (
            f"other processes use {busy:.1f} of this machine's {usage.cores} cores. What is timed now takes longer and "
            "is marked as contended; stop them (top shows them), or wait until they have ended"
        )


def of_this_run(*, is_rank: bool = False) -> Sampler:
    """A sampler for a worker, or for one of the ranks that a worker has started, all of which belong to the run."""
    parent = multiprocessing.parent_process()
    sampler = Sampler(root=parent.pid if is_rank and parent is not None else None)
    # The command, which shows the progress, and the fork server between them.
    started_by = (sampler.parent_of(sampler.root), parent.pid if parent is not None else None)
    sampler.helpers = {pid for pid in started_by if pid is not None} - {sampler.root}
    return sampler
