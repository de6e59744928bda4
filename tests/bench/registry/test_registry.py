"""Finding and importing things: bench's own, installed packages', and those in users' files."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.errors import MissingError, UsageError
from bench.registry.registry import Info, Registry

MODELS = Registry("model", "models", {"resnet9": Info("bench.errors:UsageError", "a stand-in")})


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on the path as of installed packages, to which `install` adds one with entry points."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)

    def install(package: str, source: str, *entry_points: str) -> None:
        (folder / package).mkdir()
        (folder / package / "__init__.py").touch()
        (folder / package / "net.py").write_text(source)
        info = folder / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[bench.models]\n" + "\n".join(entry_points) + "\n")

    yield install
    for name in [name for name in sys.modules if name.startswith("kit_")]:
        del sys.modules[name]


def registry() -> Registry[Info]:
    return Registry("model", "models", {"resnet9": Info("bench.errors:UsageError", "a stand-in")})


def refusal(name, error=UsageError) -> str:
    with pytest.raises(error) as caught:
        registry().load(name)
    return str(caught.value)


def test_one_of_benchs_own_is_itself():
    found = MODELS.find("resnet9")
    assert (found.load(), found.identity, found.own) == (UsageError, "resnet9", None)


def test_an_entry_point_and_a_file_of_equal_source_are_one_thing_but_for_the_path(site, tmp_path):
    source = "class Cnn:\n    width = 8\n"
    site("kit_a", source, "shapes_net = kit_a.net:Cnn")
    (tmp_path / "net.py").write_text(source)
    point, module, file = (
        registry().find(name) for name in ("shapes_net", "kit_a.net:Cnn", f"{tmp_path / 'net.py'}:Cnn")
    )
    assert point.identity == module.identity == file.identity
    assert point.load() is module.load()
    assert (point.load().width, file.load().width) == (8, 8)
    assert (point.own.shown, file.own.shown) == ("kit_a/net.py", str(tmp_path / "net.py"))
    (tmp_path / "net.py").write_text(source.replace("8", "9"))
    assert registry().find(f"{tmp_path / 'net.py'}:Cnn").identity != point.identity


def test_a_mistake_in_a_name_names_the_nearest_three_and_the_command_that_lists_all(site):
    site("kit_b", "A = 1\n", *(f"resnet9{letter} = kit_b.net:A" for letter in "abcdef"))
    said = refusal("resnet9x")
    assert said.startswith("unknown model 'resnet9x' (did you mean 'resnet9")
    assert said.count("resnet9") == 4
    assert "`bench list models` lists all 7; name your own as path/to/file.py:Name or package.module:Name" in said


def test_two_packages_of_one_name_are_refused_unless_they_mean_the_same_thing(site):
    site("kit_c", "A = 1\n", "same = kit_c.net:A", "mine = kit_c.net:A")
    site("kit_d", "B = 1\n", "same = kit_d.net:B", "mine = kit_c.net:A")
    assert "'same' is offered by two packages: kit_c (kit_c.net:A) and kit_d (kit_d.net:B)" in refusal("same")
    assert registry().load("mine") == 1


def test_an_entry_point_that_raises_shows_its_own_frames_and_no_others(site):
    site("kit_e", "def make():\n    return 1 / 0\nA = make()\n", "broken = kit_e.net:A")
    said = refusal("broken").splitlines()
    assert said[0] == "kit_e/net.py: an error in your code"
    frames = [line.split(", ", 1)[1] for line in said if line.startswith("  File")]
    assert frames == ["line 3, in <module>", "line 2, in make"]
    assert said[-1] == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    ("source", "name", "said"),
    [
        ("class Cnn: ...\n", "Cnm", "net.py has no 'Cnm' .did you mean 'Cnn'.."),
        ("class Cnn(:\n", "Cnn", r"net.py:1: this is not Python: .*class Cnn\(:"),
        ("from x import *\n", "Cnn", "net.py needs the package x, which is not installed here; install it for"),
        ("import notthere\nclass Cnn: ...\n", "Cnn", "net.py needs the package notthere, .*line 1, in <module>"),
        ("import os\nos._x\nclass Cnn: ...\n", "Cnn", "(?s)an error in your code.*line 2.*AttributeError"),
        ("raise SystemExit(3)\nclass Cnn: ...\n", "Cnn", "(?s)SystemExit: 3.*if __name__ == '__main__':"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_message(tmp_path, source, name, said):
    (tmp_path / "net.py").write_text(source)
    with pytest.raises((UsageError, MissingError), match=f"(?s){said}") as caught:
        registry().load(f"{tmp_path / 'net.py'}:{name}")
    assert isinstance(caught.value, MissingError) == ("needs the package" in said)


def test_a_file_or_module_that_is_not_there(tmp_path):
    (tmp_path / "net.py").touch()
    assert refusal(f"{tmp_path}/nets.py:Cnn") == f"there is no file {tmp_path}/nets.py (did you mean 'net.py'?)"
    assert "there is no module 'nothing.here'" in refusal("nothing.here:Cnn")


def test_her_own_package_models_is_imported_beside_ours(own_repository):
    from bench import models as ours

    net = MODELS.load(f"{own_repository.root}/models/cnn.py:Cnn")
    assert net.__module__ == "models.cnn"
    assert net(num_classes=7).head.out_features == 7
    assert sys.modules["bench.models"] is ours
    assert sys.modules["models"].Cnn is net


def test_two_users_files_with_neighbours_of_one_name_each_have_their_own(tmp_path):
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "net.py").write_text("import layers\nwidth = layers.width\n")
        (folder / "layers.py").write_text(f"width = {number}\n")
    assert [MODELS.load(f"{tmp_path}/{number}/net.py:width") for number in (1, 2)] == [1, 2]


def test_a_neighbour_may_be_imported_when_it_is_first_needed(tmp_path):
    (tmp_path / "net.py").write_text("def width():\n    import wide_neighbour\n    return wide_neighbour.width\n")
    (tmp_path / "wide_neighbour.py").write_text("width = 3\n")
    assert MODELS.load(f"{tmp_path}/net.py:width")() == 3


def test_a_source_changed_in_the_same_second_is_not_run_from_old_bytecode_and_none_is_left_behind(tmp_path):
    (tmp_path / "net.py").write_text("import layers\nwidth = layers.width\n")
    code = f"from tests.bench.registry.test_registry import MODELS; print(MODELS.load('{tmp_path}/net.py:width'))"
    said = []
    for width in (1, 2):
        (tmp_path / "layers.py").write_text(f"width = {width}\n")
        said.append(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert said == ["1\n", "2\n"]
    assert not list(tmp_path.rglob("*.pyc"))


def test_finding_imports_nothing_of_the_users(tmp_path):
    (tmp_path / "net.py").write_text("import torch\nraise RuntimeError\nclass Cnn: ...\n")
    assert MODELS.find(f"{tmp_path}/net.py:Cnn").identity["name"] == "Cnn"
