"""A room imports only rooms below it, and the table of CONTRIBUTING.md is made from the same list."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.rooms import ROOMS, ROOT, Import, circle, imports, is_upward, room_of, table


def test_no_room_imports_one_above_it():
    found = [f"{one.importer}:{one.line} imports {one.imported}" for one in imports() if is_upward(one)]
    assert found == []


def test_every_room_is_there_and_every_file_is_in_one():
    assert [room for room in ROOMS if not (ROOT / room).is_dir()] == []
    assert {room_of(one.importer) for one in imports()} <= set(ROOMS)
    loose = {path.name for path in (ROOT / "bench").glob("*.py")}
    assert loose == {"__init__.py", "__main__.py", "about.py", "errors.py", "events.py", "files.py"}


@pytest.mark.parametrize(
    ("importer", "text"),
    [
        ("bench/runs/store.py", "from bench.cli.app import main"),
        ("bench/training/loop.py", "def later():\n    from bench.measures import base"),
        ("bench/host/clock.py", "if TYPE_CHECKING:\n    import bench.runs.run"),
        ("models/speedrun.py", "from bench.training import loop"),
        ("pipelines/loader.py", "from bench import models"),
        ("bench/errors.py", "from bench.text import units"),
    ],
)
def test_an_import_upwards_is_found(tmp_path: Path, importer: str, text: str):
    for name in (
        "bench/cli/app",
        "bench/measures/base",
        "bench/runs/run",
        "bench/training/loop",
        "models/__init__",
        "bench/text/units",
    ):
        (tmp_path / f"{name}.py").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.py").touch()
    (tmp_path / importer).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / importer).write_text(text)
    found = [one for one in imports(tmp_path) if one.importer == Path(importer)]
    assert [is_upward(one) for one in found] == [True]


def test_an_import_downwards_is_none():
    assert not is_upward(Import(Path("bench/cli/app.py"), 1, Path("bench/runs/run.py")))


def test_no_modules_import_each_other_in_a_circle():
    """Neither at run time nor lazily nor for types alone."""
    assert circle(imports()) == []


def test_a_circle_is_found(tmp_path: Path):
    for name, text in {
        "step": "from bench.training import loop",
        "loop": "def later():\n    from bench.training.goal import Goal",
        "goal": "if TYPE_CHECKING:\n    import bench.training.step",
    }.items():
        (tmp_path / "bench/training").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"bench/training/{name}.py").write_text(text)
    found = circle(imports(tmp_path))
    assert len(found) == 4
    assert found[0] == found[-1]


def test_the_table_for_readers_is_made_from_the_list():
    assert table() in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
