from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.files import open_regular, private_folder, replacing, user_cache


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "a.json"
    for content in ("first", "second"):
        with replacing(path) as draft:
            draft.write_text(content)
            assert not path.exists() or path.read_text() == "first"
        assert path.read_text() == content
    assert [found.name for found in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("written", [True, False])
def test_what_was_there_stays_where_the_writing_fails(tmp_path, written):
    path = tmp_path / "a.json"
    path.write_text("old")

    def write() -> None:
        with replacing(path) as draft:
            if written:
                draft.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write()
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir])
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR])
def test_what_is_no_regular_file_is_not_opened(tmp_path, make, flags):
    make(path := tmp_path / "a")
    with pytest.raises(OSError, match=r"not a regular file|Is a directory"):
        open_regular(path, flags)


def test_a_file_and_a_link_to_one_are_opened(tmp_path):
    (tmp_path / "a").write_text("text")
    (tmp_path / "b").symlink_to("a")
    for name in "ab":
        with open(open_regular(tmp_path / name)) as file:
            assert file.read() == "text"


def test_a_private_folder_is_nobody_elses(tmp_path, monkeypatch):
    folder = tmp_path / "a" / "b"
    assert private_folder(folder) == folder
    folder.chmod(0o755)
    assert private_folder(folder).stat().st_mode & 0o777 == 0o700
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(OSError, match=r"link"):
        private_folder(tmp_path / "link")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file"):
        private_folder(tmp_path / "file")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(PermissionError, match="it belongs to another user"):
        private_folder(folder)


def test_a_relative_cache_folder_counts_as_none(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert user_cache() == Path.home() / ".cache" / "bench-to-accuracy"
