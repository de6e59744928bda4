"""JPEGs made here, and their way to small squares: all methods and pools make the same pixels."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.pipelines.errors import DataCorrupt, DataMissing
from bench.pipelines.jpegs import HEIGHT, WIDTH, find_jpegs, fingerprint, make_jpegs
from bench.pipelines.resizing import open_rows, pool, prepare
from tests.processes import left_after

COUNT, PIXELS = 20, 24
ROOT = Path(__file__).resolve().parents[2]
ENV = os.environ | {"PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def jpegs(tmp_path_factory):
    return make_jpegs(COUNT, tmp_path_factory.mktemp("cache"))


def resized(paths, tmp_path, *how):
    file = tmp_path / "rows"
    open_rows(file, len(paths), PIXELS, "w+")
    with pool(*how, PIXELS, file) as workers:
        assert list(workers.run(paths, len(paths))) == [16, COUNT]
    return np.array(open_rows(file, len(paths), PIXELS)).astype(int)


def test_they_are_photographs_in_bytes_and_the_same_each_time(jpegs, tmp_path):
    with Image.open(jpegs[3]) as image:
        assert (image.size, image.mode) == ((WIDTH, HEIGHT), "RGB")
    _, total_bytes = fingerprint(jpegs)
    assert 40_000 < total_bytes / COUNT < 160_000  # ImageNet's have 110,000
    again = make_jpegs(2, tmp_path)
    assert fingerprint(again) == fingerprint(jpegs[:2])
    assert jpegs[0].read_bytes() != jpegs[1].read_bytes()


def test_what_is_there_is_not_made_again(jpegs):
    before = jpegs[0].stat().st_mtime_ns
    assert make_jpegs(COUNT, jpegs[0].parents[3]) == jpegs
    assert jpegs[0].stat().st_mtime_ns == before


def test_every_method_makes_much_the_same_pixels(jpegs, tmp_path):
    reference = resized(jpegs, tmp_path, "pillow", "serial", 1)
    assert reference.std() > 10
    for method in ("opencv", "torchvision"):
        assert np.abs(resized(jpegs, tmp_path, method, "serial", 1) - reference).mean() < 3, method


def test_ffcvs_decoder_makes_them_too(jpegs, tmp_path):
    pytest.importorskip("ffcv")
    reference = resized(jpegs, tmp_path, "opencv", "serial", 1)
    assert np.abs(resized(jpegs, tmp_path, "ffcv", "serial", 1) - reference).mean() < 1


@pytest.mark.parametrize("how", ["threads", "processes"])
def test_a_pool_makes_the_same_in_the_same_order(how, jpegs, tmp_path):
    alone = resized(jpegs, tmp_path, "pillow", "serial", 1)
    assert np.array_equal(resized(jpegs, tmp_path, "pillow", how, 2), alone)


@pytest.mark.parametrize("method", ["pillow", "opencv"])
def test_a_damaged_file_is_named(method, jpegs, tmp_path):
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(b"no image")
    with pytest.raises(DataCorrupt, match=r"damaged.jpg cannot be decoded"):
        resized([*jpegs[: COUNT - 1], damaged], tmp_path, method, "serial", 1)


def test_a_folder_gives_its_jpegs_by_name_and_says_how_many_it_has(jpegs):
    folder = jpegs[0].parents[1]
    (folder / "notes.txt").touch()
    assert find_jpegs(folder, 5) == jpegs[:5]
    with pytest.raises(DataMissing, match=f"has {COUNT} JPEGs, and resize.images asks for 21; set it to that"):
        find_jpegs(folder, COUNT + 1)
    with pytest.raises(DataMissing, match="there is no folder /nowhere"):
        find_jpegs(Path("/nowhere"), 1)


def test_a_process_of_the_pool_imports_no_torch_for_pillow():
    code = "import sys, bench.pipelines.resizing as r; r.prepare('pillow'); print({'torch', 'cv2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_method_is_prepared_twice_without_harm():
    assert prepare("pillow") is prepare("pillow")


def test_workers_end_with_a_process_that_is_killed(jpegs, tmp_path):
    code = f"""if True:
        import os, sys
        from pathlib import Path
        from bench.pipelines.resizing import Pool, open_rows
        if __name__ == "__main__":
            file = Path({str(tmp_path / "rows")!r})
            open_rows(file, 1, 8, "w+")
            made = Pool("pillow", "processes", 2, 8, file)
            print(*made._executor._processes, flush=True)
            os.kill(os.getpid(), 9)
    """
    script = tmp_path / "script.py"
    script.write_text(code)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, cwd=ROOT, env=ENV)
    workers = [int(word) for word in done.stdout.split()]
    assert len(workers) == 2, done.stderr
    assert left_after(20, workers) == []
