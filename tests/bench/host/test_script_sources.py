"""Which code a script is: in real git repositories and outside of them."""

import subprocess

import pytest

from bench.host.script_sources import ScriptSources

ARGV = ["python", "train.py"]


@pytest.fixture
def repository(tmp_path):
    """One commit with a script, a configuration and a picture."""
    (tmp_path / "train.py").write_text("print(1)\n")
    (tmp_path / "config.yaml").write_text("lr: 1\n")
    (tmp_path / "picture.png").write_bytes(b"png")
    (tmp_path / ".gitignore").write_text("results/\n")
    git = [
        "git",
        "-C",
        str(tmp_path),
        "-c",
        "user.name=n",
        "-c",
        "user.email=e@example.org",
        "-c",
        "commit.gpgsign=false",
    ]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    return tmp_path


def test_a_commit_is_named_and_clean(repository):
    sources = ScriptSources.now(repository, ARGV)
    identity = sources.identity()
    assert identity["dirty"] is False
    assert len(identity["commit"]) == 40
    assert sorted(sources.files) == ["config.yaml", "train.py"]
    assert "commit_unknown" not in identity


@pytest.mark.parametrize(
    ("name", "is_dirty", "is_other"),
    [
        ("train.py", True, True),
        ("config.yaml", True, True),
        ("picture.png", True, False),
        ("new.py", True, True),
        ("metrics.json", False, False),
        ("results/run.py", False, False),
    ],
)
def test_a_changed_file_is_dirt_and_an_output_is_none(repository, name, is_dirty, is_other):
    before = ScriptSources.now(repository, ARGV)
    (repository / name).parent.mkdir(exist_ok=True)
    (repository / name).write_text("changed\n")
    after = ScriptSources.now(repository, ARGV)
    assert (after.dirty, after.sha256 != before.sha256) == (is_dirty, is_other)
    assert before.changed() == ([name] if name in before.files else [])


def test_a_file_that_is_gone_has_changed(repository):
    before = ScriptSources.now(repository, ARGV)
    (repository / "config.yaml").unlink()
    assert before.changed() == ["config.yaml"]


def test_a_repository_without_a_commit_says_so(tmp_path):
    subprocess.run(["git", "-C", str(tmp_path), "init", "-q"], check=True)
    (tmp_path / "train.py").write_text("1")
    identity = ScriptSources.now(tmp_path, ARGV).identity()
    assert (identity["commit"], identity["commit_unknown"]) == (None, "the repository has no commit yet")


def test_without_git_what_lies_around_the_script_counts_and_what_it_is_given(tmp_path):
    for name in ("src/train.py", "src/net/model.py", "src/notes.txt", "other.py", "config.json", "src/.venv/lib.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    sources = ScriptSources.now(tmp_path, ["python", "src/train.py", "config.json"])
    assert sorted(sources.files) == ["../config.json", "net/model.py", "train.py"]
    assert sources.commit_unknown == "it is in no git repository"


def test_of_a_folder_of_many_things_only_what_lies_beside_the_script_counts(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.host.script_sources.MOST_ENTRIES", 3)
    for name in ("train.py", "net.py", "other/a.py", "other/b.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert sorted(ScriptSources.now(tmp_path, ARGV).files) == ["net.py", "train.py"]
