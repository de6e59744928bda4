"""Ranks, ties, and what stands on which board."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.exchange.entry import EntryRow, TrainEntry
from bench.exchange.to_runs import run_of
from bench.scores.leaderboard import Board, Row, boards, rank
from bench.scores.published import load_records
from bench.statistics.estimates import Estimate
from tests.bench.competitors import cell, record, run


def row(system: str, value: float, low: float | None = None, high: float | None = None) -> Row:
    estimate = Estimate(value, 5, "by hand", low, high, unit="s")
    return Row("record", system, "A100", {"time": estimate}, record=record(system, value))


def ranks(rows: list[Row]) -> list[tuple[str, int | None, bool]]:
    return [(one.system, one.rank, one.tied) for one in rank(rows, "time")]


def board_of(made: list[Board], rule: str) -> Board:
    return next(board for board in made if board.rule.name == rule)


class TestRank:
    def test_counts_from_the_best(self) -> None:
        assert ranks([row("slow", 3.0), row("fast", 1.0), row("mid", 2.0)]) == [
            ("fast", 1, False),
            ("mid", 2, False),
            ("slow", 3, False),
        ]

    def test_overlapping_intervals_share_a_rank_and_the_next_skips(self) -> None:
        rows = [row("a", 1.0, 0.9, 1.1), row("b", 2.0, 1.8, 2.2), row("c", 2.1, 1.9, 2.3), row("d", 3.0, 2.9, 3.1)]
        assert ranks(rows) == [("a", 1, False), ("b", 2, True), ("c", 2, True), ("d", 4, False)]

    def test_a_chain_of_small_steps_is_no_tie_of_its_ends(self) -> None:
        rows = [row("a", 1.0, 0.8, 1.2), row("b", 1.3, 1.1, 1.5), row("c", 1.6, 1.4, 1.8)]
        assert ranks(rows) == [("a", 1, True), ("b", 1, True), ("c", 3, False)]

    def test_a_point_ties_where_it_lies_in_an_interval(self) -> None:
        assert ranks([row("a", 1.0, 0.9, 1.1), row("point", 1.05), row("other", 1.2)]) == [
            ("a", 1, True),
            ("point", 1, True),
            ("other", 3, False),
        ]

    @given(st.lists(st.tuples(st.floats(0.1, 100), st.floats(0, 5)), max_size=12))
    def test_ranks_follow_values_and_count_all_before(self, drawn: list[tuple[float, float]]) -> None:
        rows = [row(f"s{i}", value, value - reach, value + reach) for i, (value, reach) in enumerate(drawn)]
        ranked = rank(rows, "time")
        assert [one.value("time").value for one in ranked] == sorted(value for value, _ in drawn)
        for position, one in enumerate(ranked, 1):
            assert one.rank is not None
            assert one.rank <= position
            assert one.tied == (sum(other.rank == one.rank for other in ranked) > 1)
            leader = ranked[one.rank - 1]
            assert leader.rank == one.rank
            assert leader.value("time").overlaps(one.value("time"))


class TestBoards:
    def test_records_and_runs_of_one_clock_are_ranked_together(self) -> None:
        made = boards(cell(10.0, "ours"), [record("faster", 5.0), record("slower", 100.0)])
        assert [one.system for one in board_of(made, "speedrun").ranked] == ["faster", "ours", "slower"]

    def test_a_record_of_another_clock_has_a_standing_and_no_rank(self) -> None:
        made = boards(cell(10.0, "ours"), [record("faster", 5.0)])
        (other,) = board_of(made, "dawnbench").elsewhere
        assert (other.system, other.rank, other.standing) == ("faster", None, 1)
        assert other.reasons == ("other clock: training",)

    def test_among_none_there_is_no_place(self) -> None:
        made = boards(cell(10.0, "ours", n=2), [record("slow", 500.0, rule="dawnbench")])
        speedrun = board_of(made, "speedrun")
        assert [(one.system, one.standing) for one in speedrun.elsewhere] == [("slow", None)]

    def test_a_record_of_another_target_is_on_another_board(self) -> None:
        made = boards(cell(10.0, "ours"), [record("harder", 5.0, target_accuracy=0.99)])
        assert board_of(made, "dawnbench").elsewhere == ()
        assert [board.target_accuracy for board in made if board.rule.name == "speedrun"] == [0.96, 0.99]

    def test_what_does_not_qualify_stands_below_with_the_reason(self) -> None:
        made = boards(cell(10.0, "ours", n=2), [])
        speedrun = board_of(made, "speedrun")
        assert speedrun.ranked == ()
        assert speedrun.unranked[0].reasons == ("too few runs: 2 of at least 5; add --seeds",)
        assert board_of(made, "coldstart").ranked[0].system == "ours"

    def test_two_machines_make_two_rows(self) -> None:
        there = cell(20.0, "ours", machine={"id": "other", "cpu_model": "Another CPU"})
        rows = board_of(boards([*cell(10.0, "ours"), *there], []), "coldstart").ranked
        assert [one.hardware.split(" / ")[0] for one in rows] == ["A CPU", "Another CPU"]

    def test_versions_of_the_code_that_ran_the_same_seeds_make_two_rows(self) -> None:
        later = cell(5.0, "ours", code={"commit": "1" * 40, "dirty": False, "sources_sha256": "t"})
        rows = board_of(boards([*cell(10.0, "ours"), *later], []), "coldstart").ranked
        assert [one.system for one in rows] == ["ours, code t", "ours, code s"]

    def test_seeds_that_no_other_version_of_the_code_ran_are_repeats(self) -> None:
        first, second = cell(10.0, "ours"), cell(10.0, "ours", code={"commit": "1" * 40, "sources_sha256": "t"})
        (row,) = board_of(boards([*first[:2], *second[2:]], []), "coldstart").ranked
        assert (row.system, row.n) == ("ours", 5)
        assert "the code changed between these runs" in row.notes

    def test_the_cheapest_comes_first_by_cost_and_unknown_prices_stand_below(self) -> None:
        runs = [
            *cell(10.0, "dear", price_per_hour=9.0),
            *cell(20.0, "cheap", price_per_hour=1.0),
            *cell(1.0, "unpriced"),
        ]
        board = board_of(boards(runs, [], metric="cost"), "coldstart")
        assert [one.system for one in board.ranked] == ["cheap", "dear"]
        assert [one.system for one in board.unranked] == ["unpriced"]
        assert "price unknown" in board.unranked[0].reasons[0]

    def test_what_is_not_ranked_stands_by_value_and_what_missed_or_cannot_be_below(self) -> None:
        impossible = cell(1.0, "impossible", n=2)
        impossible[0].spans[0]["start_s"] = -50.0
        runs = [
            *cell(20.0, "a slow one", n=2),
            *cell(10.0, "quick", n=2),
            *cell(5.0, "missed", n=2, final=0.9),
            *impossible,
        ]
        for rule in ("speedrun", "mlperf"):
            board = board_of(boards(runs, []), rule)
            assert board.ranked == ()
            assert [one.system for one in board.unranked] == ["quick", "a slow one", "impossible", "missed"]

    def test_one_lucky_run_of_two_does_not_rank_before_what_always_gets_there(self) -> None:
        lucky = [run(8.0, seed=0, recipe="lucky"), run(8.0, seed=1, recipe="lucky", final=0.9)]
        board = board_of(boards([*lucky, *cell(10.0, "steady", n=2)], []), "dawnbench")
        assert [one.system for one in board.ranked] == ["steady", "lucky"]

    def test_a_price_that_is_given_prices_all(self) -> None:
        board = board_of(boards(cell(10.0, "ours"), [], metric="cost", price_per_hour=3600.0), "speedrun")
        assert board.ranked[0].value("cost").value == pytest.approx(30.0 + 1.0)

    def test_energy_ranks_what_was_measured_alone(self) -> None:
        metrics = run().metrics | {"train_energy_j": 50.0, "energy_j": 80.0}
        made = boards([*cell(10.0, "counted", metrics=metrics), *cell(5.0, "uncounted")], [], metric="energy")
        board = board_of(made, "coldstart")
        assert [(one.system, one.value("energy").value) for one in board.ranked] == [("counted", 80.0)]
        assert board.unranked[0].reasons == ("no energy: it was not measured",)

    @pytest.mark.parametrize(
        "fields", [{"status": "interrupted"}, {"status": "skipped"}, {"measure": "throughput"}, {"measure": "loading"}]
    )
    def test_what_nobody_can_rank_is_on_no_board(self, fields: dict[str, str]) -> None:
        assert boards(cell(10.0, "ours", **fields), []) == []

    def test_runs_without_a_target_are_on_no_board(self) -> None:
        runs = cell(10.0, "ours", metrics={"accuracy": 0.9}, config={"target_accuracy": None})
        assert boards(runs, []) == []

    @pytest.mark.parametrize("target", [None, 0.94])
    def test_what_is_not_judged_by_accuracy_is_on_no_board(self, target: float | None) -> None:
        """The data set of a GAN has a target accuracy, which is not the GAN's."""
        runs = cell(
            10.0, "gan", config={"data": {"name": "cifar10"}, "task": {"name": "wgan"}, "target_accuracy": target}
        )
        assert boards(runs, []) == []
        assert boards(cell(10.0, "net", config={"data": {"name": "cifar10"}, "task": None}), []) != []

    def test_a_part_of_a_published_set_is_on_no_board_and_held_out_images_have_one_of_their_own(self) -> None:
        part = cell(10.0, "part", config={"data": {"name": "digits", "train_count": 500}})
        own = cell(10.0, "own", config={"data": {"name": "shapes-0123", "train_count": 500}})
        held = cell(10.0, "held", config={"data": {"name": "digits", "held_out": 100}})
        made = boards([*part, *own, *held], [], rule="coldstart")
        assert {row.system for board in made for row in board.rows} == {"own", "held"}

    def test_a_run_that_ended_before_its_data_is_of_the_task_of_its_repeats(self) -> None:
        config, name = {"data": {"name": "digits", "held_out": 100}}, "digits-held-out-100"
        runs = cell(10.0, "held", config=config, data={"name": name, "official": False, "fingerprint": "h"})
        early = run(seed=9, cell=runs[0].cell, config=config, status="crashed", data={}, spans=[], metrics={})
        (board,) = boards([early, *runs], [], rule="coldstart")
        assert (board.task, [row.n for row in board.rows]) == (f"{name}/train", [6])
        assert boards([early, *runs], [], rule="coldstart", task_name="digits/train") == []
        assert [board.task for board in boards([early], [], rule="coldstart")] == [f"{name}/train"]

    def test_rule_task_and_metric_leave_out_the_others(self) -> None:
        records = load_records()
        made = boards(cell(10.0, "ours"), records, rule="dawnbench", task_name="cifar10/inference")
        assert [(board.rule.name, board.task, board.metric) for board in made] == [
            ("dawnbench", "cifar10/inference", "latency")
        ]
        assert boards([], records, metric="latency", task_name="cifar10/train") == []


