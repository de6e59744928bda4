import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.gate.checkout import PREFIX
from bench.gate.snapshot import repository_at, side_by_side, told_changes
from tests.bench.gate.conftest import commit, git_in


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A repository of two commits, in which `train.py` says which it is of."""
    root = tmp_path / "mine"
    root.mkdir()
    git_in(root, "init", "--quiet", "--initial-branch=main")
    (root / ".gitignore").write_text("data/\n__pycache__/\n")
    (root / "gone.py").write_text("1\n")
    for text in ("base", "head"):
        (root / "train.py").write_text(f"print('{text}')\n")
        commit(root)
    return root.resolve()


def state(top: Path) -> tuple[str, list[str], dict[str, bytes]]:
    """All that a user could miss: git's view and every file's content, but for git's own."""
    files = {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}
    seen = git_in(top, "status", "--porcelain", "--ignored") + git_in(top, "stash", "list") + git_in(top, "branch")
    worktrees = git_in(top, "worktree", "list").splitlines()
    return seen, worktrees, {name: content for name, content in files.items() if not name.startswith(".git/")}


def test_both_sides_are_elsewhere_and_nothing_of_the_repository_changes(top):
    (top / "train.py").write_text("print('working')\n")
    (top / " new file.py").write_text("2\n")
    (top / "gone.py").unlink()
    (top / "data").mkdir()
    (top / "data" / "images").write_bytes(b"pixels")
    os.symlink("train.py", top / "link.py")
    before = state(top)
    with side_by_side(top, "HEAD~1", shared=["data"]) as sides:
        base, head = sides.base.root, sides.head.root
        assert not base.is_relative_to(top)
        assert len(str(base)) == len(str(head))
        assert (base / "train.py").read_text() == "print('base')\n"
        assert (head / "train.py").read_text() == "print('working')\n"
        assert (head / " new file.py").exists()
        assert (head / "link.py").is_symlink()
        assert (base / "gone.py").exists()
        assert not (head / "gone.py").exists()
        assert (base / "data" / "images").read_bytes() == (head / "data" / "images").read_bytes() == b"pixels"
        assert sides.base.code["dirty"] is False
        assert sides.head.code["dirty"] is True
        assert "gone.py" in told_changes(sides.head)
        (head / "train.py").write_text("what a script may do")
    assert state(top) == before
    assert not head.exists()


def test_another_place_has_paths_of_another_length(top):
    lengths = []
    for place in (0, 1):
        with side_by_side(top, "HEAD", place=place) as sides:
            lengths.append({len(str(side.root)) for side in (sides.base, sides.head)})
            assert told_changes(sides.head) is None
            assert sides.base.code == sides.head.code
    first, second = lengths
    assert len(first) == len(second) == 1
    assert first != second


def test_the_hash_of_the_code_follows_its_files(top):
    hashes = set()
    for text in ("1", "2", "1"):
        (top / "train.py").write_text(text)
        with side_by_side(top, "HEAD") as sides:
            hashes.add(sides.head.code["sources_sha256"])
    assert len(hashes) == 2


def test_submodules_are_there_on_both_sides_each_at_its_own_commit(top, tmp_path):
    library = tmp_path / "library"
    library.mkdir()
    git_in(library, "init", "--quiet", "--initial-branch=main")
    (library / "net.py").write_text("old\n")
    commit(library)
    git_in(top, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "lib")
    commit(top)
    inside = top / "lib"
    (inside / "net.py").write_text("new\n")
    commit(inside)
    commit(top)
    (inside / "net.py").write_text("newest\n")
    before = state(top), git_in(inside, "worktree", "list")
    with side_by_side(top, "HEAD~1") as sides:
        assert (sides.base.root / "lib" / "net.py").read_text() == "old\n"
        assert (sides.head.root / "lib" / "net.py").read_text() == "newest\n"
        assert sides.head.code["dirty"] is True
    assert (state(top), git_in(inside, "worktree", "list")) == before
    git_in(top, "submodule", "--quiet", "deinit", "--force", "lib")
    with side_by_side(top, "HEAD~1") as sides:
        assert "git submodule update --init" in sides.base.notes[0]


