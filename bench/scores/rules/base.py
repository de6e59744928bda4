"""What all rule books share: the score with its verdict, the interface, and the checks of every rule.

A rule book reads only runs. It never changes a measurement; it decides which seconds count.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple, Self

from bench.host import provenance
from bench.pipelines.datasets import DATASETS
from bench.pipelines.datasets.catalog import is_part
from bench.runs import slow_hosts
from bench.runs.annotation import DECLARED
from bench.runs.disturbed import MOST_TOLD, disturbed
from bench.runs.readings import readings
from bench.runs.run import FINISHED, INVALID, Run
from bench.scores.rules.timing import RunTimeline, Timing, number
from bench.statistics import clustered, shortage
from bench.statistics.estimates import Estimate, SignificanceTest
from bench.statistics.reading import Reading
from bench.text import units
from bench.text.canonical import canonical_json
from bench.text.units import counted

# The target of a task if a run does not state one: DAWNBench's, which others adopted.
TASK_TARGETS = {"cifar10/train": 0.94, "cifar10/inference": 0.94}
# Runs with these statuses were not completed, so they are no evidence.
NOT_TRIED = ("interrupted", "skipped")
Verdict = Literal["qualifies", "does not qualify"]


@dataclass(frozen=True)
class Finding:
    """One remark about a score: `code` for programs, `text` for people."""

    code: str
    text: str
    disqualifies: bool = False


@dataclass(frozen=True)
class Figures:
    """The figures of a cell's runs under a rule; None if the rule has no such figure or the runs do not allow it."""

    time_s: Estimate | None = None
    cost_usd: Estimate | None = None
    latency_ms: Estimate | None = None
    p_value: SignificanceTest | None = None


def of_time(time_s: Estimate | None, price_per_hour: float | None) -> Figures:
    """The time and its cost."""
    if time_s is None or price_per_hour is None:
        return Figures(time_s)
    return Figures(time_s, time_s.scaled(price_per_hour / 3600, "USD"))


@dataclass(frozen=True)
class Score:
    """A rule book's verdict on the runs of one cell on one machine.

    `reasons` say why it does not qualify; `footnotes` say what else a reader must know. A figure is None if the rule
    does not define it or the runs do not allow it. `energy_j` is that of training, or with `coldstart` of the whole
    run. `accuracy` is the mean of the runs' final accuracies, `reached` the share of runs that reached the target, and
    `p_value` the evidence that the mean accuracy is above the target, if the rule requires it.
    """

    rule: str
    task: str
    cell: str
    recipe: str
    target_accuracy: float | None
    n: int
    time_s: Estimate | None
    cost_usd: Estimate | None
    latency_ms: Estimate | None
    energy_j: Estimate | None
    accuracy: Estimate | None
    reached: Estimate | None
    p_value: SignificanceTest | None
    timings: tuple[Timing, ...]
    reasons: tuple[Finding, ...]
    footnotes: tuple[Finding, ...]

    @property
    def qualifies(self) -> bool:
        return not self.reasons

    @property
    def verdict(self) -> Verdict:
        return "qualifies" if self.qualifies else "does not qualify"


@dataclass(frozen=True)
class Trials:
    """The completed runs of one cell in order of time, with their timings; `left_out` others were not completed.

    `price_kinds` are the kinds of the prices used: `on_demand`, `spot`, or None if not recorded.
    """

    lines: tuple[RunTimeline, ...]
    target: float | None
    timings: tuple[Timing, ...]
    left_out: int
    price_kinds: frozenset[str | None]

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        return tuple(line.run for line in self.lines)

    @property
    def reached(self) -> int:
        return sum(timing.reached for timing in self.timings)

    @property
    def times_s(self) -> list[float]:
        """The times of the runs that have one."""
        return [timing.time_s for timing in self.timings if timing.time_s is not None]

    @property
    def times(self) -> list[Reading]:
        """The same, with the host and the seed of each."""
        return self.readings(timing.time_s for timing in self.timings)

    def readings(self, values: Iterable[float | None]) -> list[Reading]:
        """The values of all runs, in their order, with the host and the seed of each; without those that are None."""
        return readings(self.runs, values)


