"""What else a machine did while something was timed: the kernel's counters, their differences, and a judgement.

The counters cost some 30 µs to read and are read at the edges of spans alone, outside of them. Linux has them all; what
a system or container does not tell is None, and then nothing is judged by it.
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

from bench.host.fingerprint import core_of

# The kernel counts in ticks of 10 ms, several at a time: in a shorter time, one tick is several per cent of a core.
LEAST_S = 0.5
# A quiet machine's daemons take less than 1 % of two cores. 5 % costs a training on all cores about that much, which is
# more than what a speed gate should miss.
OTHERS_SHARE = 0.05
# A hypervisor that has room steals next to nothing; what it steals is lost at once.
STEAL_SHARE = 0.02
# Others disturb where no core is left for them; on a machine with room they run beside.
FULL = 0.9
# Where the ticks do not add up to the time that went by, /proc/stat is made up, as in gVisor.
PLAUSIBLE = 0.5
LONGEST_TICK_S = 0.02
# Looking at every process of the machine takes 1 ms for 100 of them, so it is done only so rarely.
SCAN_SHARE = 0.001
# A process that has just begun has no children yet.
FIRST_SCAN_S = 0.5
# Before a run: 25 ticks of each core tell a busy one from a quiet one.
LOOK_S = 0.25
BUSY_SHARE = 0.1
# A tenth of a tick, within which no counter of the kernel's moves.
LATELY_S = 0.001
READ_BYTES = 1 << 20
# No machine counts so many seconds, cores or switches of threads.
MOST = 1e18


@dataclass(frozen=True)
class CounterReading:
    """Counters at a moment, in seconds since whenever they began; None where the system does not say.

    `own_cpu_s` is of the run's processes, `busy_s`, `steal_s` and `ticks_s` of the usable cores: what any process used,
    what the hypervisor gave to other machines, and all time that was counted, idle too. `pressure_s` is the time in
    which some process of the machine waited for a core (PSI, "some").
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
    """Who used the cores during some wall time; None where the system does not say.

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
        # A time shorter than a tick may have none.
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
        """What a record's span or metrics hold, None where they hold none, as in older records."""
        values: dict[str, Any] = {field.name: _plausible(record.get(field.name)) for field in fields(cls)}
        if None in (values["wall_s"], values["cores"], values["threads"]):
            return None
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """As a record keeps it, in microseconds at the finest."""
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(self).items()}

    @property
    def others_share(self) -> float | None:
        """Of the CPU time that was used, the part that was not the run's."""
        if self.own_cpu_s is None or self.others_cpu_s is None:
            return None
        used_s = self.own_cpu_s + self.others_cpu_s
        return self.others_cpu_s / used_s if used_s else 0.0

    @property
    def steal_share(self) -> float | None:
        """Of the CPU time that this machine wanted, the part that its host gave to others."""
        if self.steal_s is None or self.own_cpu_s is None or self.others_cpu_s is None:
            return None
        wanted_s = self.own_cpu_s + self.others_cpu_s + self.steal_s
        return self.steal_s / wanted_s if wanted_s else 0.0

    @property
    def is_full(self) -> bool:
        """Whether there was hardly an idle core."""
        used = (self.own_cpu_s, self.others_cpu_s, self.steal_s)
        return sum(seconds or 0.0 for seconds in used) >= FULL * self.wall_s * self.cores

    @property
    def disturbance(self) -> str | None:
        """What disturbed the run, in words; None where nothing did, or nobody can say."""
        if self.wall_s < LEAST_S:
            return None
        if self.steal_share is not None and self.steal_share > STEAL_SHARE:
            return f"the host gave {self.steal_share:.0%} of the CPU time to other virtual machines"
        if self.others_share is not None and self.others_share > OTHERS_SHARE and self.is_full:
            return f"other processes took {self.others_share:.0%} of the CPU time"
        return None


def total(usages: Iterable[Usage]) -> Usage | None:
    """The usages one after the other; None of none. What one of them does not know, the total does not know."""
    every = list(usages)
    if not every:
        return None
    sums: dict[str, Any] = {}
    for field in fields(Usage):
        values = [getattr(usage, field.name) for usage in every]
        sums[field.name] = None if None in values else sum(values)
    return Usage(**sums | {"cores": every[0].cores, "threads": every[0].threads})


def by_span(spans: Iterable[Mapping[str, Any]]) -> dict[str, Usage]:
    """The usage of all spans of a name, of those names whose spans have one."""
    found: dict[str, list[Usage]] = defaultdict(list)
    for span in spans:
        host = span.get("host")
        if isinstance(host, Mapping) and (usage := Usage.of(host)):
            found[str(span.get("name"))].append(usage)
    return {name: usage for name, usages in found.items() if (usage := total(usages))}


def disturbances(spans: Iterable[Mapping[str, Any]], names: Iterable[str] | None = None) -> dict[str, str]:
    """What disturbed a run, by the name of the spans in which it did: of all spans, or of these alone.

    Where the spans are too short to be judged alone, they are judged together, under the name `run`; and where that is
    too short as well, so is all of the run.
    """
    every = by_span(spans)
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
    """A number from a record; None for what is none, or what no count of seconds, cores or switches can be."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and 0 <= value < MOST else None


def _passed(first: float | None, last: float | None) -> float | None:
    """How far a counter went; one that went back, as some of the kernel's do by a tick, stood still."""
    return None if first is None or last is None else max(0.0, last - first)


def metrics(whole: Usage, spans: Iterable[Mapping[str, Any]]) -> dict[str, float | int | bool | None]:
    """What a run's record says of it as a whole.

    `contended` is whether something disturbed it or any of its spans, None where nobody can say.
    """
    names = ("own_cpu_s", "others_cpu_s", "steal_s", "pressure_s", "involuntary_switches")
    told = {name: value for name, value in whole.to_dict().items() if name in names}
    known = whole.others_share is not None
    return told | {"contended": bool(whole.disturbance or disturbances(spans)) if known else None}


