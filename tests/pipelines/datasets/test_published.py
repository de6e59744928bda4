from __future__ import annotations

import base64
import json
import os
import pickle
import subprocess
import traceback
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.pipelines.dataset import Dataset
from bench.pipelines.datasets import cache
from bench.pipelines.datasets.npz import write_npz
from bench.pipelines.datasets.published import PublishedSet, load, locate
from bench.pipelines.errors import DataCorrupt, DataMissing, PipelineError, WrongOption
from tests.pipelines.datasets.local_server import LocalServer, Served
from tests.pipelines.datasets.test_pickles import Runs
from tests.pipelines.datasets.tiny_sets import (
    TEST,
    TRAIN,
    batches,
    binary_archive,
    binary_batch,
    binary_form,
    mnist_files,
    python2_batch,
    python_archive,
    python_form,
    tar_gz,
    tiny_cifar,
    tiny_mnist,
    zipped,
)


def assert_is_the_tiny_set(dataset: Dataset) -> None:
    for found, wanted in ((dataset.train, TRAIN), (dataset.test, TEST)):
        np.testing.assert_array_equal(found.images, wanted.images)
        np.testing.assert_array_equal(found.labels, wanted.labels)


def put(folder: Path, form: str) -> Path:
    """The tiny set in one of its forms; what `load` would take."""
    folder.mkdir(parents=True, exist_ok=True)
    if form == "npz":
        path = folder / "cifar10.npz"
        write_npz(path, tiny_cifar().dataset(TRAIN, TEST, official=False))
        return path
    if form.endswith("archive"):
        path = folder / f"cifar-10-{form.split()[0]}.tar.gz"
        path.write_bytes(binary_archive() if form.startswith("binary") else python_archive())
        return path
    binary = form.startswith("binary")
    path = folder / ("cifar-10-batches-bin" if binary else "cifar-10-batches-py")
    path.mkdir()
    for name, split in batches().items():
        file = path / (f"{name}.bin" if binary else name)
        file.write_bytes(binary_batch(split) if binary else python2_batch(split))
    return path


@pytest.mark.parametrize("subfolder", ["", "cifar10"])
@pytest.mark.parametrize(
    ("form", "official"),
    [
        ("npz", False),
        ("binary archive", True),
        ("python archive", True),
        ("python folder", True),
        ("binary folder", False),  # no publisher's checksum is known for the extracted files
    ],
)
def test_every_form_reads_the_same(tmp_path: Path, form: str, official: bool, subfolder: str) -> None:
    path = put(tmp_path / subfolder, form)
    place = locate(tiny_cifar(), tmp_path)
    assert place is not None
    assert place.path == path
    for _ in range(2):  # parsed, then from its cache
        dataset = load(tiny_cifar(), tmp_path, download=False)
        assert_is_the_tiny_set(dataset)
        assert dataset.official is official
    place = locate(tiny_cifar(), tmp_path)
    assert place is not None
    assert place.official is official
    assert place.size_bytes > 11 * 3072 / 2


def test_the_given_folder_comes_before_the_variable_and_this_before_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "variable"))
    expected = []
    for root in (Path.cwd() / "data", tmp_path / "variable", tmp_path / "given"):
        expected.append(put(root, "npz"))
        place = locate(tiny_cifar(), tmp_path / "given")
        assert place is not None
        assert place.path == expected[-1]


def test_an_own_npz_with_the_published_content_is_official(tmp_path: Path) -> None:
    put(tmp_path, "npz")
    known = tiny_cifar().dataset(TRAIN, TEST, official=True).fingerprint
    assert load(tiny_cifar(fingerprint=known), tmp_path).official
    assert not load(tiny_cifar(fingerprint="0" * 64), tmp_path).official


@pytest.mark.parametrize("form", ["binary archive", "python archive"])
@pytest.mark.parametrize("damage", ["truncated", "altered", "empty"])
def test_a_damaged_archive_is_named_with_its_checksum(tmp_path: Path, form: str, damage: str) -> None:
    path = put(tmp_path, form)
    content = path.read_bytes()
    altered = content[:500] + bytes([content[500] ^ 1]) + content[501:]
    path.write_bytes({"truncated": content[:-100], "altered": altered, "empty": b""}[damage])
    with pytest.raises(DataCorrupt, match="expected") as caught:
        load(tiny_cifar(), tmp_path)
    assert str(path) in str(caught.value)
    assert not list(tmp_path.rglob("*.cached.*"))


