from __future__ import annotations

import errno
import os
import shutil
import socket
import threading
from pathlib import Path

import pytest

from bench.pipelines.datasets import fetch as fetch_module
from bench.pipelines.datasets.fetch import fetch
from bench.pipelines.errors import DataCorrupt, DataMissing, PipelineError
from tests.pipelines.datasets.local_server import LocalServer, Served
from tests.pipelines.datasets.tiny_sets import md5

CONTENT = os.urandom(300_000)
MD5 = md5(CONTENT)


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_a_good_file_arrives_once_with_progress_up_to_its_size(server: LocalServer, tmp_path: Path) -> None:
    server.files["a.gz"] = Served(CONTENT)
    seen: list[tuple[str, int, int | None]] = []
    target = tmp_path / "new" / "folder" / "a.gz"
    fetch(f"{server.url}/a.gz", target, md5=MD5, progress=lambda *report: seen.append(report))
    assert target.read_bytes() == CONTENT
    assert leftovers(target.parent) == ["a.gz"]
    assert seen[0] == ("downloading a.gz", 0, len(CONTENT))
    assert seen[-1] == ("downloading a.gz", len(CONTENT), len(CONTENT))
    done = [done_bytes for _, done_bytes, _ in seen]
    assert done == sorted(done)


def test_an_interrupted_transfer_resumes_where_it_stopped(server: LocalServer, tmp_path: Path) -> None:
    server.files["a.gz"] = Served(CONTENT, cuts=[100_000, 50_000])
    fetch(f"{server.url}/a.gz", tmp_path / "a.gz", md5=MD5)
    assert (tmp_path / "a.gz").read_bytes() == CONTENT
    assert [request.range for request in server.requests] == [None, "bytes=100000-", "bytes=150000-"]
    assert sum(request.sent_bytes for request in server.requests) == len(CONTENT)


def test_a_later_call_goes_on_with_what_an_earlier_one_left(server: LocalServer, tmp_path: Path) -> None:
    target = tmp_path / "a.gz"
    server.files["a.gz"] = Served(CONTENT, cuts=[100_000])
    with pytest.raises(DataMissing, match=r"closed after 100,000 of 300,000 bytes"):
        fetch(f"{server.url}/a.gz", target, md5=MD5, retry_delays_s=())
    assert not target.exists()
    fetch(f"{server.url}/a.gz", target, md5=MD5)
    assert target.read_bytes() == CONTENT
    assert [request.range for request in server.requests] == [None, "bytes=100000-"]


def test_a_part_of_another_content_is_not_continued(server: LocalServer, tmp_path: Path) -> None:
    target = tmp_path / "a.gz"
    other = os.urandom(200_000)
    server.files["a.gz"] = Served(other, cuts=[100_000])
    with pytest.raises(DataMissing):
        fetch(f"{server.url}/a.gz", target, md5=md5(other), retry_delays_s=())
    server.files["a.gz"] = Served(CONTENT)
    fetch(f"{server.url}/a.gz", target, md5=MD5)
    assert target.read_bytes() == CONTENT
    assert server.requests[-1].range is None


def test_a_damaged_part_is_noticed_and_everything_fetched_again(server: LocalServer, tmp_path: Path) -> None:
    server.files["a.gz"] = Served(CONTENT)
    (tmp_path / f"a.gz.{MD5}.part").write_bytes(b"x" * 1000)
    fetch(f"{server.url}/a.gz", tmp_path / "a.gz", md5=MD5)
    assert (tmp_path / "a.gz").read_bytes() == CONTENT
    assert [request.range for request in server.requests] == ["bytes=1000-", None]


@pytest.mark.parametrize("extra", [b"", b"more than the file has"])
def test_a_part_that_is_complete_or_longer_ends_well(server: LocalServer, tmp_path: Path, extra: bytes) -> None:
    server.files["a.gz"] = Served(CONTENT)
    (tmp_path / f"a.gz.{MD5}.part").write_bytes(CONTENT + extra)
    fetch(f"{server.url}/a.gz", tmp_path / "a.gz", md5=MD5)
    assert (tmp_path / "a.gz").read_bytes() == CONTENT
    assert leftovers(tmp_path / "") == ["a.gz", "work"]


def test_a_server_without_ranges_starts_again_cleanly(server: LocalServer, tmp_path: Path) -> None:
    server.files["a.gz"] = Served(CONTENT, ranges=False, cuts=[100_000, 50_000])
    fetch(f"{server.url}/a.gz", tmp_path / "a.gz", md5=MD5)
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