class Rule(ABC):
    """A rule book: when its clock runs, which runs qualify, and how their times make a score.

    A new rule book is a subclass in its own file, registered in `bench/scores/rules/__init__.py`. It defines how one
    run is timed and how the times make a score; the checks of every rule are here.
    """

    name: ClassVar[str]
    # For readers: what its time contains, and how the score is made.
    clock: ClassVar[str]
    scoring: ClassVar[str]
    source: ClassVar[str]
    # The measures whose runs it can score, and the least number of runs.
    measures: ClassVar[tuple[str, ...]] = ("time_to_accuracy",)
    least_runs: ClassVar[int] = 1
    distinct_seeds: ClassVar[bool] = True
    official_data: ClassVar[bool] = True
    # Whether imported DAWNBench entries, of which only the hours are known, were timed by this rule's clock.
    takes_imported: ClassVar[bool] = False
    # Why seeds that shared a process do not count, None if they do; and whether compiled programs may be kept.
    against_shared_process: ClassVar[str | None] = None
    takes_kept_programs: ClassVar[bool] = True
    # Why a run does not count that went on from a checkpoint after an interruption; None if it does.
    against_resumed: ClassVar[str | None] = "its clock runs in one piece"
    # What a script has to tell of itself to be on this clock: of each group of spans one, and what for.
    script_tells: ClassVar[tuple[tuple[tuple[str, ...], str], ...]] = ()
    # The metric of energy in joules; the rules do not define one.
    energy_metric: ClassVar[str] = "train_energy_j"

    def score(
        self,
        runs: Sequence[Run | RunTimeline],
        target_accuracy: float | None = None,
        price_per_hour: float | None = None,
    ) -> Score:
        """The score of the runs of one cell on one machine, as `rules.groups` returns them.

        `target_accuracy` and `price_per_hour` (dollars, on demand) replace the values in the runs. If several rules
        score the same runs, pass `RunTimeline(run)` objects, so that the timelines are made only once. Raises
        ValueError without runs, for runs that are not repeats of each other, and for a measure that this rule does not
        score.
        """
        lines = [run if isinstance(run, RunTimeline) else RunTimeline(run) for run in runs]
        first = _one_kind([line.run for line in lines])
        if first.measure not in self.measures:
            raise ValueError(f"{self.name} scores {' and '.join(self.measures)}, not {first.measure}")
        target = self.target(first) if target_accuracy is None else target_accuracy
        if has_other_quality(first):
            target = None
        tried = [line for line in lines if line.run.status not in NOT_TRIED]
        invalid = tuple(line.run for line in tried if line.run.status == INVALID)
        # Of a cell that is invalid as a whole, the numbers are told and do not qualify.
        is_void = len(invalid) == len(tried) > 0
        lines = sorted((one for one in tried if is_void or one.run.status != INVALID), key=lambda one: one.run.run_id)
        used = tuple(line.run for line in lines)
        timings = tuple(self.timing(line, target) for line in lines)
        untold = self._untold(used)
        if untold:
            timings = tuple(_by_accuracy_alone(timing, target) for timing in timings)
        kinds = _price_kinds(used) if price_per_hour is None else frozenset({"on_demand"})
        trials = Trials(tuple(lines), target, timings, len(runs) - len(tried), kinds)
        accuracies = trials.readings(timing.accuracy for timing in timings)
        successes = trials.readings(float(timing.reached) for timing in timings)
        joules = trials.readings(number(run, self.energy_metric) for run in used)
        prices = {run.price_per_hour for run in used} if price_per_hour is None else {price_per_hour}
        price = prices.pop() if len(prices) == 1 else None
        figures = Figures() if untold else self.figures(trials, price)
        findings = list(_invalid_findings(invalid, is_void))
        if not is_void:
            findings += [*self._common_findings(trials, price), *(() if untold else self.findings(trials))]
        return Score(
            rule=self.name,
            task=task(first),
            cell=first.cell,
            recipe=first.recipe,
            target_accuracy=target,
            n=len(used),
            time_s=figures.time_s,
            cost_usd=figures.cost_usd,
            latency_ms=figures.latency_ms,
            energy_j=clustered.mean(joules, unit="J") if joules else None,
            accuracy=clustered.mean(accuracies) if accuracies else None,
            reached=clustered.share(successes) if used and target is not None else None,
            p_value=figures.p_value,
            timings=trials.timings,
            reasons=tuple(finding for finding in findings if finding.disqualifies),
            footnotes=tuple(finding for finding in findings if not finding.disqualifies),
        )

    @abstractmethod
    def timing(self, line: RunTimeline, target: float | None) -> Timing:
        """The timing of one run under this rule's clock."""

    @abstractmethod
    def figures(self, trials: Trials, price_per_hour: float | None) -> Figures:
        """The figures of these runs together."""

    @abstractmethod
    def findings(self, trials: Trials) -> Iterator[Finding]:
        """Remarks specific to this rule: why the runs do not qualify, or what a reader must know."""

    def scored(self, trials: Trials) -> list[Reading]:
        """The values of single runs that make the score, of which is said how much hosts differ."""
        return trials.times

    def target(self, run: Run) -> float | None:
        """The target accuracy in [0, 1] of the run, else that of its task."""
        return _target_of(run) or TASK_TARGETS.get(task(run))

    def _common_findings(self, trials: Trials, price_per_hour: float | None) -> Iterator[Finding]:
        runs, n = trials.runs, len(trials.runs)
        if n < self.least_runs:
            yield Finding("too_few_runs", f"too few runs: {n} of at least {self.least_runs}; add --seeds", True)
        if trials.target is None:
            yield Finding("no_target", f"there is no target accuracy{_target_remedy(runs)}", True)
        elif n and not trials.reached:
            best = max((timing.accuracy for timing in trials.timings if timing.accuracy is not None), default=None)
            shown = "no accuracy is known" if best is None else f"the best accuracy is {best:.2%}"
            if best is not None and best >= trials.target:
                shown += ", of a run that did not end, or has no evaluation that says when"
            yield Finding("not_reached", f"no run reached {trials.target:.2%}: {shown}", True)
        if any(run.config.get("imported") for run in runs):
            text = "made by others, and imported" + ("" if self.takes_imported else ": their clock was not this one")
            yield Finding("imported", text, not self.takes_imported)
        yield from self._start_findings(runs)
        yield from self._host_findings(trials)
        yield from self._script_findings(runs)
        repeated = sorted(seed for seed, count in Counter(run.seed for run in runs).items() if count > 1)
        if self.distinct_seeds and repeated:
            yield Finding("seeds_repeated", f"seeds were used more than once: {', '.join(map(str, repeated))}", True)
        yield from _data_findings(runs, self.official_data)
        yield from _impossible_findings(trials)
        if trials.left_out:
            yield Finding("left_out", f"interrupted or skipped, and not in n: {trials.left_out}")
        ended = Counter(run.status for run in runs if run.status not in ("ok", "not_reached"))
        if ended:
            yield Finding("ended_early", "ended early: " + ", ".join(f"{n} {status}" for status, n in ended.items()))
        for code, text in provenance.faults(*(run.code for run in runs)).items():
            yield Finding(code, text, True)
        if len({(run.code.get("sources_sha256"), canonical_json(run.code.get("loaded") or {})) for run in runs}) > 1:
            yield Finding("code_changed", "the code changed between these runs")
        unknown = {run.code["commit_unknown"] for run in runs if run.code.get("commit_unknown")}
        if unknown:
            yield Finding("commit_unknown", f"the code's commit is unknown: {'; '.join(sorted(unknown))}")
        if any(run.code.get("dirty") for run in runs):
            yield Finding("code_dirty", "the code had changes that are in no commit")
        if paused := [pause_s for run in runs if (pause_s := run.metrics.get("paused_s"))]:
            runs_were = "1 run was" if len(paused) == 1 else f"{len(paused)} runs were"
            text = f"{runs_were} stopped from outside and continued, for {sum(paused):.1f} s, which the times hold"
            yield Finding("paused", text)
        counted = [timing.counted or None for timing in trials.timings]
        if told := disturbed(runs, counted, [line.usages for line in trials.lines]):
            yield Finding("contended", f"contended, so that its times are longer than the machine's own: {told}")
        if any(run.metrics.get("train_energy_coarse") for run in runs):
            yield Finding("energy_coarse", "energy of less than a second, which its counter is too slow for")
        if price_per_hour is None:
            several = len({run.price_per_hour for run in runs}) > 1
            why = "the runs name several prices" if several else "price unknown"
            yield Finding("price_unknown", f"no cost: {why}; name one with --price")

    def _host_findings(self, trials: Trials) -> Iterator[Finding]:
        """How runs of several hosts count, and which hosts are not as fast as others of their kind."""
        scored = self.scored(trials)
        if clustered.is_clustered(scored):
            yield Finding("hosts", shortage.told(scored))
        if off := slow_hosts.told(trials.runs):
            yield Finding("host_off", off)

    def _script_findings(self, runs: Sequence[Run]) -> Iterator[Finding]:
        for names, what_for in self._untold(runs):
            how = f"send events of the span {' or '.join(names)}"
            if "epochs" in names:
                how = "give --epoch-pattern, or send epoch events"
            yield Finding("script_tells_too_little", f"the script does not report {what_for}: {how}", True)
        if any(run.is_script for run in runs):
            text = "a script's data are as it says: nobody checked them against the publisher's files"
            yield Finding("data_of_a_script", text)

    def _untold(self, runs: Sequence[Run]) -> list[tuple[tuple[str, ...], str]]:
        """What this clock needs of scripts, and some of them did not tell; of one that failed, nobody can say."""
        finished = [run for run in runs if run.is_script and run.status in FINISHED]
        return [
            (names, why) for names, why in self.script_tells if any(not run.reported & {*names} for run in finished)
        ]

    def _start_findings(self, runs: Sequence[Run]) -> Iterator[Finding]:
        """Remarks on work that the runs did not have to do, because others had done it."""
        if any(run.shares_process for run in runs):
            text = "the seeds shared one process, which loaded, built and compiled once"
            if self.against_shared_process:
                text += f": {self.against_shared_process}; leave out --shared-process"
            yield Finding("shared_process", text, self.against_shared_process is not None)
        if any(run.keeps_compiled for run in runs):
            text = "compiled programs were kept from earlier runs"
            refused = "" if self.takes_kept_programs else "not cold: "
            yield Finding("kept_programs", refused + text, not self.takes_kept_programs)
        resumed = [run for run in runs if run.resumed]
        if resumed:
            yield self._resumed_finding(resumed)

    def _resumed_finding(self, runs: Sequence[Run]) -> Finding:
        """About runs that went on from a checkpoint."""
        went = "the run was interrupted and went on" if len(runs) == 1 else "the runs were interrupted and went on"
        lost_s = [part.get("lost_s") for run in runs for part in run.resumed]
        known_s = [seconds for seconds in lost_s if seconds is not None]
        if self.against_resumed is not None:
            return Finding("resumed", f"{went} from a checkpoint: {self.against_resumed}", True)
        if len(known_s) < len(lost_s):
            return Finding("resumed", f"{went} from a checkpoint, and how much work was lost is not known", True)
        text = (
            f"{went} from a checkpoint: the time holds {math.fsum(known_s):.1f} s of work that was lost, and no pause"
        )
        return Finding("resumed", text)


