"""`bench plot`, `bench diff` and `bench open` by the real command line, on a small store."""

from __future__ import annotations

import os
import shutil
import webbrowser
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from bench.runs.store import Store
from tests.bench.cli.conftest import Answer
from tests.bench.competitors import crossed_sweep

Bench = Callable[..., Answer]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("plotted") / "results"
    store = Store(results / "runs" / "runs.jsonl")
    for run in crossed_sweep():
        store.append(run)
    return results


class TestPlot:
    def test_in_the_terminal(self, bench: Bench, stored: Path) -> None:
        answer = bench("plot", "--x", "time", "--y", "accuracy", "--by", "model.width", "--results", stored)
        assert answer.code == 0, answer.err
        assert "accuracy by training time" in answer.out
        assert "o  model.width = 8 (n = 12)" in answer.out
        assert "┄  target 96.00 %" in answer.out

    @pytest.mark.parametrize("name", ["new/drawn.png", "drawn.svg"])
    def test_as_a_file(self, bench: Bench, stored: Path, tmp_path: Path, name: str) -> None:
        arguments = ("--x", "precision", "--y", "train_s", "--sweep", "crossed", "--results", stored)
        answer = bench("plot", *arguments, "--out", tmp_path / name)
        assert answer.code == 0, answer.err
        assert f"train_s by precision: drawn in {tmp_path / name}. " in answer.out
        # Of the 24 runs that are asked for, one has not finished.
        assert "Left out: 1 run that did not finish" in answer.out
        if name.endswith("png"):
            with Image.open(tmp_path / name) as image:
                assert image.width > 1000
        else:
            assert "train_s by precision" in (tmp_path / name).read_text()

    @pytest.mark.parametrize(
        ("arguments", "code", "words"),
        [
            (["--x", "time", "--y", "acuracy"], 2, "did you mean 'accuracy'"),
            (["--x", "time", "--y", "accuracy", "--where", "recipe=no"], 2, "none of the 24 runs meets all of this"),
            (["--x", "time", "--y", "accuracy", "--out", "x.gif"], 2, "ends in .png, .svg or .html"),
            (["--x", "time"], 2, "--y"),
        ],
    )
    def test_a_mistake_is_one_message(
        self, bench: Bench, stored: Path, arguments: list[str], code: int, words: str
    ) -> None:
        answer = bench("plot", "--results", stored, *arguments)
        assert answer.code == code
        assert words in answer.err


class TestDiff:
    def test_two_runs_stand_for_their_cells(self, bench: Bench, stored: Path) -> None:
        quick, *_, slow = (run.run_id for run in Store(stored / "runs" / "runs.jsonl").read() if run.seed == 0)
        answer = bench("diff", quick, slow, "--results", stored)
        assert answer.code == 0, answer.err
        for words in ("model.width", "fp32", "bf16", "seeds 0, 1, 2: 3 ok", "B against A"):
            assert words in answer.out
        alone = bench("diff", quick, slow, "--alone", "--results", stored)
        assert "seed 0: 1 ok" in alone.out
        assert "have no interval" in alone.out

    def test_the_same_run_twice_is_a_mistake(self, bench: Bench, stored: Path) -> None:
        answer = bench("diff", "last", "last", "--results", stored)
        assert answer.code == 2
        assert "are the same run" in answer.err

    def test_a_file_of_several_cells_is_one(self, bench: Bench, stored: Path) -> None:
        answer = bench("diff", stored / "runs" / "runs.jsonl", "last", "--results", stored)
        assert answer.code == 2
        assert "runs of several cells" in answer.err


class TestOpen:
    @pytest.fixture
    def opened(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The addresses that were opened."""
        found: list[str] = []
        monkeypatch.setattr(webbrowser, "open", lambda address: found.append(address) or True)
        return found

    def test_the_first_page_and_that_of_a_sweep(self, bench: Bench, stored: Path, opened: list[str]) -> None:
        out = stored.parent / "pages"
        assert bench("report", "--results", stored, "--out", out).code == 0
        assert bench("open", "--out", out).code == 0
        assert bench("open", "crossed", "--out", out).code == 0
        assert [Path(address).name for address in opened] == ["index.html", "crossed.html"]
        assert all(address.startswith("file://") for address in opened)

    def test_a_report_stands_below_its_results_where_it_is_looked_for(
        self, bench: Bench, stored: Path, tmp_path: Path, opened: list[str]
    ) -> None:
        results = shutil.copytree(stored, tmp_path / "others")
        made = bench("report", "--results", results)
        assert made.code == 0, made.err
        assert bench("open", "--results", results).code == 0
        assert opened == [(results / "report" / "index.html").as_uri()]
        assert not (tmp_path / "results").exists()

    def test_the_newer_page_of_a_sweep_is_opened(self, bench: Bench, tmp_path: Path, opened: list[str]) -> None:
        pages = [tmp_path / "results" / place / "crossed.html" for place in ("report/sweeps", "sweeps")]
        for number, page in enumerate(pages):
            page.parent.mkdir(parents=True)
            page.write_text("")
            os.utime(page, (number, number))
        bench("open", "crossed", "--results", tmp_path / "results")
        os.utime(pages[0], (2, 2))
        bench("open", "crossed", "--results", tmp_path / "results")
        assert [address.removeprefix("file://") for address in opened] == [str(pages[1]), str(pages[0])]

    def test_without_a_report_it_says_how_to_make_one(self, bench: Bench, opened: list[str]) -> None:
        answer = bench("open")
        assert answer.code == 3
        assert "`bench report --results results` makes one" in answer.err
        assert "`bench report --out pages` makes one" in bench("open", "--out", "pages").err
        answer = bench("open", "crossed")
        assert answer.code == 3
        assert "unknown sweep 'crossed'" in answer.err
        assert opened == []

    def test_without_a_browser_it_names_the_page(
        self, bench: Bench, stored: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out = stored.parent / "others"
        bench("report", "--results", stored, "--out", out)
        monkeypatch.setattr(webbrowser, "open", lambda _: False)
        answer = bench("open", "--out", out)
        assert answer.code == 0
        assert f"{out}{os.sep}index.html" in answer.out
        assert "no browser here" in answer.out


class TestOfAClone:
    """A repository that was cloned has published runs, and no store of its own."""

    @pytest.fixture
    def clone(self, tmp_path: Path) -> Path:
        store = Store(tmp_path / "results" / "published" / "crossed.jsonl")
        for run in crossed_sweep():
            store.append(run)
        return tmp_path / "results"

    def test_its_published_runs_are_drawn_as_a_page(self, bench: Bench, clone: Path, tmp_path: Path) -> None:
        arguments = ("--x", "model.width", "--y", "train_s", "--by", "precision", "--out", tmp_path / "drawn.html")
        answer = bench("plot", clone / "published", *arguments)
        assert answer.code == 0, answer.err
        page = (tmp_path / "drawn.html").read_text()
        assert "precision = bf16" in page.replace("\u00a0", " ")
        assert "Words of this page" in page
        answer = bench("plot", *arguments, "--results", clone)
        assert answer.code == 3
        assert f"{clone / 'published'} has published ones" in answer.err

    def test_its_published_runs_stand_side_by_side_with_their_repeats(self, bench: Bench, clone: Path) -> None:
        first, *_, last = (run.run_id for run in Store(clone / "published" / "crossed.jsonl").read())
        answer = bench("diff", first, last, "--results", clone)
        assert answer.code == 0, answer.err
        assert answer.out.count("seeds 0, 1, 2: 3 ok") == 2
        assert first in bench("results", "show", first, "--results", clone).out
