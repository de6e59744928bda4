"""Which sources a user's thing is made of, and their hash."""

from __future__ import annotations

import pytest

from bench.registry.own_code import OwnCode, names_in


def test_the_sources_are_the_file_and_what_it_imports_from_beside_it(own_repository):
    root = own_repository.root
    assert list(OwnCode.of(root / "models" / "cnn.py").files) == ["__init__.py", "cnn.py", "layers.py"]
    assert list(OwnCode.of(root / "train.py").files) == [
        "models/__init__.py", "models/cnn.py", "models/layers.py", "train.py",
    ]  # fmt: skip


def test_relative_nested_and_lazy_imports_are_followed_and_circles_end(tmp_path):
    (tmp_path / "pkg" / "deep").mkdir(parents=True)
    (tmp_path / "pkg" / "__init__.py").touch()
    (tmp_path / "pkg" / "net.py").write_text("from . import a\nfrom .deep.b import B\nimport torch, random\n")
    (tmp_path / "pkg" / "a.py").write_text("def f():\n    import pkg.c\n")
    (tmp_path / "pkg" / "c.py").write_text("from pkg import net\n")
    (tmp_path / "pkg" / "deep" / "b.py").write_text("from ..d import D\n")
    (tmp_path / "pkg" / "d.py").write_text("D = (\n")  # no Python, which importing it will tell
    (tmp_path / "random.py").touch()  # Python's own is meant
    (tmp_path / "pkg" / "unused.py").touch()
    assert set(OwnCode.of(tmp_path / "pkg" / "net.py").files) == {
        "__init__.py", "net.py", "a.py", "c.py", "d.py", "deep/b.py",
    }  # fmt: skip


def test_equal_sources_have_one_hash_wherever_they_lie_and_whatever_the_file_is_called(tmp_path):
    for folder, name in (("one", "net"), ("two/deep", "cnn")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / f"{name}.py").write_text("import layers\n")
        (tmp_path / folder / "layers.py").write_text("x = 1\n")
    one, two = (OwnCode.of(tmp_path / file) for file in ("one/net.py", "two/deep/cnn.py"))
    assert one.sha256 == two.sha256


@pytest.mark.parametrize("file", ["models/cnn.py", "models/layers.py", "models/__init__.py"])
def test_one_line_of_any_of_them_changes_the_hash(own_repository, file):
    net = own_repository.root / "models" / "cnn.py"
    before = OwnCode.of(net).sha256
    with open(own_repository.root / file, "a") as source:
        source.write("# a word more\n")
    assert OwnCode.of(net).sha256 != before


def test_what_lies_beside_but_is_not_imported_changes_nothing(own_repository):
    net = own_repository.root / "models" / "cnn.py"
    before = OwnCode.of(net).sha256
    own_repository.change("train.py", ": acc ", ": accuracy ")
    assert OwnCode.of(net).sha256 == before


def test_names_that_a_source_binds(tmp_path):
    file = tmp_path / "a.py"
    file.write_text(
        "import torch.nn, os as system\nfrom x import y as z\nA = B = 1\nC: int = 2\ndef f():\n    inside = 1\n"
        "class G: ...\ntry:\n    import fast\nexcept ImportError:\n    fast = None\nif A:\n    def h(): ...\n"
        "print(used)\n"
    )
    assert names_in(file) == {"torch", "system", "z", "A", "B", "C", "f", "G", "fast", "h"}
    for dynamic in ("from x import *\n", "globals()['N'] = 1\n"):
        file.write_text(dynamic)
        assert names_in(file) is None
