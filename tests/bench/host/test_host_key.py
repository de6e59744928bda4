from __future__ import annotations

import os
import platform
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bench.host import host_key as module
from bench.host.fingerprint import fingerprint
from bench.host.host_key import SALT_FILE, host_key, own_salt


@pytest.fixture(autouse=True)
def on_a_plain_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No container, and a user without a salt; the file of the salt."""
    monkeypatch.setattr(module, "CONTAINER_FILES", ())
    monkeypatch.delenv(module.CONTAINER_VARIABLE, raising=False)
    monkeypatch.delenv(module.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "bench-to-accuracy" / SALT_FILE


def test_a_host_has_one_key_and_it_does_not_contain_its_name(on_a_plain_host):
    key = host_key()
    assert re.fullmatch("[0-9a-f]{12}", key)
    assert host_key() == key
    assert platform.node() not in key
    assert stat.S_IMODE(on_a_plain_host.stat().st_mode) == 0o600


def test_other_hosts_have_other_keys(monkeypatch):
    keys = {host_key()}
    for name in ("node-1", "node-2"):
        monkeypatch.setattr(platform, "node", lambda name=name: name)
        keys.add(host_key())
    assert len(keys) == 3


def test_nobody_finds_the_name_without_the_salt(monkeypatch):
    """The same name has another key for another user, and the same key by a salt that is passed on."""
    key, salt = host_key(), own_salt()
    monkeypatch.setenv("XDG_CONFIG_HOME", os.environ["XDG_CONFIG_HOME"] + "/another")
    assert host_key() != key
    assert host_key(salt) == key
    assert len(salt) == 32


def test_in_a_container_the_key_is_that_of_the_kernel(monkeypatch, tmp_path):
    boot = tmp_path / "boot_id"
    boot.write_text("5f3c\n")
    monkeypatch.setattr(module, "BOOT_ID", boot)
    plain = host_key()
    monkeypatch.setenv(module.CONTAINER_VARIABLE, "10.0.0.1")
    inside = host_key()
    monkeypatch.setattr(platform, "node", lambda: "a-new-container")
    assert host_key() == inside != plain
    assert host_key("another salt") == inside
    boot.write_text("77aa\n")
    assert host_key() != inside


def test_a_name_of_ones_own_replaces_both(monkeypatch):
    monkeypatch.setenv(module.CONTAINER_VARIABLE, "10.0.0.1")
    monkeypatch.setenv(module.VARIABLE, "runner-7")
    key = host_key()
    monkeypatch.setattr(platform, "node", lambda: "a-new-container")
    assert host_key() == key


def test_processes_that_begin_at_once_agree_on_the_salt(on_a_plain_host):
    code = "from bench.host.host_key import own_salt; print(own_salt())"
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert len({process.communicate()[0] for process in started} | {f"{own_salt()}\n"}) == 1
    assert [path.name for path in on_a_plain_host.parent.iterdir()] == [SALT_FILE]


def test_without_a_place_for_the_salt_the_host_is_unknown(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    with pytest.raises(OSError, match="file"):
        host_key()
    assert fingerprint()["host"] is None


def test_the_key_is_a_fact_of_the_machine_and_no_part_of_its_fingerprint(monkeypatch):
    here = fingerprint()
    monkeypatch.setattr(platform, "node", lambda: "another")
    there = fingerprint()
    assert here["host"] != there["host"]
    assert here["id"] == there["id"]