def test_an_incomplete_or_altered_folder_is_named(tmp_path: Path) -> None:
    folder = put(tmp_path, "python folder")
    (folder / "data_batch_2").write_bytes(b"another")
    with pytest.raises(DataCorrupt, match=r"data_batch_2 is not the published file"):
        load(tiny_cifar(), tmp_path)
    (folder / "data_batch_2").unlink()
    with pytest.raises(DataCorrupt, match=r"data_batch_2 is missing"):
        load(tiny_cifar(), tmp_path)


def test_too_few_images_are_not_taken_for_the_set(tmp_path: Path) -> None:
    folder = put(tmp_path, "binary folder")
    file = folder / "data_batch_2.bin"
    file.write_bytes(file.read_bytes()[:3073])
    with pytest.raises(DataCorrupt, match=r"holds 5 train and 3 test images; cifar10 has 8 and 3"):
        load(tiny_cifar(), tmp_path)


def test_an_archive_without_a_member_is_corrupt_and_paths_in_it_are_never_followed(tmp_path: Path) -> None:
    members = {f"cifar-10-batches-bin/{name}.bin": binary_batch(split) for name, split in batches().items()}
    del members["cifar-10-batches-bin/test_batch.bin"]
    archive = tar_gz({**members, "../escaped": b"x", str(tmp_path / "absolute"): b"x"})
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cifar-10-binary.tar.gz").write_bytes(archive)
    with pytest.raises(DataCorrupt, match=r"has no cifar-10-batches-bin/test_batch\.bin"):
        load(tiny_cifar(binary_form(archive)), tmp_path / "data")
    assert not (tmp_path / "escaped").exists()
    assert not (tmp_path / "absolute").exists()


