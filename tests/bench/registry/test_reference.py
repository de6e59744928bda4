"""Names of things that are not bench's own."""

from __future__ import annotations

import pytest

from bench.errors import UsageError
from bench.registry.reference import Reference, anchored_document, anchored_values, is_path, label, object_name, parse


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("net.py:Cnn", Reference("net.py", "Cnn", True)),
        ("../nets/my net.py:make_2", Reference("../nets/my net.py", "make_2", True)),
        ("package.module:Name", Reference("package.module", "Name", False)),
        ("module:name", Reference("module", "name", False)),
        ("resnet9", None),
        ("net.py", None),
        ("net.py:", None),
        ("net.py:1st", None),
        ("a.b:c:d", None),
        ("http://host/net.py:Cnn", None),
    ],
)
def test_a_file_or_a_module_with_a_name_is_a_reference(text, reference):
    assert parse(text) == reference


def test_a_path_of_data_has_a_slash_or_is_an_npz():
    assert [text for text in ("./photos", "photos/", "/data/x", "x.npz", ".", "..") if not is_path(text)] == []
    assert [
        text for text in ("cifar10", "photos", "data.py:load", "../data.py:load", "a.b:load") if is_path(text)
    ] == []


def test_files_count_from_the_folder_of_the_document_and_prose_stays(tmp_path):
    values = {
        "summary": "net.py:Cnn",
        "model": {"name": "nets/cnn.py:Cnn", "width": 8},
        "data": "./photos",
        "optimizer": {"groups": {"head": {"name": "lion.py:Lion"}}},
        "augment": {"then": ["noise.py:Noise"]},
        "data.name": "x.npz",
        "loader": "resident",
    }
    assert anchored_values(values, tmp_path, prose=("summary",)) == {
        "summary": "net.py:Cnn",
        "model": {"name": f"{tmp_path}/nets/cnn.py:Cnn", "width": 8},
        "data": f"{tmp_path}/photos",
        "optimizer": {"groups": {"head": {"name": f"{tmp_path}/lion.py:Lion"}}},
        "augment": {"then": [f"{tmp_path}/noise.py:Noise"]},
        "data.name": f"{tmp_path}/x.npz",
        "loader": "resident",
    }


def test_a_module_beside_the_document_is_a_file_and_another_one_stays_a_module(own_repository):
    nested = own_repository.root / "recipes"
    nested.mkdir()
    for folder in (own_repository.root, nested):  # from the top of the repository, too
        found = anchored_values({"model": "models.cnn:Cnn"}, folder)
        assert found == {"model": f"{own_repository.root}/models/cnn.py:Cnn"}
    assert anchored_values({"model": "torchvision.models:resnet18"}, nested) == {"model": "torchvision.models:resnet18"}


def test_a_file_outside_the_repository_is_refused(own_repository):
    outside = own_repository.root.parent / "net.py"
    outside.write_text("class Cnn: ...\n")
    (own_repository.root / "link.py").symlink_to(outside)
    for name in ("../net.py:Cnn", f"{outside}:Cnn", "link.py:Cnn"):
        with pytest.raises(
            UsageError,
            match=r"recipe.yaml:model: model: .* is outside the repository .* so another checkout of it would lack",
        ):
            anchored_document({"model": name}, own_repository.root, "recipe.yaml:{}".format)
        assert anchored_values({"model": name}, own_repository.root)  # as typed, for this machine alone
    assert anchored_document({"model": "net.py:Cnn"}, own_repository.root.parent, str)  # which is in no repository


def test_a_label_leaves_out_the_folders():
    assert [label(name) for name in ("/a/b/net.py:Cnn", "/a/photos", "x.npz", "resnet9", "a.b:C")] == [
        "net.py:Cnn", "photos", "x.npz", "resnet9", "a.b:C",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "called"), [("nets/my.py:Net", "Net"), ("my.nets:Net", "Net"), ("time_to_accuracy", "time_to_accuracy")]
)
def test_what_a_reference_names_is_called_without_its_place(name, called):
    assert object_name(name) == called
