"""The packages of a side's Python, from real folders of installed packages."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.gate.packages import difference, installed


def install(folder: Path, name: str, version: str, direct_url: str | None = None) -> None:
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if direct_url is not None:
        (about / "direct_url.json").write_text(direct_url)


def test_the_packages_are_those_that_a_side_imports(tmp_path):
    side, first, second = (tmp_path / name for name in ("side", "first", "second"))
    install(side, "mine", "1.0")  # which its sources tell
    install(first, "Other_Package", "2.0")
    install(first, "in_development", "0.1.dev3", '{"url": "file:///a", "dir_info": {"editable": true}}')
    install(second, "other_package", "1.0")
    install(second, "one-more", "3.0")
    found = installed(sys.executable, side, {"PYTHONPATH": f"{side}:{first}:{second}"})
    assert (found["other-package"], found["one-more"]) == ("2.0", "3.0")
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert not {"mine", "in-development"} & found.keys()


def test_a_python_that_cannot_say_knows_nothing(tmp_path):
    assert installed("/bin/false", tmp_path, {}) == {}
    assert installed(tmp_path / "nothing", tmp_path, {}) == {}
    assert difference({}, {"numpy": "1.0"}) is None


def test_a_difference_names_a_few_packages():
    before, after = {"a": "1", "b": "1", "same": "1"}, {"a": "2", "c": "1", "d": "1", "e": "1", "same": "1"}
    assert difference(before, after) == "a 1 → 2, b 1 → none, c none → 1, d none → 1, and 1 more"
    assert difference(before, before) is None
