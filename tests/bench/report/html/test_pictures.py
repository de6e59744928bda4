"""Sample pictures and the quality of trainings that are not judged by an accuracy."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bench.report.html.cells import cells_of
from bench.report.html.pages import site
from bench.report.html.pictures import galleries
from bench.report.html.plots.quality import qualities
from bench.report.html.sweeps import sweep_pages
from bench.runs.run import Run
from tests.bench.competitors import run
from tests.bench.report.html.browser import Page


def png() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(content, "png")
    return content.getvalue()


def made(seed: int = 0, pictures: Any = None, width: int = 8, **fields: Any) -> Run:
    """A GAN whose distance falls from 100 to 40 in five epochs, and its pictures of each."""
    files = [{"name": "samples", "epoch": n, "file": f"logs/r/samples_{n:03}.png"} for n in range(1, 6)]
    resolved = {"quality": {"name": "frechet_distance", "better": "lower"}, "pictures": pictures or files}
    epochs = [
        {"epoch": n, "accuracy": None, "train_s": 10.0 * n, "frechet_distance": 115.0 - 15 * n} for n in range(1, 6)
    ]
    metrics = {"train_s": 50.0, "frechet_distance": 40.0 + seed, "target_quality": 45.0, "total_s": 60.0}
    config = {"model": {"name": "dcgan", "width": width}, "resolved": resolved}
    cell = f"{width:02}" * 8
    return run(seed=seed, cell=cell, config=config, epochs=epochs, metrics=metrics, **fields)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "logs" / "r"
    folder.mkdir(parents=True)
    for epoch in range(1, 6):
        (folder / f"samples_{epoch:03}.png").write_bytes(png())
    return tmp_path


def test_the_quality_stands_against_the_time_with_its_direction_and_its_target() -> None:
    (chart,) = qualities(cells_of([made(0), made(1)]))
    assert chart.y.title == "frechet distance, lower is better"
    assert [one.label for one in chart.series] == ["digits (n = 2)"]
    assert chart.series[0].lines[0][0] == (10.0, 100.0)
    assert [line.label for line in chart.references] == ["target 45"]


def test_a_page_shows_the_first_the_last_and_some_pictures_between(results: Path) -> None:
    files = site([made()], [], results)
    names = sorted(name for name in files if name.startswith("pictures/"))
    assert len(names) == 4
    assert all(files[name] == png() for name in names)
    (page,) = [str(text) for name, text in files.items() if name.startswith("cells/")]
    assert "after epoch 1, frechet distance 100" in page
    assert "after epoch 5, frechet distance 40" in page
    assert all(f'src="../{name}"' in page for name in names)
    assert "Quality against time" in page
    assert '<th scope="col" class="number">frechet distance</th>' in page
    assert "40 frechet distance" in str(files["cells.html"])
    index = str(files["index.html"])
    assert f'<img src="{names[-1]}"' in index
    assert "after epoch 5, frechet distance 40" in index


@pytest.mark.parametrize(
    "file", ["../secret.png", "/etc/passwd", "logs/r/none.png", "logs/r/text.png", "logs/r", "\0", "a" * 5000]
)
def test_a_record_shows_no_file_but_a_picture_of_the_results(results: Path, file: str) -> None:
    (results.parent / "secret.png").write_bytes(png())
    (results / "logs" / "r" / "text.png").write_text("no picture")
    (cell,) = cells_of([made(pictures=[{"name": "samples", "epoch": 1, "file": file}])])
    assert galleries(cell, results) == []


@pytest.mark.parametrize("pictures", ["text", [1], [{"name": "a"}], {"a": 1}])
def test_a_record_with_something_else_shows_nothing(results: Path, pictures: Any) -> None:
    (cell,) = cells_of([made(pictures=pictures)])
    assert galleries(cell, results) == []


def test_a_run_id_names_no_place_outside_of_the_report(results: Path) -> None:
    files = site([made(run_id="../../evil")], [], results)
    assert not [name for name in files if ".." in name]


def test_a_sweep_is_judged_by_the_quality() -> None:
    runs = [made(seed, width=width, sweep="gans") for width in (8, 16) for seed in range(3)]
    (page,) = sweep_pages(cells_of(runs))
    assert page.table.figures[:2] == ["frechet distance", "training"]
    assert page.curves is not None
    assert page.curves_heading == "Quality against time"
    assert page.effects[0][1][0].title == "frechet distance by width"


def test_pictures_and_quality_are_seen_on_a_phone_and_on_a_wide_screen(
    page: Page, results: Path, tmp_path: Path
) -> None:
    for name, content in site([made()], [], results).items():
        file = tmp_path / "pages" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    (cell,) = (tmp_path / "pages" / "cells").iterdir()
    for width, dark in ((360, False), (360, True), (1280, False), (1280, True)):
        page.open(cell, width=width, dark=dark)
        shown = "[...document.images].map(one => [one.naturalWidth, one.getBoundingClientRect()])"
        seen = page.run(f"{shown}.map(([pixels, box]) => pixels == 8 && box.width >= 100 && box.right <= innerWidth)")
        assert seen == [True] * 4
        assert page.run("document.documentElement.scrollWidth") <= width
        assert page.run("[...document.querySelectorAll('h2')].some(one => one.innerText === 'Quality against time')")
