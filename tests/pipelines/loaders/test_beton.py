"""Betons are written whole or not at all, and nothing but the very same data is taken from them."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest

from bench.pipelines.dataset import Dataset, Split
from bench.pipelines.errors import DataCorrupt, PartMissing, PipelineError

try:
    from bench.pipelines.loaders import beton
except PartMissing as missing:
    pytest.skip(str(missing), allow_module_level=True)


def split(count: int = 40, shape: tuple[int, int, int] = (3, 6, 5), seed: int = 0) -> Split:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)
    return Split(pixels, np.arange(count) % 7)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "here.beton"
    beton.write(path, split())
    return path


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (4, 1, 3), (3, 900, 900)])
def test_what_was_written_is_found_to_be_the_data(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    data = split(3, shape)
    beton.write(tmp_path / "x.beton", data)
    beton.check(tmp_path / "x.beton", data)
    assert [file.name for file in tmp_path.iterdir()] == ["x.beton"]


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (split(41), "it holds 40 images, not 41"),
        (split(shape=(3, 5, 6)), "it does not hold images of 5x6 pixels"),
        (split(shape=(1, 6, 5)), "it does not hold images of 6x5 pixels"),
        (split(seed=1), "its pixels differ"),
        (Split(split().images, split().labels[::-1].copy()), "its labels differ"),
    ],
)
def test_other_data_is_refused(path: Path, other: Split, why: str) -> None:
    before = path.read_bytes()
    with pytest.raises(DataCorrupt) as refused:
        beton.check(path, other)
    advice = "Delete it, and it is written anew."
    assert str(refused.value).startswith(f"{path} is not the beton of this data: {why}")
    assert str(refused.value).endswith(advice)
    assert path.read_bytes() == before


@pytest.mark.parametrize("kept", [0, 1, 10, 24, 500, 2000, 3000, 0.5, 0.999, -24, -1])
def test_a_truncated_file_is_refused(path: Path, kept: float) -> None:
    whole = path.read_bytes()
    length = int(kept * len(whole)) if isinstance(kept, float) else kept
    path.write_bytes(whole[:length])
    with pytest.raises(DataCorrupt, match="is not the beton of this data"):
        beton.check(path, split())


def test_any_single_changed_byte_that_matters_is_found(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    pixels = bytes(split().images[39].transpose(1, 2, 0))
    last_image = bytes(whole).index(pixels)
    table = len(whole) - 40 * 24
    for position in (0, 2, 8, last_image, last_image + len(pixels) - 1, table, table + 9, len(whole) - 6):
        damaged = bytearray(whole)
        damaged[position] ^= 0x41
        path.write_bytes(damaged)
        with pytest.raises(DataCorrupt):
            beton.check(path, split())
    path.write_bytes(whole)
    beton.check(path, split())


def test_an_arbitrary_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.beton"
    path.write_bytes(np.random.default_rng(0).bytes(100_000))
    with pytest.raises(DataCorrupt, match="its header cannot be read"):
        beton.check(path, split())


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(PipelineError, match=r"Cannot write .*x\.beton, which needs 2 MB: .*Free some space"):
            beton.write(tmp_path / "x.beton", split(600, (3, 32, 32)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PipelineError, match=r"Cannot write .*file/sub/x\.beton"):
        beton.write(tmp_path / "file" / "sub" / "x.beton", split())


def test_a_beton_is_kept_for_its_data_and_split(tmp_path: Path) -> None:
    train, test = split(seed=2), split(11, seed=3)
    data = Dataset("named", train, test, 7, (0.5,) * 3, (0.2,) * 3, official=False)
    first = beton.beton_of(data, train, "train", tmp_path)
    written = first.stat()
    assert beton.beton_of(data, train, "train", tmp_path) == first
    assert (first.stat().st_ino, first.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    assert data.fingerprint[:16] in first.name
    other = beton.beton_of(data, test, "test", tmp_path)
    beton.check(other, test)
    other.replace(first)
    with pytest.raises(DataCorrupt, match="it holds 11 images, not 40"):
        beton.beton_of(data, train, "train", tmp_path)
