"""What rule books require of runs, and the findings where runs do not meet it or a reader must know something."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import ClassVar

from bench.host import provenance
from bench.runs import slow_hosts
from bench.runs.annotation import DECLARED
from bench.runs.disturbed import MOST_TOLD, disturbed
from bench.runs.run import FINISHED, Run
from bench.scores.rules.score import Finding
from bench.scores.rules.task import has_other_quality, is_own_data
from bench.scores.rules.trials import Trials
from bench.statistics import clustered, shortage
from bench.statistics.reading import Reading
from bench.text.canonical import canonical_json
from bench.text.units import counted


class Requirements:
    """What a rule book requires of the runs of a cell, and the checks of it, which every rule book makes."""

    # The least number of runs.
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

    def common_findings(
        self, trials: Trials, price_per_hour: float | None, scored: Sequence[Reading]
    ) -> Iterator[Finding]:
        """What every rule book checks, in the order of display; `scored` are the values that make the score."""
        runs = trials.runs
        yield from self._target_findings(trials)
        yield from self._start_findings(runs)
        yield from _host_findings(runs, scored)
        yield from self._script_findings(runs)
        repeated = sorted(seed for seed, count in Counter(run.seed for run in runs).items() if count > 1)
        if self.distinct_seeds and repeated:
            seeds = f"seed {repeated[0]} was" if len(repeated) == 1 else f"seeds {', '.join(map(str, repeated))} were"
            yield Finding("seeds_repeated", f"{seeds} used more than once", True)
        yield from _data_findings(runs, self.official_data)
        yield from _impossible_findings(trials)
        yield from _ending_findings(trials)
        yield from _code_findings(runs)
        yield from _disturbance_findings(trials)
        if price_per_hour is None:
            several = len({run.price_per_hour for run in runs}) > 1
            why = "the runs name several prices" if several else "price unknown"
            yield Finding("price_unknown", f"no cost: {why}; name one with --price")

    def _target_findings(self, trials: Trials) -> Iterator[Finding]:
        """Whether there are enough runs, and a target that one of them reached under this clock."""
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

    def _script_findings(self, runs: Sequence[Run]) -> Iterator[Finding]:
        for names, what_for in self.untold(runs):
            how = f"send events of the span {' or '.join(names)}"
            if "epochs" in names:
                how = "give --epoch-pattern, or send epoch events"
            yield Finding("script_tells_too_little", f"the script does not report {what_for}: {how}", True)
        if any(run.is_script for run in runs):
            text = "a script's data are as it says: nobody checked them against the publisher's files"
            yield Finding("data_of_a_script", text)

    def untold(self, runs: Sequence[Run]) -> list[tuple[tuple[str, ...], str]]:
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


def _host_findings(runs: Sequence[Run], scored: Sequence[Reading]) -> Iterator[Finding]:
    """How runs of several hosts count, and which hosts are not as fast as others of their kind."""
    if clustered.is_clustered(scored):
        yield Finding("hosts", shortage.told(scored))
    if off := slow_hosts.told(runs):
        yield Finding("host_off", off)


def _ending_findings(trials: Trials) -> Iterator[Finding]:
    """Which runs were not completed, or ended before the training did."""
    if trials.left_out:
        yield Finding("left_out", f"interrupted or skipped, and not in n: {trials.left_out}")
    ended = Counter(run.status for run in trials.runs if run.status not in ("ok", "not_reached"))
    if ended:
        yield Finding("ended_early", "ended early: " + ", ".join(f"{n} {status}" for status, n in ended.items()))


def _code_findings(runs: Sequence[Run]) -> Iterator[Finding]:
    """Whether the code is known, one for all runs, and in a commit."""
    for code, text in provenance.faults(*(run.code for run in runs)).items():
        yield Finding(code, text, True)
    if len({(run.code.get("sources_sha256"), canonical_json(run.code.get("loaded") or {})) for run in runs}) > 1:
        yield Finding("code_changed", "the code changed between these runs")
    packages = provenance.by_package(run.versions for run in runs)
    changed = [f"{name} {' and '.join(versions)}" for name, versions in packages.items() if len(versions) > 1]
    if changed:
        yield Finding("packages_changed", f"the packages changed between these runs: {provenance.listed(changed)}")
    unknown = {run.code["commit_unknown"] for run in runs if run.code.get("commit_unknown")}
    if unknown:
        yield Finding("commit_unknown", f"the code's commit is unknown: {'; '.join(sorted(unknown))}")
    if any(run.code.get("dirty") for run in runs):
        yield Finding("code_dirty", "the code had changes that are in no commit")


def _disturbance_findings(trials: Trials) -> Iterator[Finding]:
    """What makes times longer, or energies coarser, than the runs' own."""
    runs = trials.runs
    if paused := [pause_s for run in runs if (pause_s := run.metrics.get("paused_s"))]:
        runs_were = "1 run was" if len(paused) == 1 else f"{len(paused)} runs were"
        text = f"{runs_were} stopped from outside and continued, for {sum(paused):.1f} s, which the times hold"
        yield Finding("paused", text)
    times = [timing.counted or None for timing in trials.timings]
    if told := disturbed(runs, times, [line.usages for line in trials.lines]):
        yield Finding("contended", f"contended, so that its times are longer than the machine's own: {told}")
    if any(run.metrics.get("train_energy_coarse") for run in runs):
        yield Finding("energy_coarse", "energy of less than a second, which its counter is too slow for")


def _target_remedy(runs: Sequence[Run]) -> str:
    """What follows `there is no target accuracy`: how to give one, or that no rule book scores such runs."""
    if any(has_other_quality(run) for run in runs):
        return ": its task is judged by something other than accuracy, which no rule book scores"
    if any(run.is_script for run in runs):
        return "; give `bench time` a --target, or the command of the matrix a target"
    return "; set target_accuracy in the recipe"


def invalid_findings(runs: Sequence[Run], is_all: bool) -> Iterator[Finding]:
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
