import itertools
import json
from pathlib import Path

from bench.gate.history_study import PLANTED, ChangeScore, scores

STARTS = Path(__file__).resolve().parents[3] / "docs" / "gate_starts.jsonl"


def recorded_blocks() -> list[list[float]]:
    """The wall times of recorded processes of equal code, in their order A B B A (docs/gate_power.md)."""
    starts = [json.loads(line) for line in STARTS.read_text().splitlines()[1:]]
    blocks = [list(block) for _, block in itertools.groupby(starts, lambda start: (start["session"], start["block"]))]
    equal = [block for block in blocks if len(block) == 4 and block[1]["slow_down"] == 0.0]
    return [[start["wall_s"] for start in block] for block in equal]


def test_ten_slow_downs_of_one_percent_over_three_machines_are_found_by_ratios_and_not_by_raw_times():
    of_chain, of_raw = zip(*scores(recorded_blocks(), range(3)), strict=True)
    assert of_chain == (ChangeScore(PLANTED, PLANTED, 0),) * 3
    assert all(score.found < PLANTED / 2 and score.false >= 2 for score in of_raw)  # two changes of the machine