class Sampler:
    """Reads the counters for this process and those that belong to its run.

    `root` is the process whose descendants all belong to the run, by default this one; of the `helpers`, such as the
    command that shows the progress, only they themselves do. `proc` is the kernel's folder, for tests.
    """

    def __init__(
        self,
        root: int | None = None,
        helpers: Iterable[int] = (),
        proc: Path = Path("/proc"),
        cpus: Sequence[int] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.root = os.getpid() if root is None else root
        self.helpers = set(helpers)
        self._proc, self._now = str(proc), now
        if cpus is None:
            cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
        self._cpu_names = {f"cpu{cpu}".encode() for cpu in cpus}
        self.threads = len(cpus)
        physical = {core_of(cpu) for cpu in cpus}
        self.cores = self.threads if None in physical else len(physical)
        self._tick_s = 1 / os.sysconf("SC_CLK_TCK")
        self._family = {self.root}
        self._scans_took_s = 0.0
        self._began_s = now()
        self._next_scan_s = self._began_s + (FIRST_SCAN_S if root is None else 0.0)
        self._most_own_s = 0.0
        self._first = self._latest = self.read()

    def read(self) -> CounterReading:
        """The counters now; raises nothing, whatever the system does not tell."""
        at_s = self._now()
        if at_s >= self._next_scan_s:
            self._scan()
        own_s, switches = self._own()
        self._latest = CounterReading(at_s, own_s, switches, *self._cores(), self._pressure_s())
        return self._latest

    def read_lately(self) -> CounterReading:
        """The last reading where it is hardly older than now, as at the beginning of a span right behind another."""
        return self._latest if self._now() - self._latest.at_s <= LATELY_S else self.read()

    def since_the_first(self) -> Usage:
        """Who used the cores since this was made."""
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
        # A process that has ended, and that nobody has waited for yet, is in no count for a moment.
        self._most_own_s = max(self._most_own_s, own_s)
        return self._most_own_s, sum(one.ru_nivcsw for one in own)

    def _stat(self, pid: int | str) -> tuple[int, ...] | None:
        """A process's parent, and its ticks in user mode, in the kernel, and the same of its ended children."""
        text = self._text(f"{pid}/stat")
        try:
            numbers = text[text.rindex(b")") + 2 :].split()
            return int(numbers[1]), *map(int, numbers[11:15])
        except (ValueError, IndexError):
            return None

    def _scan(self) -> None:
        """Find the descendants of the root."""
        began_s = time.thread_time()
        children: dict[int, list[int]] = defaultdict(list)
        try:
            pids = [name for name in os.listdir(self._proc) if name.isdecimal()]
        except OSError:
            pids = []
        for pid in pids:
            if stat := self._stat(pid):
                children[stat[0]].append(int(pid))
        family, new = {self.root}, [self.root]
        while new:
            new = [child for pid in new for child in children[pid] if child not in family]
            family.update(new)
        self._family = family
        self._scans_took_s += time.thread_time() - began_s
        self._next_scan_s = self._began_s + self._scans_took_s / SCAN_SHARE

    def _cores(self) -> tuple[float | None, float | None, float | None]:
        """Busy, stolen and all counted seconds of the usable cores."""
        busy = stolen = ticks = 0
        seen = 0
        try:
            for line in self._text("stat").split(b"\n"):
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
        text = self._text("pressure/cpu")
        try:
            some = next(line for line in text.split(b"\n") if line.startswith(b"some"))
            return int(some.rpartition(b"total=")[2]) / 1e6
        except (StopIteration, ValueError):
            return None

    def _text(self, name: str) -> bytes:
        """A file's content, empty where there is none; without the layers of `open`, which take most of the time."""
        try:
            file = os.open(f"{self._proc}/{name}", os.O_RDONLY)
            try:
                return os.read(file, READ_BYTES)
            finally:
                os.close(file)
        except OSError:
            return b""


class LoadCheck:
    """How busy the machine is before anything is timed, from when this is made."""

    def __init__(self, sampler: Sampler | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sampler, self._sleep = sampler or Sampler(), sleep

    def warning(self, device: str, wait: bool) -> str | None:
        """What should be said before a run on `cpu` or `cuda`; None where nothing should, or nobody can say.

        `wait` a fraction of a second where it has not gone by yet; else a shorter time says nothing.
        """
        usage = self._sampler.since_the_first()
        if wait and usage.wall_s < LOOK_S:
            self._sleep(LOOK_S - usage.wall_s)
            usage = self._sampler.since_the_first()
        if usage.wall_s < LOOK_S or usage.others_cpu_s is None:
            return None
        busy = usage.others_cpu_s / usage.wall_s
        # A training on a CPU takes all cores; one on a GPU is fed by one or two.
        if busy < (BUSY_SHARE if device == "cpu" else FULL) * usage.cores:
            return None
        return (
            f"other processes use {busy:.1f} of this machine's {usage.cores} cores. What is timed now takes longer and "
            "is marked as contended; stop them (top shows them), or wait until they have ended"
        )


def of_this_run(*, is_rank: bool = False) -> Sampler:
    """For a worker, or one of the ranks that a worker has started, which all belong to the run."""
    parent = multiprocessing.parent_process()
    sampler = Sampler(root=parent.pid if is_rank and parent is not None else None)
    # The command, which shows the progress, and the fork server between.
    started_by = (sampler.parent_of(sampler.root), parent.pid if parent is not None else None)
    sampler.helpers = {pid for pid in started_by if pid is not None} - {sampler.root}
    return sampler
