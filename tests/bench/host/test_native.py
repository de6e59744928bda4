from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import sys

import pytest

from bench.errors import MissingError
from bench.host import native

pytestmark = pytest.mark.usefixtures("cxx")
SOURCE = 'extern "C" int answer() { return 42; }\n'


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "answer.cpp"
    file.write_text(SOURCE)
    native.load.cache_clear()
    yield file
    native.load.cache_clear()


def kept(tmp_path):
    return sorted((tmp_path / "cache" / "bench-to-accuracy" / "native").glob("*.so"))


def load_elsewhere(source):
    """What a process of its own prints."""
    code = "import sys, pathlib, bench.host.native as n; print(n.load(pathlib.Path(sys.argv[1])).answer())"
    return subprocess.run([sys.executable, "-c", code, source], capture_output=True, text=True, check=True).stdout


def test_it_is_compiled_once_and_kept(source, tmp_path):
    library = native.load(source)
    assert isinstance(library, ctypes.CDLL)
    assert library.answer() == 42
    (file,) = kept(tmp_path)
    compiled = file.stat().st_mtime_ns
    assert load_elsewhere(source) == "42\n"
    assert [each.stat().st_mtime_ns for each in kept(tmp_path)] == [compiled]


def test_another_source_is_another_library(source, tmp_path):
    assert native.load(source).answer() == 42
    native.load.cache_clear()
    source.write_text(SOURCE.replace("42", "43"))
    assert native.load(source).answer() == 43
    assert len(kept(tmp_path)) == 2


def test_a_header_beside_it_is_part_of_it(source, tmp_path):
    source.write_text('#include "answer.h"\n' + SOURCE.replace("42", "ANSWER"))
    for answer in (42, 43):
        (tmp_path / "answer.h").write_text(f"#define ANSWER {answer}\n")
        native.load.cache_clear()
        assert native.load(source).answer() == answer
    assert len(kept(tmp_path)) == 2


def test_a_compiler_may_be_several_words(source, monkeypatch):
    (compiler, *_) = native._compiler()
    monkeypatch.setenv("CXX", f"env {compiler} -DANSWER=43")
    source.write_text(SOURCE.replace("42", "ANSWER"))
    assert native.load(source).answer() == 43


def test_what_the_compiler_says_is_told(source, tmp_path):
    source.write_text("this is no C++\n")
    with pytest.raises(MissingError, match=r"failed: .*answer\.cpp:1:1: error"):
        native.load(source)
    assert kept(tmp_path) == []


@pytest.mark.parametrize("damage", ["torn", "empty", "truncated", "another", "no checksum", "pipe", "checksum torn"])
def test_a_library_that_is_damaged_is_compiled_again(source, tmp_path, damage):
    load_elsewhere(source)  # this process would find it open
    (file,) = kept(tmp_path)
    whole, checksum = file.read_bytes(), file.with_suffix(".sha256")
    file.unlink()
    if damage == "pipe":
        os.mkfifo(file)
    elif damage == "no checksum":
        checksum.unlink()
        file.write_bytes(whole)
    elif damage == "checksum torn":
        checksum.write_bytes(b"\xff")
        file.write_bytes(whole)
    else:
        file.write_bytes({"torn": b"torn", "empty": b"", "truncated": whole[:4096], "another": whole + b"\0"}[damage])
    assert load_elsewhere(source) == "42\n"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == checksum.read_text()


def test_what_ran_is_known_by_its_hash(source, tmp_path):
    native.load(source)
    (file,) = kept(tmp_path)
    assert native.SHA256_OF_LOADED["answer.cpp"] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_nobody_else_can_plant_one(source, tmp_path):
    folder = tmp_path / "cache" / "bench-to-accuracy" / "native"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    native.load(source)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_cache_that_cannot_be_written_is_said_to_be(source, tmp_path):
    (tmp_path / "cache").write_text("a file, no folder")
    with pytest.raises(MissingError, match=r"could not be compiled or loaded: .*Not a directory"):
        native.load(source)


def test_without_a_home_there_is_nowhere_to_keep_it(source, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as for a user that the system has no entry for
    with pytest.raises(MissingError, match=r"could not be compiled or loaded: Could not determine home directory"):
        native.load(source)


def test_without_a_compiler(source, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(MissingError, match=r"no C\+\+ compiler: c\+\+, g\+\+, clang\+\+ not found"):
        native.load(source)
