from __future__ import annotations

import compileall
import importlib.util
import marshal
import py_compile
import shutil
import time
from pathlib import Path

import pytest

import bench
from bench.host import bytecode
from bench.host.bytecode import Bytecode
from bench.host.source_paths import PACKAGES


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for name in ("bench/a.py", "models/b.py"):
        path = root / name
        path.parent.mkdir(parents=True)
        path.write_text(f"name = {name!r}\n")
    return root


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the sources that are compiled to compare them."""
    names = []
    would_run = bytecode._would_run_other_code

    def told(text: bytes, source: Path, compiled: Path) -> bool:
        names.append(source.name)
        return would_run(text, source, compiled)

    monkeypatch.setattr(bytecode, "_would_run_other_code", told)
    monkeypatch.setattr(bytecode, "SETTLED_NS", 0)
    return names


@pytest.mark.parametrize("mode", py_compile.PycInvalidationMode)
def test_a_compiled_module_is_held_against_its_source(project: Path, mode: py_compile.PycInvalidationMode) -> None:
    source = project / "models" / "b.py"
    bytecode = Bytecode(project)
    assert bytecode.not_of_its_source() == []
    py_compile.compile(str(source), invalidation_mode=mode)
    assert bytecode.not_of_its_source() == []
    compiled = Path(importlib.util.cache_from_source(str(source)))
    head = compiled.read_bytes()[:16]
    time.sleep(0.02)  # a file system's clock ticks a hundred times a second
    compiled.write_bytes(head + marshal.dumps(compile("b = 3", "b.py", "exec")))
    assert bytecode.not_of_its_source() == ["models/b.py"]
    compiled.write_bytes(head + b"torn")
    assert Bytecode(project).not_of_its_source() == ["models/b.py"]
    # What Python does not believe does not run.
    compiled.write_bytes(b"\0\0\0\0" + head[4:] + b"torn")
    assert Bytecode(project).not_of_its_source() == []


def test_the_running_sources_compile_to_what_python_keeps_of_them(tmp_path: Path) -> None:
    root = Path(bench.__file__).parents[1]
    for package in PACKAGES:
        shutil.copytree(root / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(tmp_path, quiet=2)
    assert Bytecode(tmp_path).not_of_its_source() == []


def test_a_later_command_examines_only_what_has_changed_since(project: Path, examined: list[str]) -> None:
    compileall.compile_dir(project, quiet=2)
    assert Bytecode(project).not_of_its_source() == []
    assert sorted(examined) == ["a.py", "b.py"]
    examined.clear()
    assert Bytecode(project).not_of_its_source() == []
    assert examined == []
    time.sleep(0.02)  # a file system's clock ticks a hundred times a second
    compiled = Path(importlib.util.cache_from_source(str(project / "models" / "b.py")))
    compiled.write_bytes(compiled.read_bytes()[:16] + marshal.dumps(compile("b = 3", "b.py", "exec")))
    for _ in range(2):  # what is wrong is not kept
        assert Bytecode(project).not_of_its_source() == ["models/b.py"]
        assert examined == ["b.py"]
        examined.clear()


def test_what_has_just_changed_is_examined_again(project: Path, examined: list[str], monkeypatch) -> None:
    monkeypatch.setattr(bytecode, "SETTLED_NS", 3600 * 10**9)
    compileall.compile_dir(project, quiet=2)
    for _ in range(2):
        assert Bytecode(project).not_of_its_source() == []
    assert len(examined) == 4


@pytest.mark.parametrize("content", [b"", b"torn", b'{"a": "b"}', b"[]"])
def test_a_damaged_list_counts_as_none(project: Path, examined: list[str], cache: Path, content: bytes) -> None:
    compileall.compile_dir(project, quiet=2)
    Bytecode(project).not_of_its_source()
    (kept,) = cache.rglob("*.json")
    kept.write_bytes(content)
    assert Bytecode(project).not_of_its_source() == []
    assert len(examined) == 4


def test_without_a_cache_everything_is_examined(project: Path, examined: list[str], cache: Path) -> None:
    (cache / "bench-to-accuracy").write_text("no folder")
    compileall.compile_dir(project, quiet=2)
    for _ in range(2):
        assert Bytecode(project).not_of_its_source() == []
    assert len(examined) == 4
