"""What is told of a cell whose runs do not all have a figure."""

import pytest

from bench.gate.compare import Limits
from bench.gate.paired_cell import CellAddress, PairedCell
from bench.gate.verdict import Verdict

CONFIG = {"command": {"argv": ["true"]}}


@pytest.mark.parametrize(
    ("judged", "verdicts"),
    [
        ((), [Verdict.BROKEN]),
        (("tokens_per_s",), [Verdict.NO_BASELINE]),
        (("tokens_per_s", "time_to_target_s"), [Verdict.BROKEN, Verdict.NO_BASELINE]),
    ],
)
def test_a_target_that_only_the_base_reaches_counts_where_it_is_judged(make_run, judged, verdicts):
    address = CellAddress(0, 0, "0123456789abcdef", CONFIG, "time_to_accuracy")
    cell = PairedCell("mine", "train.py", "mine", address, judged=judged)
    for _ in range(8):
        reaching, other = {"wall_s": 1.0, "time_to_target_s": 1.0}, {"wall_s": 1.0}
        cell.add(make_run(config=CONFIG, metrics=reaching), make_run(config=CONFIG, metrics=other))
    assert [finding.verdict for finding in cell.findings([], Limits())] == verdicts
