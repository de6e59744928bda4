"""The claims that come with the project are right, and a mistake in one is told with file, line and key."""

import shutil
import subprocess
import sys

import pytest

from bench.claims import catalog
from bench.claims.cells import NATIVE
from bench.claims.claim import terms
from bench.errors import UsageError
from bench.host.fingerprint import native_precision
from bench.spec.matrix import expand

# What a CPU can answer by classification; the others need GPUs, or systems that are not built yet.
FOR_A_CPU = {2, 5, 6, 7, 8, 9, 10, 11, 15, 16, 18, 19, 22, 23, 24, 26, 27, 28, 29, 37, 38, 41}


def test_there_are_42_and_each_fits_its_matrix():
    claims = catalog.chosen(())
    assert [claim.id for claim in claims] == [f"S{number:02d}" for number in range(1, 43)]
    for claim in claims:
        assert claim.spec.source
        if claim.spec.matrix is not None:
            assert claim.cells
        else:
            assert str(claim.spec.needs)


def test_those_for_a_cpu_can_be_tested_on_one():
    for number in FOR_A_CPU:
        claim = catalog.load(str(number))
        assert claim.spec.needs is None
        assert "cpu" in claim.devices


def test_a_cells_ids_hold_the_one_that_a_sweep_records():
    claim = catalog.load("S06")
    assert native_precision("cpu") in NATIVE["cpu"]
    for cell, swept in zip(claim.cells, expand(claim.matrix, "cpu"), strict=True):
        assert swept.id in cell.ids
        assert swept.values == cell.values


@pytest.mark.parametrize("name", ["S07", "s7", "7", "07"])
def test_an_id_may_be_short(name):
    assert catalog.load(name).id == "S07"


@pytest.mark.parametrize("name", ["S43", "S0", "wide", "S1e9", "٧", "", "-1"])
def test_an_unknown_id_is_refused(name):
    with pytest.raises(UsageError, match=r"unknown claim .*`bench claims --list` lists all"):
        catalog.load(name)


def test_the_nearest_three_are_named():
    with pytest.raises(UsageError, match=r"unknown claim 'S99' .did you mean 'S39', 'S29' or 'S19'"):
        catalog.load("S99")


MISTAKES = {
    "a key": ({"statement:": "statment:"}, r"claim.yaml:2: unknown key 'statment' \(did you mean 'statement'\?\)"),
    "a quantity": ({"quantity: ratio": "quantity: ration"}, r"claim.yaml:8: .*'ration' \(did you mean 'ratio'\?\)"),
    "a band without an inside": (
        {"below: 1}": "below: 1, above: 2}"},
        r"claim.yaml:12: .*nothing is above 2 and below 1",
    ),
    "no band": ({"{below: 1}": "{}"}, r"claim.yaml:12: .*say above, below or both"),
    "a ratio below 0": ({"below: 1}": "below: -1}"}, "a ratio is positive"),
    "no difference inside the band": (
        {"below: 1}": "above: 0.9}"},
        r"negligible: the claimed band from 0.9 to inf holds 1",
    ),
    "a key of another quantity": ({"quantity: ratio": "quantity: value"}, "value takes no (to|negligible)"),
    "a lacking key": ({"    to: {model.width: 16}\n": ""}, "ratio needs to"),
    "no metric": ({"metric: train_s": "metric: a + b"}, r"claim.yaml:9: .*'\+' stands where \* or / can"),
    "no matrix": ({"widths.yaml": "widhts"}, r"claim.yaml:4: unknown matrix 'widhts'"),
    "a name too long for a file": ({"widths.yaml": f"{'w' * 300}.yaml"}, r"claim.yaml:4: there is no matrix file www"),
    "no cell": (
        {"of: {model.width: 8}": "of: {model.width: 9}"},
        "claim.yaml:10: .*no cell with model.width=9; ",
    ),
    "two cells": ({"of: {model.width: 8}": "of: {}"}, "claim.yaml:10: no value at all: 2 cells of widths"),
    "no tests": ({"minutes: 1\n": "", "matrix: widths.yaml\n": ""}, "name the matrix that tests it"),
    "no minutes": ({"minutes: 1\n": ""}, "minutes: say how long the matrix takes"),
    "needs of nothing": ({"minutes: 1\n": "minutes: 1\nneeds: {}\n"}, "claim.yaml:6: .*say gpus, card or system"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_place(make_claim, mistake):
    changes, told = MISTAKES[mistake]
    with pytest.raises(UsageError, match=told):
        make_claim(changes).cells  # noqa: B018


def test_too_few_seeds_for_what_varies(make_claim):
    matrix = "recipe: digits\nset: {target_accuracy: null}\naxes: {model.width: [8, 16]}\nseeds: 2\n"
    with pytest.raises(UsageError, match=r"claim.yaml:8: widths has 2 seeds, and a ratio that varies needs 3 at least"):
        make_claim(matrix=matrix).cells  # noqa: B018
    counted = make_claim({"    negligible: 0.02\n": "    counted: true\n"}, matrix)
    assert len(counted.cells) == 2


def test_two_files_of_one_name_are_refused(make_claim, tmp_path):
    mine, other = tmp_path / "claim.yaml", tmp_path / "other" / "claim.yaml"
    make_claim()
    other.parent.mkdir()
    shutil.copy(mine, other)
    assert len(catalog.chosen([str(mine), str(mine), f"{tmp_path}/other/../claim.yaml"])) == 1
    with pytest.raises(UsageError, match=rf"{mine} and {other} are both called claim; rename one of the files"):
        catalog.chosen([str(mine), str(other)])


def test_the_command_is_told_an_id_or_a_file(make_claim, tmp_path):
    assert catalog.load("7").argument == "S07"
    assert make_claim().argument == str(tmp_path / "claim.yaml")


def test_a_claim_about_a_card_is_for_gpus_alone(make_claim):
    assert make_claim({"minutes: 1\n": "minutes: 1\nneeds: {card: K80}\n"}).devices == ("cuda",)


def test_products_and_quotients_of_metrics():
    assert terms("a * b / c") == [("a", 1), ("b", 1), ("c", -1)]


def test_the_list_brings_no_heavy_imports():
    """Torch, SciPy and pandas take seconds; the list should take less than one."""
    code = (
        "import sys\nfrom bench.claims import catalog\n"
        "from bench.report.terminal import claim_list\ncatalog.chosen(())\n"
        "print(*{'torch', 'scipy', 'pandas', 'matplotlib'} & set(sys.modules))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert printed.stdout.strip() == ""