def task(run: Run) -> str:
    """The task of a run, such as `cifar10/train`: the data set, and training or inference."""
    return f"{data_name(run)}/{'inference' if run.measure == 'inference' else 'train'}"


def data_name(run: Run) -> str:
    """The name of the data set; with other numbers of images than usual it is another set, whose name contains them."""
    name = run.data.get("name") or _name_asked_for(run.config) or "unknown"
    info = DATASETS.get(name)
    told = run.data.get("train_count"), run.data.get("test_count")
    if info is None or not info.learnable or not all(isinstance(count, int) for count in told):
        return str(name)
    return name if told == (info.train_count, info.test_count) else f"{name}-{told[0]}-{told[1]}"


def _name_asked_for(config: dict[str, Any]) -> Any:
    """The name of the data set that a config asks for, of a run that ended before it had any."""
    name, held_out = (units.get(config, "data", key) for key in ("name", "held_out"))
    return f"{name}-held-out-{held_out}" if name and held_out else name


def representative(runs: Sequence[Run]) -> Run:
    """The first of repeats that says which data it used, else the first: one that crashed early never had any."""
    return next((run for run in runs if run.data), runs[0])


def is_subset(run: Run) -> bool:
    """Whether it used only some of the images of a published set, for a quick try: its figures compare with nothing."""
    data = run.config.get("data")
    return isinstance(data, dict) and is_part(str(data.get("name")), data)


