from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.pipelines.dataset import Split
from bench.pipelines.datasets.cifar import CIFAR10, CIFAR100, parse_binary, parse_python
from bench.pipelines.errors import DataCorrupt
from tests.pipelines.datasets.tiny_sets import TRAIN, binary_batch, python2_batch


def test_binary_and_python_batches_of_one_content_read_the_same() -> None:
    from_binary = parse_binary(binary_batch(TRAIN), "a", label_bytes=1)
    from_python = parse_python(python2_batch(TRAIN), "b", label_key="labels")
    for images, labels in (from_binary, from_python):
        np.testing.assert_array_equal(images, TRAIN.images)
        np.testing.assert_array_equal(labels, TRAIN.labels)


def test_pixels_are_channel_planes_in_row_order() -> None:
    record = bytes([7]) + bytes([1]) * 1024 + bytes([2]) * 1024 + bytes(range(32)) * 32
    images, labels = parse_binary(record, "a", label_bytes=1)
    assert labels.tolist() == [7]
    assert (images[0, 0] == 1).all()
    assert (images[0, 1] == 2).all()
    assert (images[0, 2] == np.arange(32)).all()


def test_the_fine_label_of_cifar100_is_the_second() -> None:
    record = bytes([19, 99]) + bytes(3072)
    assert parse_binary(record, "a", label_bytes=2)[1].tolist() == [99]
    fine = Split(TRAIN.images, TRAIN.labels + 90)
    assert parse_python(python2_batch(fine, "fine_labels"), "b", label_key="fine_labels")[1].min() >= 90


@given(st.binary(max_size=7000), st.sampled_from([1, 2]))
def test_any_bytes_are_records_or_corrupt(content: bytes, label_bytes: int) -> None:
    record_bytes = label_bytes + 3072
    if content and len(content) % record_bytes == 0:
        assert len(parse_binary(content, "a", label_bytes=label_bytes)[0]) == len(content) // record_bytes
    else:
        with pytest.raises(DataCorrupt):
            parse_binary(content, "a", label_bytes=label_bytes)


@given(st.integers(0, len(binary_batch(TRAIN)) - 1))
def test_a_truncated_binary_batch_never_gives_other_images(length: int) -> None:
    try:
        images, _ = parse_binary(binary_batch(TRAIN)[:length], "a", label_bytes=1)
    except DataCorrupt:
        return
    np.testing.assert_array_equal(images, TRAIN.images[: len(images)])
    assert length == len(images) * 3073


@given(st.integers(0, len(python2_batch(TRAIN)) - 1))
def test_a_truncated_python_batch_is_corrupt(length: int) -> None:
    with pytest.raises(DataCorrupt):
        parse_python(python2_batch(TRAIN)[:length], "a", label_key="labels")


@pytest.mark.filterwarnings("ignore::Warning")  # numpy's, about what damage makes of a dtype
@given(st.data())
def test_a_damaged_python_batch_is_corrupt_or_well_formed(data: st.DataObject) -> None:
    content = bytearray(python2_batch(TRAIN))
    # The pixels are most of it: damage what is around them.
    outside = [*range(180), *range(len(content) - 80, len(content))]
    for position in data.draw(st.lists(st.sampled_from(outside), min_size=1, max_size=4)):
        content[position] = data.draw(st.integers(0, 255))
    try:
        images, labels = parse_python(bytes(content), "a", label_key="labels")
    except DataCorrupt:
        return
    assert images.dtype == np.uint8
    assert images.shape[1:] == (3, 32, 32)
    assert labels.dtype == np.int64


@pytest.mark.parametrize("published", [CIFAR10, CIFAR100])
def test_every_published_file_has_a_checksum_where_pickles_are_concerned(published: object) -> None:
    binary, python = published.forms  # type: ignore[attr-defined]
    assert python.needs_checksum
    assert None not in {**python.train, **python.test}.values()
    assert binary.archive.size_bytes == published.info.download_bytes  # type: ignore[attr-defined]