class TestPublished:
    def test_every_record_with_a_rule_is_ranked_once_and_under_no_other(self) -> None:
        records = load_records()
        ranked = [one.id for board in boards([], records) for one in board.ranked]
        assert sorted(ranked) == sorted(record.id for record in records if record.rule and record.target_accuracy)

    def test_records_of_no_rule_are_named_beside_each(self) -> None:
        board = next(
            board
            for board in boards([], load_records())
            if (board.rule.name, board.target_accuracy) == ("speedrun", 0.94)
        )
        assert {"hlb_cifar10", "page_resnet9"} <= {one.id for one in board.elsewhere}
        assert "ffcv" not in {one.id for one in board.elsewhere}, "it never reached 94 %"


class TestImported:
    ENTRY = TrainEntry(
        author="Someone", author_email="s@example.org", framework="PyTorch", model="Net", hardware="V100",
        timestamp="2018-04-18", rows=(EntryRow(1, 0.01, 90.0), EntryRow(2, 0.02, 94.5)), cost_per_hour=3.06,
    )  # fmt: skip

    def test_is_ranked_as_foreign_by_dawnbench_alone(self) -> None:
        made = boards([run_of(self.ENTRY, "net_v100")], [])
        (row_,) = board_of(made, "dawnbench").ranked
        assert (row_.kind, row_.system, row_.author, row_.hardware) == ("imported", "Net", "Someone", "V100")
        assert row_.value("time").value == pytest.approx(72.0)
        assert all(not board.ranked for board in made if board.rule.name != "dawnbench")

    def test_another_result_under_the_name_of_a_record_is_shown_too(self) -> None:
        known = record("dawnbench/train/net_v100", 50.0, task="cifar10/train", target_accuracy=0.94, rule="dawnbench")
        (board,) = [board for board in boards([run_of(self.ENTRY, "net_v100")], [known]) if board.ranked]
        assert [one.kind for one in board.ranked] == ["record", "imported"]

    def test_keeps_its_own_price(self) -> None:
        made = boards([run_of(self.ENTRY, "net_v100")], [], metric="cost", price_per_hour=1000.0)
        assert board_of(made, "dawnbench").ranked[0].value("cost").value == pytest.approx(0.02 * 3.06)

    def test_is_not_shown_twice_where_it_is_among_the_records(self) -> None:
        known = record("dawnbench/train/net_v100", 72.0, task="cifar10/train", target_accuracy=0.94, rule="dawnbench")
        (board,) = [board for board in boards([run_of(self.ENTRY, "net_v100")], [known]) if board.ranked]
        assert [one.kind for one in board.ranked] == ["record"]
        assert board.unranked == ()