def test_a_folder_that_became_a_link_is_not_removed_behind_the_link(top, tmp_path):
    (top / "images").mkdir()
    (top / "images" / "first").write_text("old")
    commit(top)
    elsewhere = tmp_path / "large disk"
    (top / "images").rename(elsewhere)
    (elsewhere / "first").write_text("precious")
    (top / "images").symlink_to(elsewhere)
    for stage in (False, True):
        if stage:
            git_in(top, "add", "--all")
        with side_by_side(top, "HEAD") as sides:
            assert (sides.base.root / "images" / "first").read_text() == "old"
            assert (sides.head.root / "images").is_symlink()
        assert (elsewhere / "first").read_text() == "precious"


def test_a_file_that_became_a_folder_is_one_in_head(top):
    (top / "gone.py").unlink()
    (top / "gone.py").mkdir()
    (top / "gone.py" / "inside.py").write_text("3\n")
    with side_by_side(top, "HEAD") as sides:
        assert (sides.base.root / "gone.py").is_file()
        assert (sides.head.root / "gone.py" / "inside.py").read_text() == "3\n"


def test_an_empty_repository_inside_is_left_out_and_told(top):
    git_in(top, "init", "--quiet", "inside")
    with side_by_side(top, "HEAD") as sides:
        assert sides.head.notes == [
            "inside is a repository of its own, so neither side has it; `shared:` would give it to both"
        ]


def test_a_working_tree_that_cannot_be_copied_is_one_message(top, monkeypatch):
    def full(source: Path, target: Path, **_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(source))

    monkeypatch.setattr("bench.gate.snapshot.shutil.copy2", full)
    (top / "train.py").write_text("print('working')\n")
    with (
        pytest.raises(UsageError, match=r"train.py cannot be copied to .*: No space left on device; set TMPDIR"),
        side_by_side(top, "HEAD"),
    ):
        pass


def test_what_a_killed_gate_left_goes_and_a_worktree_that_is_out_of_sight_stays(top, tmp_path):
    away, left = tmp_path / "not mounted", tmp_path / f"{PREFIX}99999999-left" / "base"
    for path in (away, left):
        git_in(top, "worktree", "add", "--quiet", "--detach", str(path), "HEAD")
    git_in(top, "worktree", "lock", str(left))  # as git does while it makes one
    shutil.rmtree(away)
    with side_by_side(top, "HEAD") as sides:
        assert sides.base.root.is_dir()
    listed = git_in(top, "worktree", "list")
    assert (str(away) in listed, str(left) in listed, left.exists()) == (True, False, False)
    assert len(listed.splitlines()) == 2


def test_a_worktree_of_a_worktree_and_a_shallow_clone_can_be_measured(top, tmp_path):
    git_in(top, "worktree", "add", "--quiet", "--detach", str(tmp_path / "second"), "HEAD")
    second = repository_at(tmp_path / "second")
    with side_by_side(second, "HEAD~1") as sides:
        assert (sides.base.root / "train.py").read_text() == "print('base')\n"
    assert len(git_in(top, "worktree", "list").splitlines()) == 2
    shallow = tmp_path / "shallow"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", top.as_uri(), str(shallow)], check=True)
    with side_by_side(shallow, "HEAD") as sides:
        assert (sides.base.root / "train.py").exists()
    with (
        pytest.raises(UsageError, match="this clone is shallow: `git fetch --unshallow`"),
        side_by_side(shallow, "HEAD~1"),
    ):
        pass


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (("init", "--quiet"), "has no commit yet"),
        (("init", "--quiet", "--bare"), "is a bare repository"),
        (("version",), "is in no git repository"),
    ],
    ids=["no commits", "bare", "no repository"],
)
def test_what_cannot_be_measured_is_refused_in_one_message(make, why, tmp_path):
    git_in(tmp_path, *make)
    with pytest.raises(UsageError, match=why):
        repository_at(tmp_path)


@pytest.mark.parametrize(
    ("path", "why"),
    [("nowhere", "there is no"), ("train.py", "each side has its own"), ("../mine2", "not a path inside")],
)
def test_a_path_that_cannot_be_shared_is_refused(top, path, why):
    before = state(top)
    with pytest.raises(UsageError, match=f"shared: .*{why}"), side_by_side(top, "HEAD", shared=[path]):
        pass
    assert state(top) == before
