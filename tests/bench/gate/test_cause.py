import subprocess
import sys

import pytest

from bench.gate.cause import explain, least, of_spans
from bench.gate.function_profile import function_seconds, profiled


def spans(**seconds: float) -> list[dict]:
    """Spans one after another."""
    found, at_s = [], 0.0
    for name, took_s in seconds.items():
        found.append({"name": name, "start_s": at_s, "end_s": at_s + took_s})
        at_s += took_s
    return found


def test_the_span_that_explains_most_is_named_first(make_run):
    base = make_run(spans=spans(load=1.0, train=4.0, eval=1.0))
    head = make_run(spans=spans(load=1.2, train=4.8, eval=1.0))
    parts = of_spans([(base, head)] * 3)
    assert [(part.name, round(part.share, 2)) for part in parts] == [("train", 0.8), ("load", 0.2)]
    assert (parts[0].base_s, parts[0].head_s) == (4.0, pytest.approx(4.8))


def test_runs_that_tell_of_no_spans_have_no_cause_in_them(make_run):
    pair = make_run(spans=spans(rest=1.0)), make_run(spans=spans(rest=2.0))
    assert of_spans([pair]) == []
    assert explain("span", {"a": 2.0}, {"a": 1.0}) == []  # not slower at all


def test_of_several_profiles_the_least_counts():
    assert least([{"f": 1.0, "g": 2.0}, {"f": 3.0}]) == {"f": 1.0, "g": 0.0}


@pytest.mark.parametrize("argv", [["python", "-u", "train.py", "3"], ["python3", "-m", "train", "3"]])
def test_a_python_script_is_profiled_by_its_functions(tmp_path, argv):
    (tmp_path / "train.py").write_text("import sys\ndef step(n): sum(range(n))\nstep(300_000 * int(sys.argv[1]))\n")
    command = profiled([sys.executable, *argv[1:]], tmp_path / "out")
    subprocess.run(command, cwd=tmp_path, check=True)
    found = function_seconds(tmp_path / "out", tmp_path)
    assert "step (train.py)" in found
    assert max(found, key=lambda name: found[name]) == "built-in method builtins.sum"


def test_what_is_no_python_script_is_not_profiled(tmp_path):
    for argv in (["./train"], ["python", "-c", "1"], ["python"], ["node", "train.js"]):
        assert profiled(argv, tmp_path / "out") is None
    (tmp_path / "out").write_bytes(b"\x00nonsense")
    assert function_seconds(tmp_path / "out", tmp_path) == {}
    assert function_seconds(tmp_path / "nowhere", tmp_path) == {}