@pytest.mark.parametrize("content", [b"not gzip", zipped(b"not tar" * 100), binary_archive()[:2000]])
def test_what_is_no_archive_is_corrupt_even_if_its_checksum_is_right(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(content)
    with pytest.raises(DataCorrupt):
        load(tiny_cifar(binary_form(content)), tmp_path)


@pytest.mark.parametrize("extracted", [True, False])
@pytest.mark.parametrize("vouched_for", [True, False])
def test_a_malicious_pickle_does_nothing(tmp_path: Path, extracted: bool, vouched_for: bool) -> None:
    witness = tmp_path / "witness"
    good = {name: python2_batch(split) for name, split in batches().items()}
    evil = {**good, "data_batch_1": pickle.dumps({"data": Runs(f"touch {witness}"), "labels": [1]})}
    archive = tar_gz({f"cifar-10-batches-py/{name}": content for name, content in evil.items()})
    published = tiny_cifar(python_form(archive, evil) if vouched_for else python_form(python_archive(), good))
    root = tmp_path / "root"
    if extracted:
        folder = root / "cifar-10-batches-py"
        folder.mkdir(parents=True)
        for name, content in evil.items():
            (folder / name).write_bytes(content)
    else:
        root.mkdir()
        (root / "cifar-10-python.tar.gz").write_bytes(archive)
    with pytest.raises(DataCorrupt, match="asks for" if vouched_for else "is not the published file"):
        load(published, root)
    assert not witness.exists()


def test_a_pickle_that_no_checksum_vouches_for_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = put(tmp_path, "python folder")
    form = python_form(python_archive(), {name: python2_batch(split) for name, split in batches().items()})
    without = type(form)(**{**vars(form), "train": dict.fromkeys(form.train)})

    def opened(*_: object) -> None:
        raise AssertionError("a pickle was opened")

    monkeypatch.setattr("bench.pipelines.datasets.cifar.load_arrays", opened)
    with pytest.raises(DataCorrupt, match="not opened"):
        load(tiny_cifar(without), tmp_path)
    (folder / "data_batch_1").write_bytes(b"altered")
    with pytest.raises(DataCorrupt, match="is not the published file"):
        load(tiny_cifar(form), tmp_path)


class TestCache:
    def test_the_source_is_not_read_again(self, tmp_path: Path) -> None:
        path = put(tmp_path, "binary archive")
        load(tiny_cifar(), tmp_path)
        before = path.stat()
        path.write_bytes(b"x" * before.st_size)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert_is_the_tiny_set(load(tiny_cifar(), tmp_path))

    def test_it_serves_when_the_source_is_gone(self, tmp_path: Path) -> None:
        path = put(tmp_path, "binary archive")
        load(tiny_cifar(), tmp_path)
        path.unlink()
        dataset = load(tiny_cifar(), tmp_path, download=False)
        assert_is_the_tiny_set(dataset)
        assert dataset.official
        place = locate(tiny_cifar(), tmp_path)
        assert place is not None
        assert (place.form, place.official) == ("cache", True)

    def test_a_changed_source_is_read_again(self, tmp_path: Path) -> None:
        folder = put(tmp_path, "binary folder")
        old = load(tiny_cifar(), tmp_path).fingerprint
        file = folder / "test_batch.bin"
        changed = bytearray(file.read_bytes())
        changed[5] ^= 255
        file.write_bytes(changed)
        os.utime(file, ns=(1, 1))
        assert load(tiny_cifar(), tmp_path).fingerprint != old

    @pytest.mark.parametrize("damage", ["torn", "empty", "other pixels", "json torn", "json other", "no npz"])
    def test_a_damaged_one_is_noticed_and_rebuilt(self, tmp_path: Path, damage: str) -> None:
        put(tmp_path, "binary archive")
        load(tiny_cifar(), tmp_path)
        npz, described = (tmp_path / "cifar10" / f"cifar10.cached.{ending}" for ending in ("npz", "json"))
        whole = npz.read_bytes(), described.read_text()
        if damage == "torn":
            npz.write_bytes(whole[0][:-5000])
        elif damage == "empty":
            npz.write_bytes(b"")
        elif damage == "other pixels":
            write_npz(npz, tiny_cifar().dataset(TEST, TRAIN, official=True))
        elif damage == "json torn":
            described.write_text(whole[1][:40])
        elif damage == "json other":
            described.write_text('["not what was written"]')
        else:
            npz.unlink()
        dataset = load(tiny_cifar(), tmp_path)
        assert_is_the_tiny_set(dataset)
        assert dataset.official
        assert (npz.read_bytes(), described.read_text()) == whole

    @pytest.mark.parametrize("how", ["another user's", "no signature", "signature of other words", "number"])
    def test_one_that_came_from_elsewhere_makes_nothing_official(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        planted = tiny_cifar().dataset(TEST, TRAIN, official=True)
        folder = tmp_path / "cifar10"
        with monkeypatch.context() as elsewhere:
            elsewhere.setenv("XDG_CACHE_HOME", str(tmp_path / "another user's"))
            assert cache.write([folder], planted, {}, tmp_path)
        described = folder / "cifar10.cached.json"
        found = json.loads(described.read_text())
        if how == "no signature":
            del found["signature"]
        elif how == "number":
            found["signature"] = 7
        elif how == "signature of other words":
            cache.write([tmp_path / "own"], tiny_cifar().dataset(TEST, TRAIN, official=False), {}, tmp_path)
            found["signature"] = json.loads((tmp_path / "own" / "cifar10.cached.json").read_text())["signature"]
        described.write_text(json.dumps(found))
        # Its source is not there: it is data like any other.
        dataset = load(tiny_cifar(), tmp_path, download=False)
        assert dataset.fingerprint == planted.fingerprint
        assert not dataset.official
        # Its source is there: that is read.
        put(tmp_path, "binary archive")
        assert_is_the_tiny_set(load(tiny_cifar(), tmp_path))

    def test_a_known_fingerprint_decides_whoever_wrote_it(self, tmp_path: Path) -> None:
        known = replace(tiny_cifar(), fingerprint="f" * 64)
        cache.write([tmp_path / "cifar10"], known.dataset(TEST, TRAIN, official=True), {}, tmp_path)
        assert not load(known, tmp_path, download=False).official

    def test_a_pipe_in_its_place_is_no_cache(self, tmp_path: Path) -> None:
        put(tmp_path, "binary archive")
        folder = tmp_path / "cifar10"
        folder.mkdir(exist_ok=True)
        for ending in ("npz", "json"):
            os.mkfifo(folder / f"cifar10.cached.{ending}")
        assert_is_the_tiny_set(load(tiny_cifar(), tmp_path))

    def test_it_says_what_it_is(self, tmp_path: Path) -> None:
        path = put(tmp_path, "binary archive")
        dataset = load(tiny_cifar(), tmp_path)
        described = json.loads((tmp_path / "cifar10" / "cifar10.cached.json").read_text())
        assert described["official"] is True
        assert described["fingerprint"] == dataset.fingerprint
        assert described["source"] == str(path)
        assert not list(tmp_path.rglob("*.part"))

    def test_it_goes_to_the_users_cache_where_the_data_cannot_be_written_beside(self, tmp_path: Path) -> None:
        root = tmp_path / "root"
        put(root, "binary archive")
        (root / "cifar10").write_text("in the way of the folder that the cache would go to")
        assert_is_the_tiny_set(load(tiny_cifar(), root))
        kept = tmp_path / "user-cache" / "bench-to-accuracy" / "cifar10" / "cifar10.cached.npz"
        assert kept.exists()
        assert_is_the_tiny_set(load(tiny_cifar(), root))

    def test_none_at_all_is_no_error(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        put(tmp_path, "binary archive")
        (tmp_path / "cifar10").write_text("in the way")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cifar10"))
        assert_is_the_tiny_set(load(tiny_cifar(), tmp_path))


class TestDownload:
    @pytest.fixture(autouse=True)
    def mirror(self, server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BENCH_DATA_URL", f"{server.url}/")

    def test_a_good_archive_is_fetched_once_and_is_official(self, server: LocalServer, tmp_path: Path) -> None:
        server.files["cifar-10-binary.tar.gz"] = Served(binary_archive())
        said: list[str] = []
        for _ in range(2):
            dataset = load(tiny_cifar(), tmp_path, progress=lambda what, _done, _total: said.append(what))
            assert_is_the_tiny_set(dataset)
            assert dataset.official
        assert len(server.requests) == 1
        assert (tmp_path / "cifar10" / "cifar-10-binary.tar.gz").read_bytes() == binary_archive()
        assert list(dict.fromkeys(said)) == [
            "downloading cifar-10-binary.tar.gz",
            "reading cifar-10-binary.tar.gz",
            "caching cifar10",
        ]

    def test_without_a_given_folder_it_goes_to_the_variable_or_to_data(
        self, server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.files["cifar-10-binary.tar.gz"] = Served(binary_archive())
        load(tiny_cifar(), None)
        assert (Path.cwd() / "data" / "cifar10" / "cifar-10-binary.tar.gz").exists()
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("BENCH_DATA", str(tmp_path / "variable"))
        load(tiny_cifar(), None)
        assert (tmp_path / "variable" / "cifar10" / "cifar-10-binary.tar.gz").exists()

    @pytest.mark.parametrize(
        "wrong", [binary_archive()[:-50], b"<html>", binary_archive() + b"x"], ids=["cut", "html", "long"]
    )
    def test_wrong_bytes_are_refused_and_the_next_run_can_succeed(
        self, server: LocalServer, tmp_path: Path, wrong: bytes
    ) -> None:
        server.files["cifar-10-binary.tar.gz"] = Served(wrong)
        with pytest.raises(DataCorrupt, match="Nothing was kept"):
            load(tiny_cifar(), tmp_path)
        server.files["cifar-10-binary.tar.gz"] = Served(binary_archive())
        assert load(tiny_cifar(), tmp_path).official

    def test_an_interrupted_one_is_not_taken_for_the_set_and_resumes(
        self, server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.files["cifar-10-binary.tar.gz"] = Served(binary_archive(), cuts=[9_000])
        monkeypatch.setattr("bench.pipelines.datasets.fetch.RETRY_DELAYS_S", ())
        with pytest.raises(DataMissing, match="closed after 9,000"):
            load(tiny_cifar(), tmp_path)
        assert locate(tiny_cifar(), tmp_path) is None
        assert load(tiny_cifar(), tmp_path).official
        assert server.requests[-1].range == "bytes=9000-"
        assert sum(request.sent_bytes for request in server.requests) == len(binary_archive())

    def test_the_files_of_mnist_are_fetched_one_by_one_and_only_what_lacks(
        self, server: LocalServer, tmp_path: Path
    ) -> None:
        for name, raw in mnist_files().items():
            server.files[name] = Served(zipped(raw))
        last = server.files.pop("t10k-labels-idx1-ubyte.gz")
        with pytest.raises(DataMissing, match=r"t10k-labels-idx1-ubyte\.gz failed: the server answered 404"):
            load(tiny_mnist(), tmp_path)
        server.files["t10k-labels-idx1-ubyte.gz"] = last
        dataset = load(tiny_mnist(), tmp_path)
        assert dataset.official
        assert dataset.image_shape == (1, 28, 28)
        assert len(server.requests) == 5

    @pytest.mark.parametrize("reachable", [True, False])
    def test_without_data_and_network_the_message_says_what_to_do(
        self, server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reachable: bool
    ) -> None:
        monkeypatch.setenv("BENCH_DATA", str(tmp_path / "variable"))
        if not reachable:
            monkeypatch.setenv("BENCH_DATA_URL", "http://127.0.0.1:9")
        with pytest.raises(DataMissing) as caught:
            load(tiny_cifar(), tmp_path / "given")
        message = str(caught.value)
        archive = tiny_cifar().forms[0].downloads[0]
        for part in (
            "404" if reachable else "refused",
            "cifar-10-binary.tar.gz",
            archive.md5,
            "cifar10.npz",
            str(tmp_path / "given" / "cifar10"),
            str(tmp_path / "variable"),
            str(Path.cwd() / "data"),
            "$BENCH_DATA",
            "`make bench`",
        ):
            assert part in message

    def test_it_is_not_tried_when_not_wanted(self, server: LocalServer, tmp_path: Path) -> None:
        with pytest.raises(DataMissing, match="not to be downloaded"):
            load(tiny_cifar(), tmp_path, download=False)
        assert server.requests == []

    def test_a_folder_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "cifar10").write_text("in the way")
        with pytest.raises(PipelineError, match=r"Cannot write .*cifar10"):
            load(tiny_cifar(), tmp_path)

    def test_an_address_of_another_kind_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for wrong in ("file:///etc", "user:t0ken@host/x", "http://user:t0ken@host:port/", "https://", "t0ken"):
            monkeypatch.setenv("BENCH_DATA_URL", wrong)
            with pytest.raises(WrongOption, match="BENCH_DATA_URL is no address") as caught:
                load(tiny_cifar(), tmp_path)
            assert "t0ken" not in str(caught.value)

    @pytest.mark.parametrize("status", [200, 404, 503])
    def test_a_token_in_the_address_goes_to_its_server_and_nowhere_else(
        self, server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
    ) -> None:
        server.files["cifar-10-binary.tar.gz"] = Served(binary_archive(), status=status)
        place = server.url.removeprefix("http://")
        monkeypatch.setenv("BENCH_DATA_URL", f"http://us%40er:t0ken@{place}/")
        said: list[str] = []
        try:
            load(tiny_cifar(), tmp_path, progress=lambda what, _done, _total: said.append(what))
        except DataMissing as error:
            said += [str(error), repr(error.__cause__), *map(str, traceback.format_exception(error))]
        secret = base64.b64encode(b"us@er:t0ken").decode()
        assert server.requests[0].authorization == f"Basic {secret}"
        assert status == 200 or any(place in text for text in said)
        assert not any("t0ken" in text or secret in text for text in said)


class TestMnist:
    def put(self, folder: Path, gzipped: bool) -> PublishedSet:
        folder.mkdir(parents=True)
        for name, raw in mnist_files().items():
            # Compressed otherwise than published: the content is what counts.
            content = subprocess.run(["gzip", "-1"], input=raw, capture_output=True, check=True).stdout
            (folder / (name if gzipped else name.removesuffix(".gz"))).write_bytes(content if gzipped else raw)
        return tiny_mnist()

    @pytest.mark.parametrize("gzipped", [True, False])
    @pytest.mark.parametrize("subfolder", ["", "mnist", "MNIST/raw"])
    def test_its_content_makes_it_official(self, tmp_path: Path, gzipped: bool, subfolder: str) -> None:
        published = self.put(tmp_path / "root" / subfolder, gzipped)
        dataset = load(published, tmp_path / "root", download=False)
        assert dataset.official
        assert (len(dataset.train), len(dataset.test)) == (5, 2)

    def test_truncated_or_altered_files_are_corrupt(self, tmp_path: Path) -> None:
        root = tmp_path / "root"
        published = self.put(root, gzipped=True)
        file = root / "train-images-idx3-ubyte.gz"
        whole = file.read_bytes()
        raw = mnist_files()[file.name]
        for wrong in (whole[:-20], b"no gzip", zipped(raw[:-1] + b"\0"), zipped(raw + bytes(10_000_000))):
            file.write_bytes(wrong)
            with pytest.raises(DataCorrupt, match=r"train-images-idx3-ubyte\.gz"):
                load(published, root)


def test_a_file_in_place_of_a_folder_is_a_wrong_option(tmp_path: Path) -> None:
    with pytest.raises(WrongOption, match="name the folder"):
        load(tiny_cifar(), put(tmp_path, "npz"))


def test_caches_are_looked_for_beside_the_data_then_with_the_user(tmp_path: Path) -> None:
    beside, users = cache.folders([tmp_path / "root"], "cifar10")
    assert beside == tmp_path / "root" / "cifar10"
    assert users == tmp_path / "user-cache" / "bench-to-accuracy" / "cifar10"
