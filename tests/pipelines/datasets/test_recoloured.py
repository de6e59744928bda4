"""MNIST in other colours: made by code from MNIST, without a digit in both domains, with the truth for the test."""

from __future__ import annotations

import numpy as np
import pytest

from bench.pipelines.datasets import DATASETS, load_dataset, locate
from bench.pipelines.datasets.recoloured import COLOURS, recoloured
from bench.pipelines.errors import DataMissing, WrongOption

FINGERPRINTS = {
    "coloured": "ccea3aaf19ae571fbf4e341b46e598402e871f5ff5bc80b382f692ee6e454f30",
    "inverted": "e2efeed12240d104fd221b2688ae1ffe0582332cfae98e3fe607d621febea6a4",
}


@pytest.fixture(scope="module", params=sorted(COLOURS))
def to(request):
    return request.param


@pytest.fixture(scope="module")
def made(real_data_dir, to):
    return load_dataset("mnist_recoloured", data_dir=real_data_dir, options={"to": to})


@pytest.fixture(scope="module")
def mnist(real_data_dir):
    return load_dataset("mnist", data_dir=real_data_dir)


def test_the_facts_of_the_catalogue_are_true(made, to):
    info = DATASETS["mnist_recoloured"]
    assert (made.image_shape, made.classes, made.paired) == (info.image_shape, info.classes, True)
    assert (len(made.train), len(made.test)) == (info.train_count, info.test_count)
    assert made.official
    assert made.name == {"coloured": "mnist_recoloured", "inverted": "mnist_recoloured-inverted"}[to]


def test_the_pixels_are_the_same_on_every_machine(made, to):
    assert made.fingerprint == FINGERPRINTS[to]


def test_no_digit_is_in_both_training_domains(made, mnist, to):
    of_a, of_b = (made.train.images[made.train.labels == domain] for domain in (0, 1))
    assert np.array_equal(of_a[:, :1], mnist.train.images[:30_000])
    assert np.array_equal(of_b, recoloured(mnist.train.images[30_000:], to))


def test_every_test_image_has_its_translation_next_to_it(made, mnist, to):
    assert made.test.labels[:4].tolist() == [0, 1, 0, 1]
    assert np.array_equal(made.test.images[::2, 1:2], mnist.test.images)
    assert np.array_equal(made.test.images[1::2], recoloured(mnist.test.images, to))


def test_colours_go_from_paper_to_ink_and_can_be_undone(to):
    shades = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    colours = recoloured(shades, to).astype(int)
    paper, ink = (np.array(colour) for colour in COLOURS[to])
    assert np.array_equal(colours[0, :, 0, 0], paper)
    assert np.array_equal(colours[0, :, -1, -1], ink)
    furthest = np.abs(ink - paper).argmax()
    channel = colours[0, furthest].flatten()
    assert (np.sign(ink - paper)[furthest] * np.diff(channel) >= 0).all()
    back = (channel - paper[furthest]) / (ink - paper)[furthest] * 255
    assert np.abs(back - np.arange(256)).max() <= 1


def test_the_first_images_are_of_both_domains(real_data_dir):
    few = load_dataset(
        "mnist_recoloured", data_dir=real_data_dir, options={"train_count": 20, "test_count": 6, "to": "inverted"}
    )
    assert (np.bincount(few.train.labels).tolist(), len(few.test)) == ([10, 10], 6)
    assert (few.name, few.paired) == ("mnist_recoloured-inverted-first-20-6", True)


def test_it_is_where_mnist_is(real_data_dir, tmp_path):
    found = locate("mnist_recoloured", real_data_dir)
    assert found is not None
    assert found.form == "made from mnist"
    assert found.path == locate("mnist", real_data_dir).path
    assert locate("mnist_recoloured", tmp_path) is None
    with pytest.raises(DataMissing, match="mnist is not on this machine"):
        load_dataset("mnist_recoloured", data_dir=tmp_path, download=False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"to": "blue"}, "mnist_recoloured: to is 'blue'; allowed: coloured, inverted"),
        ({"held_out": 5}, "unknown option of mnist_recoloured data 'held_out'; there are: test_count, to, train_count"),
        ({"train_count": 60_001}, "train_count is 60001; give a whole number from 1 to 60,000"),
    ],
)
def test_what_does_not_fit_is_refused(options, said):
    with pytest.raises(WrongOption, match=said):
        load_dataset("mnist_recoloured", options=options)
