"""`bench run` in a user's repository: her network, her data, her recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.errors import UsageError
from bench.spec import recipes
from bench.training.optimizers import own
from bench.training.registries import OPTIMIZERS
from tests import command

SHORT = ("--set", "epochs=1", "--set", "data.train_count=200")


def bench(*arguments: str, cwd: Path, code: int = 0, **environment: str) -> str:
    """What a command says in a folder; its exit code is `code`."""
    ran = command.bench(*arguments, cwd=cwd, **environment)
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def last_run(cwd: Path) -> dict[str, Any]:
    run: dict[str, Any] = json.loads((cwd / "results" / "runs" / "runs.jsonl").read_text().splitlines()[-1])
    return run


def test_her_network_is_timed_to_an_accuracy_by_her_recipe(own_repository):
    said = bench("run", "recipe.yaml", cwd=own_repository.root)
    run = last_run(own_repository.root)
    assert "recipe: cnn.py:Cnn on shapes.npz to 90.00 %" in said
    assert (run["status"], run["metrics"]["accuracy"] > 0.9, run["data"]["official"]) == ("ok", True, None)
    assert run["data"]["name"] == f"shapes-{run['data']['fingerprint'][:8]}"
    assert [(own["kind"], own["path"]) for own in run["code"]["own"]] == [
        ("model", "models/cnn.py"),
        ("data set", f"{own_repository.root}/shapes.npz"),
    ]
    assert str(own_repository.root) not in json.dumps(run["config"])
    board = bench("leaderboard", "results/runs/runs.jsonl", "--rule", "coldstart", cwd=own_repository.root)
    assert "1 runs" in board or "recipe" in board
    assert own_repository.git("status", "--porcelain") == "?? results/"


@pytest.mark.slow  # two trainings by commands of their own, because a record is what a command leaves
def test_an_installed_package_and_a_file_of_equal_source_give_one_record_but_for_the_path(own_repository):
    root = own_repository.root
    net = (root / "models" / "cnn.py").read_text().replace("from models.layers", "from .layers")
    site = root.parent / "site-packages"
    for folder in (site / "shapes_kit", root / "nets"):
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        (folder / "cnn.py").write_text(net)
        (folder / "layers.py").write_text((root / "models" / "layers.py").read_text())
    info = site / "shapes_kit-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shapes-kit\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[bench.models]\nshapes_net = shapes_kit.cnn:Cnn\n")
    runs = []
    for name in ("shapes_net", "nets/cnn.py:Cnn"):
        bench("run", "recipe.yaml", *SHORT, "--set", f"model={name}", cwd=root, code=1, PYTHONPATH=str(site))
        runs.append(last_run(root))
        runs[-1]["config"].pop("resolved")  # the moment of its process' start stands in it
    package, file = runs
    assert [run["code"]["own"][0].pop("path") for run in runs] == ["shapes_kit/cnn.py", "nets/cnn.py"]
    for part in ("cell", "config", "code", "data", "recipe", "versions"):
        assert package[part] == file[part], part
    assert package["metrics"]["accuracy"] == file["metrics"]["accuracy"]


def test_one_line_of_hers_changes_the_cell_and_the_codes_identity(own_repository):
    def identity() -> tuple[str, str]:
        recipe = recipes.load(str(own_repository.root / "recipe.yaml"), "cpu", [])
        return recipes.identify(recipe.config(), "cpu", "throughput")[1], recipe.own_things()[0]["sources_sha256"]

    before = identity()
    assert identity() == before
    with open(own_repository.root / "models" / "layers.py", "a") as source:
        source.write("# one line more\n")
    after = identity()
    assert after[0] != before[0]
    assert after[1] != before[1]


def test_everything_of_her_own_in_one_recipe(own_repository):
    root = own_repository.root
    (root / "kit.py").write_text(
        "import torch\nfrom bench.pipelines.loaders.resident import ResidentLoader\n"
        "from bench.measures.time_to_accuracy import TimeToAccuracy\n"
        "class Slow(torch.optim.SGD):\n"
        "    def __init__(self, params, lr: float, slowness: float = 1.0):\n"
        "        super().__init__(params, lr=lr / slowness)\n"
        "def halves(steps: int = 2): return lambda progress: 0.5 ** int(progress * steps)\n"
        "def noise(amount: float = 0.1): return lambda images: images + amount * torch.randn_like(images)\n"
        "class Loader(ResidentLoader): ...\nclass Twice(TimeToAccuracy): ...\n"
        "def load():\n    import numpy\n    return dict(numpy.load('shapes.npz'))\n"
    )
    settings = [
        "data={name: 'kit.py:load', train_count: 300}", "loader=kit.py:Loader", "epochs=1",
        "optimizer={name: 'kit.py:Slow', lr: 0.1, slowness: 2.0}", "schedule={name: 'kit.py:halves', steps: 4}",
        "augment.then=[{name: 'kit.py:noise', amount: 0.2}]",
    ]  # fmt: skip
    arguments = [text for setting in settings for text in ("--set", setting)]
    bench("run", "recipe.yaml", "--measure", "kit.py:Twice", *arguments, cwd=root, code=1)
    run = last_run(root)
    assert run["measure"] == "Twice"
    kinds = ["model", "data set", "loader", "measure", "optimizer", "schedule", "augmentation"]
    assert [own["kind"] for own in run["code"]["own"]] == kinds
    assert run["config"]["optimizer"]["slowness"] == 2.0
    assert str(root) not in json.dumps(run["config"])
    with pytest.raises(
        UsageError, match=r"optimizer kit.py:Slow has no option 'slownes' \(did you mean 'slowness'\?\)"
    ):
        own(OPTIMIZERS.find(f"{root}/kit.py:Slow"), [{"params": [torch.nn.Parameter()], "lr": 0.1, "slownes": 3}])


def test_errors_of_hers_are_one_message_with_her_frames_and_no_record(own_repository):
    own_repository.change("models/cnn.py", "self.blocks(images)", "self.block(images)")
    said = bench("run", "recipe.yaml", cwd=own_repository.root, code=2)
    assert "cnn.py:Cnn: an error in your code" in said
    assert said.count("  File ") == 1
    assert "in forward" in said
    assert "AttributeError: 'Cnn' object has no attribute 'block'" in said
    assert (own_repository.root / "results" / "runs" / "runs.jsonl").read_text() == ""


def test_a_matrix_names_files_from_its_own_folder(own_repository):
    nested = own_repository.root / "bench"
    nested.mkdir()
    (nested / "widths.yaml").write_text(
        "recipe: ../recipe.yaml\naxes:\n  model: ['../models/cnn.py:Cnn', 'wide.py:wide']\n"
        "set: {epochs: 1, data.train_count: 200}\n"
    )
    (nested / "wide.py").write_text(
        "from models import Cnn\ndef wide(num_classes): return Cnn(num_classes, width=32)\n"
    )
    said = bench("sweep", "bench/widths.yaml", cwd=own_repository.root, code=1)
    lines = (own_repository.root / "results" / "runs" / "runs.jsonl").read_text().splitlines()
    runs = [json.loads(line) for line in lines]
    assert [run["config"]["model"]["name"] for run in runs] == ["Cnn", "wide"], said
    assert [run["status"] for run in runs] == ["not_reached"] * 2
