import math

from hypothesis import given
from hypothesis import strategies as st

from bench.documents import yaml_reader, yaml_writer

texts = st.text() | st.sampled_from(
    ["no", "0x1f", "0o17", "1e4", "~", "", "null", "1:30", ".5", "-", "<<", "a: b", "#"]
)
leaves = st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(leaves | texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=8)


@given(st.dictionaries(texts, values))
def test_what_is_written_is_read_back(document):
    assert yaml_reader.parse(yaml_writer.write(document))[0] == document


def test_small_lists_and_mappings_stand_on_one_line():
    text = yaml_writer.write({"sizes": [1, 2], "model": {"name": "a", "widths": [3]}, "lr": math.pi})
    assert text.splitlines() == ["sizes: [1, 2]", "model:", "  name: a", "  widths: [3]", "lr: 3.141592653589793"]
