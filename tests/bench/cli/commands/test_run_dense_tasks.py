"""Segmentation and restoration from the command line, on noise: the record, the pictures, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from bench.runs.store import Store

NOISE = "name: random, shape: [3, 16, 16], train_count: 32, test_count: 8"
SHORT = ["--set", "batch_size=16", "--set", "epochs=2", "--set", "precision=fp32"]


@pytest.fixture(scope="module")
def folder(here, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with results of one training of each kind."""
    folder = tmp_path_factory.mktemp("dense")
    for name, targets, model in (
        ("unet", "classes", "{name: unet, widths: [8, 8]}"),
        ("superres_pixels", "images", "{name: image_unet, widths: [8, 8]}"),
        ("restore_gan", "images", "{name: unet_gan, widths: [8, 16], critic_width: 4, critic_blocks: 1}"),
    ):
        data = f"data={{{NOISE}, targets: {targets}}}"
        settings = ["--set", data, "--set", f"model={model}", "--set", "augment.shift_pixels=0"]
        if name == "restore_gan":
            settings += ["--set", "task.features=null"]
        answer = here(folder, "run", name, *SHORT, *settings)
        assert answer.code == 0, answer.out + answer.err
    return folder


@pytest.fixture(scope="module")
def runs(folder):
    return {run.recipe: run for run in Store(folder / "results" / "runs" / "runs.jsonl").read()}


@pytest.mark.parametrize(
    ("recipe", "quality", "others"),
    [
        ("unet", "pixel_accuracy", {"edge_accuracy", "mean_iou"}),
        ("superres_pixels", "psnr_db", {"sharpness", "damaged_psnr_db"}),
        ("restore_gan", "psnr_db", {"sharpness", "damaged_psnr_db"}),
    ],
)
def test_the_record_has_the_quality_after_each_epoch(runs, recipe, quality, others):
    run = runs[recipe]
    assert run.status == "ok"
    assert run.config["resolved"]["quality"] == {"name": quality, "better": "higher"}
    assert all(quality in row for row in run.epochs)
    assert run.epochs[-1][quality] == run.metrics[quality]
    assert others <= run.metrics.keys()


def test_pictures_of_before_and_after_are_beside_the_log(folder, runs):
    for run in runs.values():
        kept = run.config["resolved"]["pictures"]
        assert [(one["name"], one["epoch"]) for one in kept] == [("before_after", 1), ("before_after", 2)]
        with Image.open(folder / "results" / kept[-1]["file"]) as picture:
            assert picture.size == (3 * 98 + 2, 8 * 98 + 2)


def test_the_gan_says_how_often_each_net_was_stepped(runs):
    steps = [(row["generator_steps"], row["critic_steps"]) for row in runs["restore_gan"].epochs]
    # Of four batches the first is the generator's, the second the critic's; then the switch decides.
    assert steps[0] == (1, 1)
    assert sum(steps[1]) == 2


def mine(folder: Path, *, images: int) -> Path:
    for kind, mode in (("images", "RGB"), ("masks", "L")):
        (folder / "mine" / kind).mkdir(parents=True)
        for number in range(images):
            Image.new(mode, (16, 16), number % 2 if mode == "L" else (9, 9, 9)).save(
                folder / "mine" / kind / f"{number}.png"
            )
    return folder / "mine"


def test_a_folder_with_one_image_is_refused_before_training(here, tmp_path):
    data = f"data={{name: {mine(tmp_path, images=1)}, held_out: 1}}"
    answer = here(tmp_path, "run", "unet", "--set", data, "--set", "model.widths=[8, 8]")
    assert answer.code == 3
    assert "mine/images holds 1 images; it needs 2 at least" in answer.err
    assert "Traceback" not in answer.err