def has_other_quality(run: Run) -> bool:
    """Whether it is judged by something other than accuracy, such as a GAN's images. No rule book scores that."""
    return units.get(run.config, "task", "name") is not None


def is_own_data(run: Run) -> bool:
    """Whether it used a user's own data, which cannot be compared with a publisher's files."""
    return run.data.get("official", False) is None and bool(run.data.get("fingerprint"))


class Kind(NamedTuple):
    """What runs that are repeats of each other have in common."""

    cell: str
    measure: str
    machine_id: str | None
    shares_process: bool
    keeps_compiled: bool
    is_resumed: bool

    @classmethod
    def of(cls, run: Run) -> Self:
        return cls(
            run.cell, run.measure, run.machine.get("id"), run.shares_process, run.keeps_compiled, bool(run.resumed)
        )


def _one_kind(runs: Sequence[Run]) -> Run:
    """The `representative` of runs that are repeats of each other. Raises ValueError for others, and without runs."""
    if not runs:
        raise ValueError("there is no run to score")
    kinds = {Kind.of(run) for run in runs}
    if len({kind[:3] for kind in kinds}) > 1:
        raise ValueError(
            f"the runs are of {len({kind[:3] for kind in kinds})} cells or machines, and one score is of one"
        )
    if len(kinds) > 1:
        raise ValueError(
            "some of the runs shared a process, kept programs or were resumed and others were not, and a score is of "
            "one kind"
        )
    return representative(runs)


