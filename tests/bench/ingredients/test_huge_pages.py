"""A recipe's huge pages: what a run says of them, and how one that insists is refused."""

from __future__ import annotations

import pytest

from bench.errors import MissingError, UsageError
from bench.host import malloc
from bench.measures import assembly
from bench.spec import recipes
from tests.command import bench, records

DIGITS = ("run", "digits", "--seeds", "1", "--set", "epochs=0.2", "--set", "target_accuracy=null")


def facts(value, device="cpu"):
    return assembly.prepare_process(recipes.load("digits", device, [f"huge_pages={value}"]), device)


def test_a_run_records_whether_it_had_them_and_how_many(tmp_path):
    done = bench(*DIGITS, "--set", "huge_pages=auto", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (record,) = records(tmp_path)
    resolved, lacks = record["config"]["resolved"], record["config"]["resolved"].get("huge_pages_lacks")
    assert resolved["huge_pages"] is (lacks is None)
    assert record["reason"] == (f"without huge_pages: {lacks}" if lacks else None)
    assert 0 <= (record["metrics"]["huge_page_bytes"] or 0) <= record["metrics"]["peak_host_bytes"]


def test_one_that_insists_ends_with_what_to_do(tmp_path):
    done = bench(*DIGITS, "--set", "huge_pages=true", cwd=tmp_path, BENCH_MALLOC="default")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "huge_pages: BENCH_MALLOC=default leaves malloc as it is; unset it; huge_pages: auto goes without" in (
        done.stdout + done.stderr
    )


def test_auto_says_what_is_lacking(monkeypatch):
    monkeypatch.setenv("BENCH_MALLOC", "default")
    malloc.use_huge_pages.cache_clear()
    why = "BENCH_MALLOC=default leaves malloc as it is; unset it"
    assert facts("auto") == {"huge_pages": False, "huge_pages_lacks": why}
    with pytest.raises(MissingError, match=f"huge_pages: {why}; huge_pages: auto goes without"):
        facts("true")


def test_on_a_gpu_auto_is_no():
    assert facts("auto", "cuda") == {"huge_pages": False}
    with pytest.raises(UsageError, match="huge_pages: it is made for a CPU; write huge_pages: auto"):
        facts("true", "cuda")


def test_without_the_key_nothing_is_done():
    assert facts("false") == facts("null") == {}
