"""A user's data in files: an .npz, or a folder of images a class."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.pipelines.datasets import load_dataset, locate
from bench.pipelines.datasets.own import content_sha256
from bench.pipelines.errors import DataCorrupt, DataMissing, WrongOption

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (12, 3, 6, 5), np.uint8)
LABELS = np.arange(12) % 3


def npz(folder: Path, **arrays: object) -> str:
    np.savez(folder / "shapes.npz", **arrays)
    return str(folder / "shapes.npz")


def splits(images: object = IMAGES, labels: object = LABELS) -> dict[str, object]:
    return {"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}


def pictures(
    folder: Path, *, mode: str = "RGB", classes: Iterable[str] = "ab", count: int = 3, size: tuple[int, int] = (6, 4)
):
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.new(mode, size, 80 * label + number).save(folder / name / f"{number}.png")
    return str(folder)


class TestNpz:
    @pytest.mark.parametrize(
        "names",
        [
            "train_images train_labels test_images test_labels",
            "train_x train_y test_x test_y",
            "x_train y_train x_test y_test",
        ],
    )
    def test_by_the_names_that_most_give_the_arrays(self, tmp_path, names):
        data = load_dataset(npz(tmp_path, **dict(zip(names.split(), splits().values(), strict=True)), extra=[1]))
        assert (data.image_shape, data.classes, len(data.train), len(data.test)) == ((3, 6, 5), 3, 12, 12)
        assert data.official is None
        assert data.name == f"shapes-{data.fingerprint[:8]}"
        assert np.allclose(data.mean, IMAGES.mean((0, 2, 3)) / 255)
        assert np.allclose(data.std, IMAGES.std((0, 2, 3)) / 255)

    @pytest.mark.parametrize(
        "images",
        [
            IMAGES.transpose(0, 2, 3, 1),
            IMAGES.transpose(0, 2, 3, 1).astype(np.int64),
            (IMAGES / 255).astype(np.float32),
        ],
    )
    def test_every_usual_form_of_the_same_pixels_is_the_same_data(self, tmp_path, images):
        expected = load_dataset(npz(tmp_path, **splits())).fingerprint
        assert load_dataset(npz(tmp_path, **splits(images))).fingerprint == expected
        assert load_dataset(npz(tmp_path, **splits(images, LABELS[:, None]))).fingerprint == expected

    def test_any_size_and_count_of_channels(self, tmp_path):
        assert load_dataset(npz(tmp_path, **splits(IMAGES[:, 0]))).image_shape == (1, 6, 5)
        spectral = RNG.integers(0, 256, (12, 7, 9, 11), np.uint8)
        assert load_dataset(npz(tmp_path, **splits(spectral))).image_shape == (7, 9, 11)
        options = {"layout": "NHWC"}
        assert load_dataset(npz(tmp_path, **splits(spectral)), options=options).image_shape == (11, 7, 9)

    def test_without_a_test_split_images_of_all_classes_are_held_out(self, tmp_path):
        labels = np.repeat([0, 1], 500)  # sorted, as files often are
        path = npz(tmp_path, images=np.zeros((1000, 4, 4), np.uint8), labels=labels)
        data = load_dataset(path, options={"held_out": 100})
        assert (len(data.train), len(data.test)) == (900, 100)
        assert 30 < data.test.labels.sum() < 70
        assert load_dataset(path, options={"held_out": 100}).fingerprint == data.fingerprint
        with pytest.raises(WrongOption, match="shapes has no test images; say how many to hold out of the 1,000"):
            load_dataset(path)

    @pytest.mark.parametrize(
        ("arrays", "said"),
        [
            ({"pixels": [1]}, "holds pixels; it needs train_images, train_labels, test_images, test_labels; or"),
            (splits(labels=LABELS / 2), "labels are float64, numbers to be predicted; .* Regression is not supported"),
            (splits(labels=np.eye(12, dtype=int)), r"labels are int64 \[12, 12\]; give one whole class number"),
            (splits(labels=LABELS[:5]), "12 images and 5 labels"),
            (splits(labels=LABELS - 1), "labels run from -1; number the classes from 0"),
            (splits(labels=LABELS + 1900), r"labels run to 1,902, but 1,900 of .* never occur \(0, 1, 2, 3, 4, …\)"),
            (splits(labels=LABELS * 0), "all labels are 0"),
            (splits(labels=np.array(["cat"] * 12)), "labels are <U3"),
            (splits(IMAGES.astype(float)), "pixels are float64 from 0 to 255; .* Leave normalising to bench"),
            (splits(IMAGES - 128.0), "pixels are float64 from -128"),
            (splits(IMAGES[0]), None),
            (splits(IMAGES[:, 0, 0]), r"images are \[12, 5\]; give \[N, C, H, W\]"),
            (splits() | {"test_images": IMAGES[:, :, :3]}, r"images are \[3, 6, 5\] in train and \[3, 3, 5\] in test"),
            (splits() | {"train_images": np.array([{}, 1], object)}, "is not a readable .npz: .*allow_pickle"),
        ],
    )
    def test_what_cannot_be_used_is_one_message(self, tmp_path, arrays, said):
        with pytest.raises(DataCorrupt, match=said or "images and 12 labels"):
            load_dataset(npz(tmp_path, **arrays))

    def test_files_that_are_none(self, tmp_path):
        with pytest.raises(DataMissing, match=r"There is no file .*x.npz; a recipe's data is looked for from"):
            load_dataset(str(tmp_path / "x.npz"))
        (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 torn")
        for use in (load_dataset, lambda path: content_sha256(Path(path))):
            with pytest.raises(DataCorrupt, match=r"is not a readable .npz"):
                use(str(tmp_path / "x.npz"))

    def test_options_that_it_does_not_have(self, tmp_path):
        path = npz(tmp_path, **splits())
        with pytest.raises(WrongOption, match=r"unknown option of shapes.npz 'helt_out' .did you mean 'held_out'"):
            load_dataset(path, options={"helt_out": 3})
        for classes in (2, 3.0, "3"):
            with pytest.raises(WrongOption, match="labels run to 2, so give 3 or more"):
                load_dataset(path, options={"classes": classes})
        assert load_dataset(path, options={"classes": 10}).classes == 10

    def test_the_content_tells_data_apart_wherever_it_lies(self, tmp_path):
        first = content_sha256(Path(npz(tmp_path, **splits())))
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        assert content_sha256(Path(npz(elsewhere, **splits()))) == first
        assert content_sha256(Path(npz(elsewhere, **splits(IMAGES ^ 1)))) != first


class TestFolder:
    def test_a_folder_a_class_with_train_and_test(self, tmp_path):
        pictures(tmp_path / "photos" / "train")
        pictures(tmp_path / "photos" / "val", count=2)
        (tmp_path / "photos" / "train" / "a" / "notes.txt").write_text("no image")
        (tmp_path / "photos" / "train" / "a" / "._0.png").write_bytes(b"what macOS lays beside 0.png")
        data = load_dataset(f"{tmp_path}/photos")
        assert (data.image_shape, data.classes, len(data.train), len(data.test)) == ((3, 4, 6), 2, 6, 4)
        assert list(data.train.labels) == [0, 0, 0, 1, 1, 1]
        assert data.train.images[4, 0, 0, 0] == 81
        assert data.name.startswith("photos-")
        assert locate(f"{tmp_path}/photos").form == "folder of images"

    def test_grey_stays_grey_and_a_mixture_becomes_colour(self, tmp_path):
        pictures(tmp_path / "p", mode="L")
        assert load_dataset(f"{tmp_path}/p", options={"held_out": 2}).image_shape == (1, 4, 6)
        Image.new("RGBA", (6, 4)).save(tmp_path / "p" / "a" / "9.png")
        assert load_dataset(f"{tmp_path}/p", options={"held_out": 2}).image_shape == (3, 4, 6)

    def test_image_size_brings_all_to_one(self, tmp_path):
        pictures(tmp_path / "p", size=(6, 4))
        Image.new("RGB", (20, 30)).save(tmp_path / "p" / "b" / "9.png")
        with pytest.raises(DataCorrupt, match=r"different sizes, 6x4 in 0.png and 20x30 here; set image_size"):
            load_dataset(f"{tmp_path}/p", options={"held_out": 2})
        assert load_dataset(f"{tmp_path}/p", options={"held_out": 2, "image_size": 8}).image_shape == (3, 8, 8)
        with pytest.raises(WrongOption, match="image_size is 0"):
            load_dataset(f"{tmp_path}/p", options={"held_out": 2, "image_size": 0})

    def test_what_cannot_be_used_is_one_message(self, tmp_path):
        def said(kind: type[Exception] = DataCorrupt) -> str:
            with pytest.raises(kind) as caught:
                load_dataset(f"{tmp_path}/p", options={"held_out": 1})
            return str(caught.value)

        assert "There is no folder" in said(DataMissing)
        (tmp_path / "p").mkdir()
        assert "holds no folders; it needs a folder of images for each class" in said()
        pictures(tmp_path / "p", classes="a")
        assert "holds only the folder a; it needs" in said()
        (tmp_path / "p" / "b").mkdir()
        assert "p/b holds no image; .bmp, " in said()
        (tmp_path / "p" / "b" / "x.png").write_text("this is no image")
        assert "x.png cannot be read as an image" in said()
        Image.fromarray(np.zeros((4, 6), np.uint16)).save(tmp_path / "p" / "b" / "x.png")
        assert "x.png has more than 8 bits a pixel" in said()
        Image.fromarray(RNG.integers(0, 256, (40, 60, 3), np.uint8)).save(tmp_path / "p" / "b" / "x.png")
        torn = (tmp_path / "p" / "b" / "x.png").read_bytes()
        (tmp_path / "p" / "b" / "x.png").write_bytes(torn[: len(torn) // 2])
        assert "x.png cannot be read as an image" in said()

    def test_classes_of_one_split_alone(self, tmp_path):
        pictures(tmp_path / "p" / "train", classes="abc")
        pictures(tmp_path / "p" / "test", classes="ab")
        with pytest.raises(DataCorrupt, match="classes c are in one of train and test alone"):
            load_dataset(f"{tmp_path}/p")

    def test_two_domains_by_their_published_names(self, tmp_path):
        for name, count in {"trainA": 3, "trainB": 5, "testA": 2, "testB": 2}.items():
            pictures(tmp_path / "p", classes=[name], count=count)
        data = load_dataset(f"{tmp_path}/p")
        assert (list(data.train.labels), list(data.test.labels)) == ([0] * 3 + [1] * 5, [0, 0, 1, 1])
        assert (data.classes, data.paired, data.image_shape) == (2, None, (3, 4, 6))
        (tmp_path / "p" / "testB").rename(tmp_path / "p" / "elsewhere")
        with pytest.raises(DataCorrupt, match="p holds testA, but no testB; give both, or neither"):
            load_dataset(f"{tmp_path}/p")
        (tmp_path / "p" / "testA").rename(tmp_path / "p" / "elsewhere too")
        assert len(load_dataset(f"{tmp_path}/p", options={"held_out": 2}).test) == 2

    def test_a_crop_leaves_a_margin_on_every_side(self, tmp_path):
        pictures(tmp_path / "p")
        data = load_dataset(f"{tmp_path}/p", options={"held_out": 2, "image_size": 30, "crop": 24})
        assert (data.train.images.shape, data.image_shape, data.margin_pixels) == ((4, 3, 30, 30), (3, 24, 24), 3)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"crop": 24}, "crop needs image_size, the size that is cropped"),
            ({"image_size": 30, "crop": 23}, "crop is 23; give an even number from 2 to 30, the image_size"),
            ({"image_size": 31, "crop": 0}, "crop is 0; give an odd number from 1 to 31"),
            ({"image_size": 30, "crop": 32}, "crop is 32; give an even number"),
            ({"image_size": "30", "crop": 24}, "image_size is '30'"),
        ],
    )
    def test_crops_that_do_not_fit(self, tmp_path, options, said):
        pictures(tmp_path / "p")
        with pytest.raises(WrongOption, match=said):
            load_dataset(f"{tmp_path}/p", options={"held_out": 2, **options})
