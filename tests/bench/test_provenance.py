from __future__ import annotations

import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from bench import provenance


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    files = {
        "bench/a.py": "a = 1\n",
        "bench/recipes/r.yaml": "epochs: 8\n",
        "models/b.py": "b = 2\n",
        "pipelines/c.py": "c = 3\n",
        "README.md": "read me\n",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    command = ["git", "-C", str(root), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(project: Path) -> Path:
    if shutil.which("git") is None:
        pytest.skip("needs git")
    git(project, "init", "--quiet")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message", "first")
    return project


def test_sources_hash_is_the_same_wherever_they_lie(project: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(project, tmp_path / "elsewhere" / "copy")
    (copy / "README.md").write_text("other words")
    (copy / "bench" / "__pycache__").mkdir()
    (copy / "bench" / "__pycache__" / "a.pyc").write_bytes(b"compiled")
    assert provenance.sources_sha256(copy) == provenance.sources_sha256(project)


@pytest.mark.parametrize("change", ["content", "recipe", "rename", "new", "gone", "swap"])
def test_sources_hash_changes_with_the_sources(project: Path, change: str) -> None:
    before = provenance.sources_sha256(project)
    a, b = project / "bench" / "a.py", project / "models" / "b.py"
    match change:
        case "content":
            a.write_text("a = 2\n")
        case "recipe":
            (project / "bench" / "recipes" / "r.yaml").write_text("epochs: 9\n")
        case "rename":
            a.rename(a.with_name("z.py"))
        case "new":
            a.with_name("z.py").write_text("")
        case "gone":
            a.unlink()
        case "swap":
            first, second = a.read_text(), b.read_text()
            a.write_text(second)
            b.write_text(first)
    assert provenance.sources_sha256(project) != before


def test_a_clean_checkout(checkout: Path) -> None:
    identity = provenance.code_identity(checkout)
    assert identity["commit"] == git(checkout, "rev-parse", "HEAD")
    assert identity["dirty"] is False
    assert identity["sources_sha256"] == provenance.sources_sha256(checkout)


@pytest.mark.parametrize(
    ("changed", "dirty"),
    [("bench/a.py", True), ("pipelines/new.py", True), ("README.md", False), ("results/runs/runs.jsonl", False)],
)
def test_changes_to_the_packages_alone_make_it_dirty(checkout: Path, changed: str, dirty: bool) -> None:
    path = checkout / changed
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("changed")
    assert provenance.code_identity(checkout)["dirty"] is dirty


def test_without_git(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        identity = provenance.code_identity(project)
        assert (identity["commit"], identity["dirty"]) == (None, None)
        assert identity["sources_sha256"] == provenance.sources_sha256(project)
        monkeypatch.setenv("PATH", "")  # and the second time there is no git program


def test_installed_inside_another_repository(checkout: Path, project: Path) -> None:
    installed = shutil.copytree(project / "bench", checkout / "venv" / "site-packages" / "bench").parent
    assert provenance.code_identity(installed)["commit"] is None


def test_a_hook_of_another_repository(checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    assert provenance.code_identity(checkout)["commit"] is not None


def test_identity_of_the_running_code_needs_no_argument() -> None:
    root = Path(provenance.__file__).parent.parent
    assert provenance.code_identity()["sources_sha256"] == provenance.sources_sha256(root)


def test_versions() -> None:
    versions = provenance.versions()
    assert versions["python"] == platform.python_version()
    assert versions["torch"] == metadata.version("torch")
    assert None not in versions.values()
