"""Which runs of a claim may be compared: those of the same machine, sources, device, data and judge."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from bench.claims.cells import Claim
from bench.runs.run import Run
from bench.spec import kept_nets
from bench.spec.sweep_plan import ANSWERS


@dataclass(frozen=True)
class CellSetting:
    """What runs must share to be compared: ids of the machine, the sources and the data, the device, and the network
    trained earlier that judged them.

    `data` is empty if the cells of a claim have different data sets, `judge` if no network judged.
    """

    machine: str
    sources: str
    device: str
    data: str
    judge: str = ""

    def differences(self, other: CellSetting) -> str:
        names = {"machine": "machine", "sources": "code", "device": "device", "data": "data", "judge": "judge"}
        return " and ".join(
            f"{name} {mine[:12]} and {theirs[:12]}"
            for key, name in names.items()
            if (mine := getattr(self, key)) != (theirs := getattr(other, key))
        )


@dataclass
class ComparableRuns:
    """Runs of one setting: for the position of each cell that the claim compares, the newest run of each seed."""

    setting: CellSetting
    cells: dict[int, dict[int, Run]] = field(default_factory=lambda: defaultdict(dict))

    @property
    def rank(self) -> tuple[int, int, str]:
        """A group with more of the cells is better, then one with more runs, then a newer one."""
        runs = [run for by_seed in self.cells.values() for run in by_seed.values()]
        return len(self.cells), len(runs), max(run.run_id for run in runs)


def groups(claim: Claim, runs: Iterable[Run]) -> list[ComparableRuns]:
    """The runs of the compared cells, in groups of one setting; other cells of the matrix make no group better.

    Runs on another card than the one that the claim needs are left out.
    """
    positions = {cell_id: claim.cells.index(cell) for cell in claim.compared for cell_id in cell.ids}
    one_data_set = len({cell.data for cell in claim.compared}) == 1
    found: dict[CellSetting, ComparableRuns] = {}
    for run in runs:
        if run.cell not in positions or run.status not in ANSWERS or not _has_card(claim, run):
            continue
        setting = CellSetting(
            str(run.machine.get("id")),
            str(run.code.get("sources_sha256")),
            str(run.config.get("device")),
            str(run.data.get("fingerprint")) if one_data_set else "",
            kept_nets.judges_of(run.config),
        )
        by_seed = found.setdefault(setting, ComparableRuns(setting)).cells[positions[run.cell]]
        if run.seed not in by_seed or by_seed[run.seed].run_id < run.run_id:
            by_seed[run.seed] = run
    _add_unjudged(found)
    return list(found.values())


def _add_unjudged(found: Mapping[CellSetting, ComparableRuns]) -> None:
    """Runs that no network judged may be compared with runs of any judge, because only its own figures depend on it."""
    for setting, group in found.items():
        unjudged = found.get(replace(setting, judge="")) if setting.judge else None
        if unjudged is not None:
            group.cells.update({at: runs for at, runs in unjudged.cells.items() if at not in group.cells})


def _has_card(claim: Claim, run: Run) -> bool:
    needs = claim.spec.needs
    boards = run.machine.get("gpus") or ()
    return needs is None or needs.card is None or needs.is_card_among(str(gpu["name"]) for gpu in boards)
