from bench.host.git import git


def test_git_is_told_how_to_fetch_and_not_which_repository_a_hook_is_of(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_LFS_SKIP_SMUDGE", "kept")
    monkeypatch.setenv("GIT_INDEX_FILE", "dropped")
    alias = "alias.told=!echo $GIT_LFS_SKIP_SMUDGE $GIT_INDEX_FILE"
    assert git(tmp_path, "-c", alias, "told") == "kept"
