"""Plain scalars by the tables of YAML 1.2.2, chapter 10.3.2, and what version 1.1 made of them."""

from __future__ import annotations

import math

import pytest

from bench.documents.core_schema import LARGEST_INTEGER, number, scalar

VALUES = {
    "": None, "~": None, "null": None, "NULL": None,
    "true": True, "False": False,
    "0": 0, "-19": -19, "+12": 12, "0500": 500, "010": 10, "016": 16, "0o14": 12, "0x3A": 58,
    "0.": 0.0, "-0.0": -0.0, ".5": 0.5, "+12e03": 12000.0, "-2E+05": -2e5, "1e-4": 1e-4, "1.5e3": 1500.0,
    ".inf": math.inf, "-.Inf": -math.inf, "+.INF": math.inf,
    str(LARGEST_INTEGER): LARGEST_INTEGER, "-9223372036854775807": -LARGEST_INTEGER, "5e-324": 5e-324,
}  # fmt: skip
# Numbers, booleans and dates of YAML 1.1, or of Python: text here, so that a field of numbers refuses them.
TEXTS = (
    "no", "yes", "on", "off", "y", "N", "nUll", "tRUE", "1:30.5", "190:20:30", "1_000", "0_1", "0b11", "0x_", "0x",
    "0o8", "08x", "1e", "e5", ".", "-", "+", "--1", "1.2.3", "2001-12-14", "2001-13-45", "inf", "nan", "-inf", "<<",
    "=", "١٢", "1,5", "0x1p3", " 1",
)  # fmt: skip


@pytest.mark.parametrize("text", VALUES)
def test_values_of_the_core_schema(text):
    value = scalar(text)
    assert (type(value), repr(value)) == (type(VALUES[text]), repr(VALUES[text]))


@pytest.mark.parametrize("text", TEXTS)
def test_everything_else_is_text(text):
    assert scalar(text) == text


def test_not_a_number_is_none():
    assert math.isnan(scalar(".nan"))


@pytest.mark.parametrize("text", [str(2**63), "-9223372036854775808", "9" * 5000, "0x" + "f" * 17, "1e309", "-1e999"])
def test_numbers_beyond_what_can_be_held_are_refused_in_words(text):
    with pytest.raises(ValueError, match="is beyond the largest") as caught:
        scalar(text)
    assert len(str(caught.value)) < 200


def test_a_number_for_an_option_is_read_alike():
    assert (number("0500"), number(" 1e-4")) == (500, 1e-4)
    for text in ("", "true", "1_000", "yes", "1:30"):
        with pytest.raises(ValueError, match="is not a number"):
            number(text)
