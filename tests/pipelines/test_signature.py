from __future__ import annotations

import os

import pytest

from bench.pipelines.signature import is_signed, sign


@pytest.fixture(autouse=True)
def user(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "bench-to-accuracy"


def test_a_mark_is_of_one_text_and_one_user(user, tmp_path, monkeypatch):
    mark = sign("a text")
    assert is_signed("a text", mark)
    assert not is_signed("another", mark)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert not is_signed("a text", mark)


def test_the_key_stays_and_is_nobody_elses(user):
    mark = sign("a text")
    assert sign("a text") == mark
    (key,) = user.iterdir()
    assert (key.stat().st_mode & 0o777, user.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize("mark", [None, 3, "", "é" * 64, ["a"], b"bytes"])
def test_what_is_no_mark_is_none(mark):
    assert not is_signed("a text", mark)


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 33])
def test_a_damaged_key_signs_nothing(user, damage):
    sign("a text")
    (user / "key").write_bytes(damage)
    assert sign("a text") is None
    assert not is_signed("a text", "0" * 64)


def test_without_a_place_for_a_key_nothing_is_signed(user, monkeypatch):
    user.parent.write_text("a file, no folder")
    assert sign("a text") is None


def test_a_pipe_or_a_link_is_no_key(user, tmp_path):
    user.mkdir(parents=True)
    os.mkfifo(user / "key")
    assert sign("a text") is None
    (user / "key").unlink()
    (tmp_path / "32").write_bytes(b"x" * 32)
    (user / "key").symlink_to(tmp_path / "32")
    assert sign("a text") is None
