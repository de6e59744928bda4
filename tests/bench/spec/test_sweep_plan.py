from pathlib import Path

import pytest

from bench.documents.document import Document
from bench.errors import UsageError
from bench.runs.run import STATUSES
from bench.spec.matrix import Matrix, expand, schedule
from bench.spec.sweep_plan import check_rerun, plan

HERE, SOURCES = "here", "s" * 64


def cells(**axes):
    return expand(Matrix(Document(Path("mine.yaml"), {"recipe": "digits", "axes": axes})), "cpu")


TWO = cells(**{"model.width": [8, 16]})
IMPOSSIBLE = cells(devices=[8])


@pytest.fixture
def known(make_run):
    """A run of a cell as the store would have it."""

    def make(cell, seed=0, status="ok", machine=HERE, sources=SOURCES, total_s=1.0, **fields):
        return make_run(
            cell=cell.id,
            seed=seed,
            status=status,
            machine={"id": machine},
            code={"sources_sha256": sources},
            metrics={"total_s": total_s},
            **{"log": "logs/it.log"} | fields,
        )

    return make


def planned(runs, cells=TWO, seeds=1, **options):
    pairs = schedule(cells, range(seeds), "interleaved")
    return plan(pairs, runs, machine_ids={HERE}, sources_sha256=SOURCES, **options)


def actions(made):
    return [entry.action for entry in made.entries]


def test_an_empty_store_leaves_everything_to_run():
    made = planned([], seeds=2)
    assert actions(made) == ["run"] * 4
    assert made.left_s is None


@pytest.mark.parametrize("status", STATUSES)
def test_whatever_ended_is_done_but_what_was_interrupted(known, status):
    made = planned([known(TWO[0], status=status)])
    assert actions(made) == ["run" if status == "interrupted" else "done", "run"]


def test_each_seed_counts_for_itself(known):
    made = planned([known(TWO[0], seed=1)], seeds=2)
    assert actions(made) == ["run", "run", "done", "run"]


def test_an_interruption_does_not_undo_what_was_done(known):
    done, interrupted = known(TWO[0]), known(TWO[0], status="interrupted")
    (entry, _) = planned([done, interrupted]).entries
    assert (entry.action, entry.run) == ("done", done)


def test_the_newest_run_counts_whatever_the_order_of_lines(known):
    old, new = known(TWO[0], status="oom"), known(TWO[0])
    for runs in ([old, new], [new, old]):
        assert planned(runs).entries[0].run is new


def test_rerun_failed_takes_what_said_nothing_of_the_cell(known):
    again = {status: actions(planned([known(TWO[0], status=status)], rerun="failed"))[0] for status in STATUSES}
    assert {status for status, action in again.items() if action == "done"} == {"ok", "not_reached", "diverged"}


def test_rerun_all_and_rerun_one_cell(known):
    runs = [known(cell) for cell in TWO]
    assert actions(planned(runs, rerun="all")) == ["run", "run"]
    assert actions(planned(runs, rerun=TWO[1].id[:6])) == ["done", "run"]


def test_a_rerun_of_nothing_is_refused():
    pairs = schedule(TWO, range(1), "interleaved")
    for right in (None, "all", "failed", TWO[1].id, TWO[1].id[:4]):
        check_rerun(right, pairs)
    for wrong in ("some", "0000", TWO[1].id[:3]):
        with pytest.raises(UsageError, match=f"--rerun {wrong}: give failed, all, or the id of a cell"):
            check_rerun(wrong, pairs)


def test_resume_counts_the_same_sources_alone_and_otherwise_the_others_are_said(known):
    runs = [known(TWO[0], sources="t" * 64), known(TWO[1])]
    made = planned(runs)
    assert actions(made) == ["done", "done"]
    assert any("1 of the 2 finished runs were made by other sources" in note for note in made.notes)
    made = planned(runs, resume=True)
    assert actions(made) == ["run", "done"]
    assert made.notes == []


def test_another_machines_runs_do_not_count_and_are_said(known):
    made = planned([known(TWO[0], machine="there", total_s=900.0)])
    assert actions(made) == ["run", "run"]
    assert made.left_s is None
    assert made.notes == ["not counted here: 1 of the runs of these cells, made on another machine"]


def test_what_cannot_be_is_recorded_once(known):
    assert actions(planned([], cells=IMPOSSIBLE)) == ["skip"]
    said = known(IMPOSSIBLE[0], status="skipped", reason=IMPOSSIBLE[0].skip, log=None)
    for rerun in (None, "failed", "all"):
        assert actions(planned([said], cells=IMPOSSIBLE, rerun=rerun)) == ["done"]
    other_reason = known(IMPOSSIBLE[0], status="skipped", reason="needs 8 GPUs, found 4", log=None)
    assert actions(planned([other_reason], cells=IMPOSSIBLE)) == ["skip"]


def test_what_was_not_begun_for_want_of_devices_is_run_once_they_are_there(known):
    # Then one of the GPUs was busy, or several jobs shared the cores.
    then = known(TWO[0], status="skipped", reason="needs 8 GPUs, found 7", log=None)
    assert actions(planned([then])) == ["run", "run"]


@pytest.mark.parametrize("status", ["ok", "not_reached", "diverged"])
def test_what_was_measured_stays_so_while_devices_are_wanting(known, status):
    measured = known(IMPOSSIBLE[0], status=status)
    for rerun in (None, "all"):
        (entry,) = planned([measured], cells=IMPOSSIBLE, rerun=rerun).entries
        assert (entry.action, entry.run) == ("done", measured)


def test_a_limit_counts_runs_and_nothing_else(known):
    made = planned([known(TWO[0])], cells=[*TWO, *IMPOSSIBLE], seeds=2, limit=1)
    assert actions(made) == ["done", "run", "skip", "later", "later", "skip"]


def test_the_time_left_is_the_mean_of_earlier_runs_that_went_to_their_end(known):
    runs = [known(TWO[0], total_s=10.0), known(TWO[0], total_s=20.0), known(TWO[0], status="timeout", total_s=500.0)]
    made = planned(runs, seeds=2)
    assert actions(made) == ["done", "run", "run", "run"]
    # 15 s for the first cell, and the same guess for the two runs of the one that is not known.
    assert made.left_s == 45.0
    made.ran(made.entries[1], known(TWO[1], total_s=5.0))
    assert made.left_s == 20.0
    assert made.entries[3].expected_s == 5.0


def test_merged_cells_are_said():
    made = planned([], cells=cells(**{"model.width": [8, 8.0]}))
    assert made.notes == ["the same cell stands 2 times and runs once: model.width=8"]
