"""`bench find-lr` and `bench picture` by the real command line: a record, a curve in the terminal, a picture."""

import json
from pathlib import Path

import pytest
from PIL import Image

from bench.cli.commands.picture import picture, write_picture
from bench.errors import UsageError
from bench.runs.run import Run
from bench.text.console import LastingConsole

CURVE = {"rate": [0.1, 0.2, 0.4], "loss": [2.0, 1.0, None], "smoothed": [2.0, 1.5, 9.0]}
UNKNOWN = {"rate": [0.0, 0.0], "loss": [None, None], "smoothed": [None, None]}
SURFACE = {"steps": [-1.0, 0.0, 1.0], "loss": [[3.0, 2.0, 3.0], [2.0, 0.0, None], [3.0, 2.0, 30.0]]}


@pytest.fixture(scope="module")
def found(here, tmp_path_factory):
    """The folder of results, and what the command printed."""
    results = tmp_path_factory.mktemp("results")
    answer = here(results.parent, "find-lr", "digits", "--set", "model.width=8", "--results", results)
    assert answer.code == 0, answer.out + answer.err
    return results, answer.out


def test_it_leaves_a_record_and_a_picture_and_says_what_to_try(found):
    results, printed = found
    (record,) = map(json.loads, (results / "runs" / "runs.jsonl").read_text().splitlines())
    assert record["measure"] == "find_lr"
    suggested = record["metrics"]["suggested_lr"]
    assert f"bench run digits --set model.width=8 --set optimizer.lr={suggested:.2g}" in printed
    assert printed.count("┊") > 5
    (picture,) = (results / "pictures").iterdir()
    assert picture.stem == record["run_id"]
    with Image.open(picture) as image:
        assert image.width > 1000
        assert len(image.getcolors(1 << 24)) > 10


def test_a_recorded_curve_is_drawn_again_as_svg(found, tmp_path):
    results, _ = found
    picture([str(results / "runs" / "runs.jsonl")], tmp_path / "new" / "curve.svg", LastingConsole(), results)
    svg = (tmp_path / "new" / "curve.svg").read_text()
    assert "learning rate" in svg
    assert "smoothed, seed 0" in svg
    assert "1e-03" in svg


@pytest.mark.parametrize(("key", "value"), [("curve", CURVE), ("curve", UNKNOWN), ("surface", SURFACE)])
def test_what_a_record_lacks_or_has_as_null_is_no_obstacle(key, value, make_run, tmp_path):
    run = make_run(measure="surface", config={"resolved": {key: value}})
    again = Run.from_json_line(run.to_json_line())
    write_picture(again, file=tmp_path / "drawn.png")
    assert (tmp_path / "drawn.png").stat().st_size > 1000


def test_other_runs_have_nothing_to_draw_and_a_picture_is_a_png_or_an_svg(make_run, tmp_path):
    with pytest.raises(UsageError, match="only runs of surface can be drawn, not of time_to_accuracy"):
        write_picture(make_run(), file=tmp_path / "x.png")
    damaged = make_run(measure="find_lr", config={"resolved": {"curve": {"rate": [1.0], "loss": [], "smoothed": []}}})
    with pytest.raises(UsageError, match="not of find_lr"):
        write_picture(damaged, file=tmp_path / "x.png")
    with pytest.raises(UsageError, match=r"x.gif: a picture's name ends in .png or .svg"):
        picture([], Path("x.gif"), LastingConsole(), tmp_path)


def test_where_the_loss_never_falls_a_lower_start_is_named(here, tmp_path):
    """The first rate already destroys the network; of one batch there is no curve to draw."""
    settings = ("model.width=4", "find_lr={start: 1e6, end: 1e9}", "optimizer.lr=1")
    answer = here(tmp_path, "find-lr", "digits", *(text for setting in settings for text in ("--set", setting)))
    assert answer.code == 1
    assert "No rate can be suggested, because the loss never fell" in answer.out
    assert "--set find_lr.start=1e+03" in answer.out
