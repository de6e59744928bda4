"""Remarks that begin alike, told once."""

from __future__ import annotations

from bench.text.folding import folded


def test_what_begins_alike_is_told_once_with_its_number():
    few = ["too few runs: 2 of 5", "too few runs: 3 of 5"]
    assert folded([*few, "alone: as it is"], "row") == {
        **dict.fromkeys(few, "2 rows: too few runs"),
        "alone: as it is": "alone: as it is",
    }


def test_equal_remarks_are_told_in_full():
    assert folded(["data: not checked"] * 3, "board") == {"data: not checked": "3 boards: data: not checked"}


def test_nothing_is_nothing():
    assert folded([], "row") == {}
