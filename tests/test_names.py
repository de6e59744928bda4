"""One name means one thing: no two public classes of the project share one."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

from tools.rooms import ROOT


def public_classes(root: Path) -> dict[str, list[str]]:
    """The places of each top-level class whose name does not begin with an underscore."""
    places = defaultdict(list)
    for folder in ("bench", "models", "pipelines", "tools"):
        for path in sorted((root / folder).rglob("*.py")):
            if any((root / parent).is_symlink() for parent in path.relative_to(root).parents):
                continue
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places[node.name].append(f"{path.relative_to(root)}:{node.lineno}")
    return places


def test_no_two_public_classes_share_a_name():
    assert {name: places for name, places in public_classes(ROOT).items() if len(places) > 1} == {}


def test_two_classes_of_one_name_are_found(tmp_path: Path):
    for name in ("bench/a.py", "tools/b.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("class Twice: ...\nclass _Private: ...\n")
    assert {name: len(places) for name, places in public_classes(tmp_path).items()} == {"Twice": 2}