def test_a_server_that_never_gets_further_is_given_up(server: LocalServer, tmp_path: Path) -> None:
    server.files["a.gz"] = Served(CONTENT, ranges=False, cuts=[100_000] * 50)
    with pytest.raises(DataMissing, match=r"closed after"):
        fetch(f"{server.url}/a.gz", tmp_path / "a.gz", md5=MD5)
    assert not (tmp_path / "a.gz").exists()
    assert len(server.requests) < 10


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"1", b"<html>Sign in</html>"])
def test_a_wrong_checksum_leaves_nothing(server: LocalServer, tmp_path: Path, content: bytes) -> None:
    server.files["a.gz"] = Served(content)
    with pytest.raises(DataCorrupt, match=MD5):
        fetch(f"{server.url}/a.gz", tmp_path / "a.gz", md5=MD5, size_bytes=len(CONTENT))
    assert leftovers(tmp_path) == ["work"]


def test_a_far_too_long_file_is_not_fetched_to_its_end(server: LocalServer, tmp_path: Path) -> None:
    server.files["a.gz"] = Served(CONTENT * 20)
    seen: list[int] = []
    with pytest.raises(DataCorrupt):
        fetch(
            f"{server.url}/a.gz",
            tmp_path / "a.gz",
            md5=MD5,
            size_bytes=len(CONTENT),
            progress=lambda _what, done_bytes, _total: seen.append(done_bytes),
        )
    assert max(seen) <= len(CONTENT)


def test_a_missing_file_is_not_asked_for_twice(server: LocalServer, tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="404"):
        fetch(f"{server.url}/a.gz", tmp_path / "a.gz", md5=MD5)
    assert len(server.requests) == 1


def test_a_busy_server_is_asked_again(server: LocalServer, tmp_path: Path) -> None:
    server.files["a.gz"] = Served(CONTENT, status=503)
    with pytest.raises(DataMissing, match="503"):
        fetch(f"{server.url}/a.gz", tmp_path / "a.gz", md5=MD5)
    assert len(server.requests) == 3


def test_a_refused_connection_is_said(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/a.gz"
        with pytest.raises(DataMissing, match="refused"):
            fetch(url, tmp_path / "a.gz", md5=MD5)


def test_a_silent_server_does_not_hang(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.gz"
        with pytest.raises(DataMissing, match="no answer in time"):
            fetch(url, tmp_path / "a.gz", md5=MD5, timeout_s=0.05, retry_delays_s=(0.0,))


def test_a_name_that_no_network_knows_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"nowhere\.invalid"):
        fetch("http://nowhere.invalid/a.gz", tmp_path / "a.gz", md5=MD5, retry_delays_s=(1000.0,))


def test_a_folder_that_cannot_be_made_is_named(server: LocalServer, tmp_path: Path) -> None:
    server.files["a.gz"] = Served(CONTENT)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(PipelineError, match=r"Cannot write .*file"):
        fetch(f"{server.url}/a.gz", tmp_path / "file" / "a.gz", md5=MD5)
    assert server.requests == []


def test_too_small_a_disk_is_said_before_anything_is_written(
    server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["a.gz"] = Served(CONTENT)
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(PipelineError, match=r"MB free; the download needs"):
        fetch(f"{server.url}/a.gz", tmp_path / "a.gz", md5=MD5)
    assert leftovers(tmp_path) == ["work"]


def test_a_disk_that_fills_up_leaves_no_file_for_good(
    server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["a.gz"] = Served(CONTENT)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(fetch_module.os, "fsync", full)
        with pytest.raises(PipelineError, match="No space left"):
            fetch(f"{server.url}/a.gz", tmp_path / "a.gz", md5=MD5)
    assert not (tmp_path / "a.gz").exists()
    fetch(f"{server.url}/a.gz", tmp_path / "a.gz", md5=MD5)
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


def test_two_at_once_fetch_it_once(server: LocalServer, tmp_path: Path) -> None:
    server.files["a.gz"] = Served(CONTENT)
    threads = [
        threading.Thread(target=fetch, args=(f"{server.url}/a.gz", tmp_path / "a.gz"), kwargs={"md5": MD5})
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a.gz").read_bytes() == CONTENT
    assert len(server.requests) == 1
