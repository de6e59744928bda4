from __future__ import annotations

import os

import pytest

from bench.execution.executors.ray_token import MODE, TOKEN, TOKEN_FILE, present_token


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home without a token, and an environment that says nothing about one."""
    for name in (TOKEN, TOKEN_FILE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(MODE, "set back at the end")
    monkeypatch.delenv(MODE)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def keep_token(folder):
    folder.mkdir()
    (folder / "auth_token").write_text("secret")


def test_a_token_in_the_home_is_presented(home):
    keep_token(home / ".ray")
    present_token()
    assert os.environ[MODE] == "token"


@pytest.mark.parametrize("by", [TOKEN, TOKEN_FILE])
def test_a_token_in_the_environment_is_presented(home, monkeypatch, by):
    keep_token(home / "kept")
    monkeypatch.setenv(by, str(home / "kept" / "auth_token"))
    present_token()
    assert os.environ[MODE] == "token"


def test_without_a_token_nothing_is_set(home, monkeypatch):
    present_token()
    assert MODE not in os.environ
    monkeypatch.setenv(TOKEN_FILE, str(home / "none"))
    present_token()
    assert MODE not in os.environ


def test_what_the_user_has_set_stays(home, monkeypatch):
    keep_token(home / ".ray")
    monkeypatch.setenv(MODE, "disabled")
    present_token()
    assert os.environ[MODE] == "disabled"
