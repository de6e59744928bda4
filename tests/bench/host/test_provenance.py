from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import bench
from bench.host import provenance
from bench.host.provenance import Sources
from bench.host.source_paths import PACKAGES

# The head of a compiled module that names its source's hash, which nobody is to compare (PEP 552).
UNCHECKED = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8)


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


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("models/b.py", b"b = 3\n"),
        ("bench/t.cpp", b"int t;"),
        ("bench/t.h", b"int t;"),
        (f"models/b{EXTENSION_SUFFIXES[0]}", b""),
        ("models/b.so", b"\x7fELF"),  # which Python would import before b.py
        ("models/legacy.pyc", b"compiled"),
        ("models/__pycache__/b.cpython-399.pyc", UNCHECKED),
        ("sitecustomize.py", b"import models.b\nmodels.b.b = 3\n"),
        ("usercustomize.py", b""),
        ("constraints.txt", b"torch==2.6.0\n"),
        ("pyproject.toml", b"[project]\n"),
    ],
)
@pytest.mark.parametrize("hidden", ["", "exclude", "assume-unchanged", "skip-worktree"])
def test_nothing_that_can_run_is_hidden(checkout: Path, name: str, content: bytes, hidden: str) -> None:
    before = provenance.sources_sha256(checkout)
    if hidden == "exclude":
        (checkout / ".git" / "info" / "exclude").write_text("*\n")
    elif hidden:
        git(checkout, "update-index", f"--{hidden}", "models/b.py")
    path = checkout / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    identity = provenance.code_identity(checkout)
    assert identity["dirty"] is True
    assert identity["sources_sha256"] != before


@pytest.mark.parametrize("flags", [0, 3])
def test_compiled_modules_that_python_checks_are_no_sources(checkout: Path, flags: int) -> None:
    compiled = checkout / "models" / "__pycache__" / "b.cpython-399.pyc"
    compiled.parent.mkdir()
    compiled.write_bytes(importlib.util.MAGIC_NUMBER + flags.to_bytes(4, "little") + bytes(8))
    assert provenance.code_identity(checkout)["dirty"] is False
    # Of another Python, which this one does not run.
    compiled.write_bytes(b"\0\0\0\0" + UNCHECKED[4:])
    assert provenance.code_identity(checkout)["dirty"] is False


def test_what_is_staged_and_what_is_gone_is_not_committed(checkout: Path) -> None:
    (checkout / "models" / "b.py").unlink()
    assert provenance.code_identity(checkout)["dirty"] is True
    git(checkout, "rm", "--quiet", "models/b.py")
    assert provenance.code_identity(checkout)["dirty"] is True
    git(checkout, "commit", "--quiet", "--message", "gone")
    assert provenance.code_identity(checkout)["dirty"] is False


def test_ends_of_lines_are_gits_affair(checkout: Path) -> None:
    (checkout / ".gitattributes").write_text("*.py text eol=crlf\n")
    (checkout / "bench" / "a.py").write_bytes(b"a = 1\r\n")
    assert provenance.code_identity(checkout)["dirty"] is False
    (checkout / "bench" / "a.py").write_bytes(b"a = 2\r\n")
    assert provenance.code_identity(checkout)["dirty"] is True


def test_what_was_edited_stays_dirty_when_it_is_put_back(checkout: Path) -> None:
    (checkout / "bench" / "a.py").write_text("a = 2\n")
    edited = Sources.now(checkout)
    git(checkout, "checkout", "--quiet", "bench/a.py")
    assert edited.identity()["dirty"] is True
    assert Sources.now(checkout).identity()["dirty"] is False


@pytest.mark.parametrize("change", ["edit", "edit and put back", "touch", "new", "swap", "gone"])
def test_what_changes_meanwhile_is_seen(project: Path, change: str) -> None:
    before = Sources.now(project)
    path = project / "models" / "b.py"
    content, stat = path.read_bytes(), path.stat()
    time.sleep(0.02)  # a file system's clock ticks a hundred times a second
    match change:
        case "edit":
            path.write_text("b = 3\n")
        case "edit and put back":
            path.write_text("b = 3\n")
            path.write_bytes(content)
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        case "touch":
            path.touch()
        case "new":
            path = project / "bench" / "z.py"
            path.write_text("")
        case "swap":
            path.rename(path.with_suffix(".kept"))
            path.write_text("b = 3\n")
            path.with_suffix(".kept").rename(path)
        case "gone":
            path.unlink()
    assert Sources.now(project).differing_from(before) == [path.relative_to(project).as_posix()]
    assert before.differing_from(before) == []


@pytest.fixture
def of_another_owner(checkout: Path) -> Path:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    for path in (checkout, checkout / ".git"):
        os.chown(path, 12345, 12345)
    return checkout


def test_git_says_itself_why_a_commit_is_unknown(of_another_owner: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)  # a user's own may trust every folder
    identity = provenance.code_identity(of_another_owner)
    assert (identity["commit"], identity["dirty"]) == (None, None)
    assert identity["commit_unknown"] == "detected dubious ownership in repository at 'this folder'"
    assert "Commit unknown: detected dubious ownership" in provenance.remarks(identity)[0]


def test_a_folder_that_the_environment_trusts(of_another_owner: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "safe.directory")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(of_another_owner))
    identity = provenance.code_identity(of_another_owner)
    assert identity["commit"] is not None
    assert "commit_unknown" not in identity
    assert provenance.remarks(identity) == []


def test_a_repository_without_a_commit(project: Path) -> None:
    git(project, "init", "--quiet")
    identity = provenance.code_identity(project)
    assert identity["commit"] is None
    assert identity["commit_unknown"]


def test_what_python_imports_by_itself_is_told(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\n")
    script = "import json; from bench.host import provenance; print(json.dumps(provenance.loaded_beside()))"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(bench.__file__).parents[1])])}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert json.loads(done.stdout)["sitecustomize, not of this Python"] == hashlib.sha256(b"import sys\n").hexdigest()


def test_without_git(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        identity = provenance.code_identity(project)
        assert (identity["commit"], identity["dirty"]) == (None, None)
        assert identity["commit_unknown"]
        assert identity["sources_sha256"] == provenance.sources_sha256(project)
        monkeypatch.setenv("PATH", "")  # and the second time there is no git program


def test_installed_inside_another_repository(checkout: Path, project: Path) -> None:
    installed = shutil.copytree(project / "bench", checkout / "venv" / "site-packages" / "bench").parent
    assert provenance.code_identity(installed)["commit"] is None


def test_a_hook_of_another_repository(checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    assert provenance.code_identity(checkout)["commit"] is not None


def test_identity_of_the_running_code_needs_no_argument() -> None:
    root = Path(provenance.__file__).parents[2]
    assert provenance.code_identity()["sources_sha256"] == provenance.sources_sha256(root)


def test_versions() -> None:
    versions = provenance.versions()
    assert versions["python"] == platform.python_version()
    assert versions["torch"] == metadata.version("torch")
    assert None not in versions.values()


def test_the_commit_is_known_in_a_folder_whatever_its_name(tmp_path: Path) -> None:
    for package in PACKAGES:
        (tmp_path / "two\nlines" / package).mkdir(parents=True)
    root = tmp_path / "two\nlines"
    (root / "bench" / "a.py").write_text("")
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "first")
    assert provenance.code_identity(root)["dirty"] is False
