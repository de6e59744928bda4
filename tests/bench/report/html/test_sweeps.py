"""The page of a sweep: its table, its curves, what each axis does, and marks on what must be read with care."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from bench.documents.document import Document
from bench.report.charts.chart import DotChart, HeatMap
from bench.report.html.cells import cells_of
from bench.report.html.pages import single_sweep_page
from bench.report.html.sweeps import SweepPage, sweep_of_plan, sweep_pages
from bench.runs.run import Run
from bench.spec.matrix import Matrix, expand, schedule
from bench.spec.sweep_plan import plan
from tests.bench.competitors import crossed_sweep, run


@pytest.fixture(scope="module")
def crossed() -> SweepPage:
    (page,) = sweep_pages(cells_of(crossed_sweep()))
    return page


def chart(page: SweepPage, axis: str, title: str) -> DotChart:
    (found,) = [one for name, charts in page.effects if name == axis for one in charts if one.title.startswith(title)]
    return found


def one_factor(seeds: int = 3, factors: int = 1) -> list[Run]:
    return [
        run(epoch_s=width + 0.1 * seed, seed=seed, cell=f"{width}" * 8, sweep="one",
            config={"model": {"name": "darknet", "width": width, **({"depth": 2 * width} if factors == 2 else {})}})
        for width in (4, 8, 16)
        for seed in range(seeds)
    ]  # fmt: skip


def test_it_is_told_what_varies_and_how_often(crossed: SweepPage) -> None:
    assert crossed.size == "8 cells × 3 seeds"
    assert crossed.axes == ["width (2)", "block (2)", "precision (2)"]
    assert crossed.labels[0] == "width = 8, block = wide, precision = fp32"


def test_its_table_is_that_of_the_terminal(crossed: SweepPage) -> None:
    assert crossed.table.figures[:2] == ["accuracy", "training"]
    first = dict(zip([*crossed.table.keys, "runs", *crossed.table.figures], crossed.table.rows[0], strict=True))
    assert first["runs"] == "3 ok (1 contended)"
    assert first["training"] == "15.0 s ± 0.37 s"


def test_an_effect_is_the_mean_over_the_other_axes(crossed: SweepPage) -> None:
    rows = {row.label: row.dots[0] for row in chart(crossed, "width", "training time").rows}
    assert rows["8"].value == pytest.approx(15.0)
    # 9 s an epoch in fp32, 4.5 s in bf16, three epochs.
    assert rows["16"].value == pytest.approx((27.0 + 27.0 + 13.5 + 13.5) / 4, rel=0.003)
    assert rows["16"].text.endswith("n = 11")
    for dot in rows.values():
        assert dot.low is not None
        assert dot.low < dot.value < (dot.high or 0)


def test_the_axes_of_a_figure_share_a_scale_and_labels_hold_what_varies(crossed: SweepPage) -> None:
    charts = [one for _, charts in crossed.effects for one in charts if one.title.startswith("accuracy")]
    assert len(charts) == 3
    assert len({(one.axis.scale.least, one.axis.scale.most) for one in charts}) == 1
    assert [[row.label for row in one.rows] for one in charts] == [["8", "16"], ["wide", "deep"], ["fp32", "bf16"]]


def test_what_must_be_read_with_care_is_marked(crossed: SweepPage) -> None:
    marks = dict(crossed.marks)
    assert marks == {
        "width = 8, block = wide, precision = fp32": "1 contended",
        "width = 16, block = deep, precision = fp32": "1 oom",
    }
    rows = {row.label: row.mark for row in chart(crossed, "width", "accuracy").rows}
    assert rows == {"8": "1 run contended", "16": "1 cell unfinished"}


def heat(page: SweepPage, title: str) -> HeatMap:
    (found,) = [one for one in page.interactions if one.title == title]
    return found


def test_an_interaction_is_told_and_none_is_not(crossed: SweepPage) -> None:
    found = heat(crossed, "training time by width and precision")
    assert "They interact: what width does depends on precision" in found.caption
    assert [label for label, _ in found.rows] == ["8", "16"]
    values = [[cell.text for cell in cells if cell] for _, cells in found.rows]
    assert values[1] == ["27.1 s", "13.5 s"]
    assert found.rows[0][1][0].detail.endswith("n = 6")  # type: ignore[union-attr]
    assert "No interaction is seen" in heat(crossed, "training time by width and block").caption
    first = next(one for one in crossed.interactions if one.title.startswith("training time"))
    assert first.title == found.title


def test_noise_does_not_fill_the_colours() -> None:
    noisy = [
        replace(one, metrics=one.metrics | {"train_s": 10.0 + (one.seed - 1) * 3.0 + noise})
        for one, noise in zip(crossed_sweep(), np.random.default_rng(0).normal(0, 1.0, 24).tolist(), strict=True)
        if one.status != "oom"
    ]
    (page,) = sweep_pages(cells_of(noisy))
    levels = [cell.level for one in page.interactions if one.title.startswith("training")
              for _, cells in one.rows for cell in cells if cell]  # fmt: skip
    assert max(levels) - min(levels) < 0.5


def test_an_effect_fills_them(crossed: SweepPage) -> None:
    cells = [cell for _, row in heat(crossed, "training time by width and precision").rows for cell in row if cell]
    assert max(cell.level for cell in cells) - min(cell.level for cell in cells) == pytest.approx(1.0)


def test_one_factor_has_a_dot_a_cell_and_small_ones_for_its_runs() -> None:
    (page,) = sweep_pages(cells_of(one_factor()))
    assert page.interactions == []
    found = chart(page, "width", "training time")
    assert [row.label for row in found.rows] == ["4", "8", "16"]
    assert found.rows[0].dots[0].points == pytest.approx((12.0, 12.3, 12.6))


def test_axes_that_move_together_are_one() -> None:
    (page,) = sweep_pages(cells_of(one_factor(factors=2)))
    assert page.axes == ["width (3)"]


def test_cells_that_are_not_crossed_have_a_row_each() -> None:
    runs = [
        run(epoch_s=a + b, cell=f"{a}{b}" * 8, sweep="odd", config={"a": a, "b": b})
        for a, b in ((1, 1), (2, 2), (2, 3))
    ]
    (page,) = sweep_pages(cells_of(runs))
    ((name, charts),) = page.effects[:1]
    labels = [row.label for row in charts[0].rows]
    assert name == "Cells"
    assert labels == ["a = 1, b = 1", "a = 2, b = 2", "a = 2, b = 3"]


def test_cells_that_change_one_thing_each_are_called_by_it() -> None:
    base = {"a": 1, "b": 2, "c": 3}
    configs = [base, base | {"a": 9}, base | {"b": 9}, base | {"c": 9}]
    runs = [run(cell=f"{place}" * 16, sweep="ablation", config=config) for place, config in enumerate(configs)]
    (page,) = sweep_pages(cells_of(runs))
    assert page.labels == ["all as usual", "a = 9", "b = 9", "c = 9"]
    assert page.usual == {"a": "1", "b": "2", "c": "3"}
    assert "Usual are a = 1, b = 2, c = 3" in single_sweep_page(page)


def test_one_run_a_cell_has_no_interval_and_no_verdict() -> None:
    (page,) = sweep_pages(cells_of(crossed_sweep(seeds=1)))
    assert all(row.dots[0].low is None for _, charts in page.effects for one in charts for row in one.rows)
    assert all("cannot tell an interaction from noise" in one.caption for one in page.interactions)


def test_many_cells_are_coloured_by_what_separates_the_times(crossed: SweepPage) -> None:
    few = crossed.curves
    assert few is not None
    assert len(few.series) == 8
    assert [line.value for line in few.references] == [0.96]
    more = [replace(one, cell=f"x{one.cell[:15]}", config=one.config | {"epochs": 9}) for one in crossed_sweep()]
    (page,) = sweep_pages(cells_of([*crossed_sweep(), *more]))
    assert page.curves is not None
    assert [one.label for one in page.curves.series] == ["precision = fp32 (n = 22)", "precision = bf16 (n = 24)"]


def test_each_machine_has_its_page() -> None:
    other = [replace(one, machine=one.machine | {"id": "elsewhere"}) for one in one_factor()]
    pages = sweep_pages(cells_of([*one_factor(), *other]))
    assert sorted(page.page for page in pages) == ["one", "one-2"]


class TestOfAPlan:
    def made(self, seeds: int, status: str = "ok") -> SweepPage:
        axes = {"model.width": [4, 8], "precision": ["fp32", "bf16"]}
        matrix = Matrix(Document(Path("mine.yaml"), {"recipe": "digits", "axes": axes}))
        cells = expand(matrix, "cpu")
        runs = [
            replace(run(seed=seed), cell=cell.id, config=cell.config, status=status)
            for cell in cells[:3]
            for seed in range(seeds)
        ]
        planned = plan(schedule(cells, range(2), "interleaved"), runs, machine_ids={"abcdef012345"}, sources_sha256="")
        return sweep_of_plan("mine", planned, matrix.keys, "time_to_accuracy")

    def test_cells_that_did_not_run_are_there_and_marked(self) -> None:
        page = self.made(2)
        assert dict(page.marks) == {"width = 8, precision = bf16": "2 of 2 still to run"}
        text = single_sweep_page(page)
        assert "2 of 2 still to run" in text
        assert not re.findall('(?:href|src)="(?!data:|#)', text)

    def test_nothing_has_run_yet(self) -> None:
        assert "No run has finished yet" in single_sweep_page(self.made(0))


def test_each_sweep_has_a_file_of_its_own_even_where_a_name_looks_numbered() -> None:
    runs = [
        run(cell=str(place) * 16, sweep=name, config={"a": place}, machine={"id": machine})
        for place, (name, machine) in enumerate((("width", "m1"), ("width-3", "m1"), ("width", "m2"), ("width", "m3")))
    ]
    names = [page.page for page in sweep_pages(cells_of(runs))]
    assert len(names) == len(set(names)) == 4


def test_of_two_seeds_the_values_are_told_and_no_interval() -> None:
    (page,) = sweep_pages(cells_of(one_factor(seeds=2)))
    for row in chart(page, "width", "training time").rows:
        (dot,) = row.dots
        assert (dot.low, dot.high) == (None, None)
        assert len(dot.points) == 2
        assert "±" not in dot.text


def on_hosts(runs: list[Run], slower: float = 2.0) -> list[Run]:
    """Each seed on a host of its own, of which the last is slower."""
    return [
        replace(
            one,
            machine=one.machine | {"host": f"host{one.seed}"},
            metrics=one.metrics | {"train_s": one.metrics["train_s"] * (slower if one.seed == 2 else 1.0)},
        )
        for one in runs
    ]


def test_what_a_host_or_a_seed_changes_in_all_cells_is_in_no_interval(crossed: SweepPage) -> None:
    (page,) = sweep_pages(cells_of(on_hosts(crossed_sweep())))
    found, alike = (chart(one, "precision", "training time") for one in (page, crossed))
    assert "Each of the 3 hosts counts once." in page.how_to_read
    assert "what a host changes in all cells alike is not in them" in page.how_to_read
    assert "what a seed changes in all cells alike is not in them" in crossed.how_to_read
    for rows in (found.rows, alike.rows):
        for row in rows:
            (dot,) = row.dots
            assert dot.low is not None
            assert dot.high - dot.low < 0.1 * dot.value  # type: ignore[operator]
    assert found.rows[0].dots[0].text.endswith("n = 11")
    assert "The runs are of 3 hosts, and each host counts once." in single_sweep_page(page)


def test_two_hosts_have_no_interval() -> None:
    runs = [replace(one, machine=one.machine | {"host": f"host{one.seed % 2}"}) for one in crossed_sweep()]
    (page,) = sweep_pages(cells_of(runs))
    assert all(dot.low is None for row in chart(page, "width", "training time").rows for dot in row.dots)


def test_a_sweep_that_varies_nothing_has_a_page() -> None:
    (page,) = sweep_pages(cells_of([run(seed=seed, sweep="alone") for seed in range(3)]))
    assert page.how_to_read == ""
    assert "it varies" not in single_sweep_page(page)
