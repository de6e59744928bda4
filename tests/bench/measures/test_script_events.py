"""The events: what a line may say, and that no line, however broken, ends anything."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.measures.script_events import BadEvent, Edge, Epoch, EventReader, Metrics, parse

NAMES = st.from_regex(r"[a-z][a-z_]{0,15}", fullmatch=True).filter(
    lambda name: name not in ("event", "percent", "at_s")
)
FRACTIONS = st.floats(0, 1)
NUMBERS = st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False))


@st.composite
def lines(draw):
    kind = draw(st.sampled_from(["epoch", "span", "metrics"]))
    if kind == "span":
        return {"event": "span", "name": draw(NAMES), "state": draw(st.sampled_from(["start", "end"]))}
    values = draw(st.dictionaries(NAMES.filter(lambda name: name not in ("accuracy", "epoch")), NUMBERS, max_size=4))
    if kind == "metrics":
        return {"event": "metrics", "step_s": 0.5} | values
    return {"event": "epoch", "accuracy": draw(FRACTIONS), "epoch": draw(st.integers(0, 999))} | values


def meant(line):
    values = {key: value for key, value in line.items() if key != "event"}
    if line["event"] == "span":
        return Edge(5.0, line["name"], line["state"] == "start")
    return (Epoch if line["event"] == "epoch" else Metrics)(5.0, values)


@given(st.lists(lines(), max_size=8), st.integers(1, 40))
def test_events_come_out_as_they_went_in_however_the_bytes_are_cut(told, size):
    data = b"".join(json.dumps(line).encode() + b"\n" for line in told)
    reader = EventReader()
    found = [event for at in range(0, len(data), size) for event in reader.feed(data[at : at + size], 5.0)]
    assert found == [meant(line) for line in told]
    assert reader.remark is None


@given(st.lists(st.one_of(st.binary(max_size=60), st.text(max_size=40).map(str.encode)), max_size=10), lines())
def test_no_bytes_end_the_reading(garbage, good):
    reader = EventReader()
    reader.feed(b"\n".join(garbage) + b"\n", 5.0)
    assert reader.feed(json.dumps(good).encode() + b"\n", 5.0) == [meant(good)]


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=9), inner, max_size=3)),
        max_leaves=8,
    )
)
def test_what_is_json_and_no_event_is_refused_and_nothing_else_happens(value):
    try:
        event = parse(json.dumps({"event": "epoch", "at_s": value, "x": value}).encode(), 0.0, 5.0)
    except BadEvent:
        return
    assert 0 <= event.at_s <= 5.0


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b"acc .5", "no JSON"),
        (b"[1]", "no JSON object"),
        (b'{"event": "epcoh"}', "did you mean 'epoch'"),
        (b'{"event": "epoch", "accuracy": 93.5}', "send 93.5 % as percent"),
        (b'{"event": "epoch", "accuracy": "0.9"}', "no number"),
        (b'{"event": "epoch", "accuracy": true}', "no number"),
        (b'{"event": "epoch", "epoch": 1.5}', "no whole number"),
        (b'{"event": "span", "name": "train"}', "start or end"),
        (b'{"event": "span", "name": "a b", "state": "end"}', "letters, digits"),
        (b'{"event": "metrics"}', "without a value"),
        (b'{"event": "metrics", "big": 1' + b"0" * 400 + b"}", "no number"),
        (b"[" * 100_000, "no JSON"),
    ],
)
def test_a_line_that_is_no_event_says_what_is_wrong(line, word):
    with pytest.raises(BadEvent, match=word):
        parse(line, 0.0, 1.0)


def test_its_own_moment_counts_where_it_can_be():
    line = '{{"event": "metrics", "x": 1, "at_s": {}}}'
    assert [parse(line.format(at_s).encode(), 10.0, 20.0).at_s for at_s in (15.0, 9.0, 21.0, '"x"', "NaN")] == [
        15.0, 20.0, 20.0, 20.0, 20.0,
    ]  # fmt: skip


def test_percent_is_a_fraction_and_nan_a_divergence():
    told = parse(b'{"event": "epoch", "percent": 93.5, "loss": NaN}', 0.0, 1.0)
    assert told.values["accuracy"] == pytest.approx(0.935)
    assert math.isnan(told.values["loss"])


def test_a_line_without_end_is_no_event_and_a_last_one_without_newline_is():
    reader = EventReader()
    assert reader.feed(b"x" * 100_000, 1.0) == []
    assert "more than" in (reader.remark or "")
    assert reader.feed(b'\n{"event": "metrics", "a": 1}', 1.0) == []
    assert reader.finish(2.0) == [Metrics(2.0, {"a": 1})]


def test_events_without_end_are_not_kept(monkeypatch):
    monkeypatch.setattr("bench.measures.script_events.MOST_EVENTS", 2)
    reader = EventReader()
    assert len(reader.feed(b'{"event": "epoch"}\n' * 2, 1.0)) == 2
    assert reader.failure is None
    assert reader.feed(b'{"event": "epoch"}\n', 1.0) == []
    assert reader.failure == "more than 2 events; send some for each epoch"
