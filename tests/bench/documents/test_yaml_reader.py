"""YAML within limits: what is read, what is refused with its line, and that nothing takes long or much."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.documents.yaml_reader import MOST_BYTES, MOST_DEPTH, MOST_NODES, BadYaml, parse, read
from bench.errors import UsageError

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)
MERGE_BOMB = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i}: &a{i} {{<<: *a{i - 1}, k{i}: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 10)
)
# What is refused, on which line, and in which words.
REFUSED = {
    "a bomb of aliases": (BOMB, 5, f"more than {MOST_NODES:,} keys and values"),
    "a bomb of merges": (MERGE_BOMB, 5, f"more than {MOST_NODES:,} keys and values"),
    "many values": ("a:\n" + "- 1\n" * (MOST_NODES + 1), MOST_NODES - 1, "more than"),
    "deep lists": ("a: " + "[" * 100_000, 1, f"deeper than {MOST_DEPTH} levels"),
    "deep mappings": ("a: " + "{b: " * 60_000, 1, "deeper than"),
    "deep blocks": ("- " * 100_000 + "1", 1, "deeper than"),
    "deep lines": ("".join(" " * i + f"k{i}:\n" for i in range(500)), MOST_DEPTH + 1, "deeper than"),
    "deep by aliases": (
        "".join(f"a{i}: &a{i} " + "[" * 10 + (f"*a{i - 1}" if i else "1") + "]" * 10 + "\n" for i in range(5)),
        4,
        "deeper than",
    ),
    "a circle": ("a: &x\n  b: *x\n", 2, "would contain itself"),
    "a circle of merges": ("a: &x\n  <<: *x\n", 2, "would contain itself"),
    "an unknown alias": ("a: 1\nb: *x\n", 2, "no &x before"),
    "a key that stands twice": ("a:\n  b: 1\n  b: 2\n", 3, "a.b appears twice"),
    "a number for a key": ("1: a\n", 1, "is not text"),
    "nothing for a key": ("a: 1\n? \n: b\n", 2, "is not text"),
    "a list for a key": ("? [a]\n: b\n", 1, "a key has to be text"),
    "a tag of Python": ("a: !!python/object/apply:os.system [ls]\n", 1, "tag !!python/object/apply:os.system is not"),
    "a set": ("a: !!set {b}\n", 1, "tag !!set is not allowed"),
    "bytes": ("a: !!binary aGk=\n", 1, "tag !!binary is not allowed"),
    "a tag of one's own": ("a: !me x\n", 1, "tag !me is not allowed"),
    "text for an integer": ("b: 1\na: !!int abc\n", 2, "'abc' is no int"),
    "a 5,000-digit integer": ("a: " + "1" * 5000, 1, "of 5,000 digits is beyond the largest whole number"),
    "a float beyond all": ("a: 1e999", 1, "beyond the largest number"),
    "a second document": ("a: 1\n---\nb: 2\n", 2, "a second document"),
    "merging a number": ("a:\n  <<: 1\n", 2, "<< takes a mapping"),
    "half of a surrogate pair": ('a: "\\ud83d"', 1, "half of a surrogate pair"),
    "a control character": ("a: 1\nb: \x07\n", 2, "special characters are not allowed"),
    "an open quotation": ('a: 1\nb: "x\n', 3, "unexpected end of stream"),
    "a tab": ("a:\n\tb: 1\n", 2, "cannot start any token"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_told_with_its_line(name, tmp_path):
    text, line, words = REFUSED[name]
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert words in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 200


def test_files_that_are_no_text_or_too_long_are_refused(tmp_path):
    for content, words in ((b"\xff\xfea\0:\0", "is not UTF-8"), (b"#" * (MOST_BYTES + 1), "bytes are too many")):
        (tmp_path / "bad.yaml").write_bytes(content)
        with pytest.raises(UsageError, match=words):
            read(tmp_path / "bad.yaml")


def test_values_and_lines():
    text = "a: &x\n  b: [1, {c: no}]\nd:\n  <<: *x\n  e: '5'\nf: *x\n"
    values, lines = parse(text)
    assert values == {
        "a": {"b": [1, {"c": "no"}]},
        "d": {"b": [1, {"c": "no"}], "e": "5"},
        "f": {"b": [1, {"c": "no"}]},
    }
    assert values["a"]["b"] is not values["f"]["b"]
    assert lines == {
        ("a",): 1, ("a", "b"): 2, ("a", "b", 0): 2, ("a", "b", 1): 2, ("a", "b", 1, "c"): 2,
        ("d",): 3, ("d", "e"): 5, ("f",): 6,
    }  # fmt: skip


def test_own_keys_win_over_merged_ones_and_the_first_of_several_over_the_next():
    text = "a: &a {x: 1, y: 1}\nb: &b {x: 2, z: 2}\nc: {y: 3, <<: [*a, *b]}\n"
    assert parse(text)[0]["c"] == {"x": 1, "y": 3, "z": 2}


def test_nothing_is_null():
    assert parse("") == (None, {})
    assert parse("# a comment\n") == (None, {})
    assert parse("--- \n")[0] is None


_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
# PyYAML reads no key of more than 1,024 characters, escapes written out.
_KEYS = st.text(min_size=1, max_size=40)
_TREES = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4))


@given(_TREES)
def test_what_is_written_as_json_is_read_back(tree):
    """JSON is YAML 1.2."""
    assert repr(parse(json.dumps(tree))[0]) == repr(tree)


_PIECES = st.sampled_from(
    ["a", "b", ": ", "- ", "\n", "  ", "\n  ", "[", "]", "{", "}", ", ", "&x ", "*x", "<<: ", "!!int ", "!!map ", "'",
     '"', "|\n", ">\n", "# c\n", "---\n", "...\n", "? ", "!", "%YAML 1.1\n", "\t", "1", "0x_", ".inf", "\\", "\x85",
     "\ufeff"]
)  # fmt: skip


@settings(max_examples=400)
@given(st.lists(_PIECES, max_size=40).map("".join) | st.text(max_size=60))
def test_any_text_is_a_value_or_a_refusal_with_a_line(text):
    try:
        value, lines = parse(text)
    except BadYaml as error:
        assert 1 <= error.line <= text.count("\n") + text.count("\x85") + text.count("\u2028") + 2  # noqa: PT017
        return
    except Exception as error:
        raise AssertionError(repr(text)) from error
    assert all(line >= 1 for line in lines.values())
    assert _depth(value) <= MOST_DEPTH
    assert yaml.safe_dump(value) is not None


def test_attacks_take_little_time_and_memory():
    """All of them, and others of full length, in one process that the system would end beyond 256 MiB more or 30 s."""
    code = f"""
import sys, resource
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from tests.bench.documents.test_yaml_reader import REFUSED
from bench.documents.yaml_reader import BadYaml, parse, MOST_BYTES
used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 28), used + (1 << 28)))
pieces = ('# \\n', '"\\\\x41', "a: 'b", '? ', '&a ', '!', '%TAG ! a\\n', '\\n', '- ', '[[],', '{{a: ', '|')
long = [piece * (MOST_BYTES // len(piece)) for piece in pieces]
count = 0
for text in [text for text, *_ in REFUSED.values()] + long:
    try:
        parse(text)
    except BadYaml:
        count += 1
print(count)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (30, 30)),
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= len(REFUSED)


def _depth(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)
