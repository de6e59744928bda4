from datetime import date

import pytest

from bench.errors import UsageError
from bench.exchange import dawnbench
from bench.spec import prices


def test_a_number_is_dollars_per_hour():
    assert prices.parse("3.06").usd_per_hour == 3.06
    assert prices.parse("0").source == {"given_by": "--price"}


def test_a_name_brings_its_date_and_source():
    price = prices.parse("p3.16xlarge")
    assert price.usd_per_hour == 24.48
    assert price.source == {
        "given_by": "--price",
        "name": "p3.16xlarge",
        "date": "2018-04-18",
        "kind": "on_demand",
        "source": "DAWNBench entry fastai_pytorch",
    }


@pytest.mark.parametrize("text", ["-1", "nan", "inf"])
def test_a_number_that_is_no_price_is_refused(text):
    with pytest.raises(UsageError, match=f"--price {text}: a price is 0 to|--price {text}: neither a number"):
        prices.parse(text)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"--price p3\.16xlrge: .*did you mean 'p3\.16xlarge'.*`bench prices` lists"):
        prices.parse("p3.16xlrge")


def test_the_command_line_comes_first_then_who_is_named_first():
    others = ("matrix", None), ("recipe", 2.0)
    assert prices.choose("1", *others).usd_per_hour == 1.0
    assert prices.choose(None, *others) == prices.Price(usd_per_hour=2.0, source={"given_by": "recipe"})
    assert prices.choose(None, ("recipe", 0.0)).usd_per_hour == 0.0
    assert prices.choose(None, ("recipe", None)) is None


def test_every_row_has_a_positive_price_and_a_day_that_was():
    for name, row in prices.table().items():
        assert row.usd_per_hour > 0, name
        assert row.date <= date(2026, 11, 21), name


def test_every_row_is_what_its_entry_says(real_entries):
    checked = 0
    for name, row in prices.table().items():
        if row.source.startswith("DAWNBench entry "):
            entry = dawnbench.load(real_entries / "train" / f"{row.source.removeprefix('DAWNBench entry ')}.json")
            assert (entry.cost_per_hour, entry.timestamp) == (row.usd_per_hour, str(row.date)), name
            checked += 1
    assert checked == 10