def _by_accuracy_alone(timing: Timing, target: float | None) -> Timing:
    """Of a script that does not tell enough for a clock, only whether it reached the target."""
    reached = timing.accuracy is not None and target is not None and timing.accuracy >= target
    return replace(timing, time_s=None, reached=reached)


def _target_of(run: Run) -> float | None:
    target = run.metrics.get("target_accuracy") or run.config.get("target_accuracy")
    return None if target is None else float(target)


def _target_remedy(runs: Sequence[Run]) -> str:
    """What follows `there is no target accuracy`: how to give one, or that no rule book scores such runs."""
    if any(has_other_quality(run) for run in runs):
        return ": its task is judged by something other than accuracy, which no rule book scores"
    if any(run.is_script for run in runs):
        return "; give `bench time` a --target, or the command of the matrix a target"
    return "; set target_accuracy in the recipe"


def _price_kinds(runs: Sequence[Run]) -> frozenset[str | None]:
    return frozenset(units.get(run.config, "resolved", "price_source", "kind") for run in runs)


def _invalid_findings(runs: Sequence[Run], is_all: bool) -> Iterator[Finding]:
    """That somebody declared runs invalid, with the reasons."""
    told = [f"seed {run.seed}, {(run.reason or '').removeprefix(DECLARED)}" for run in runs]
    if told:
        more = f"; and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else ""
        which = "all its runs" if is_all else f"{counted(len(told), 'run')}, not in n"
        yield Finding("invalid", f"{DECLARED}{which}: {'; '.join(told[:MOST_TOLD])}{more}", is_all)


def _impossible_findings(trials: Trials) -> Iterator[Finding]:
    """A cell with impossible numbers does not qualify, because one such run makes all of them doubtful."""
    wrong = {line.run.run_id: line.impossible for line in trials.lines if line.impossible}
    for timing in trials.timings:
        if timing.reached and timing.time_s is not None and not 0 < timing.time_s < math.inf:
            wrong.setdefault(timing.run_id, f"its time on this clock is {timing.time_s:.4g} s")
    if wrong:
        run_id, what = next(iter(wrong.items()))
        more = f"; {len(wrong) - 1} more runs have such numbers" if len(wrong) > 1 else ""
        yield Finding("impossible", f"impossible: run {run_id}: {what}{more}", True)


def _data_findings(runs: Sequence[Run], disqualifies: bool) -> Iterator[Finding]:
    # A run that ended before its data was loaded used no other data than the rest.
    runs = [run for run in runs if run.data or run.status in FINISHED]
    if len({run.data.get("fingerprint") for run in runs}) > 1:
        yield Finding("data_differ", "the runs were made on different data", True)
    # An entry of others is taken at its word, and so is a script. Nobody publishes a user's own data, whose name tells
    # it from all other.
    if not all(
        run.data.get("official") or is_own_data(run) or run.config.get("imported") or run.is_script for run in runs
    ):
        yield Finding("data_not_official", "data not official: not checked against the publisher's files", disqualifies)
