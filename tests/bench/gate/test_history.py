import json
import re
from dataclasses import replace

import numpy as np
import pytest

from bench.cli.commands.history import HistoryOptions, history
from bench.errors import MissingError, UsageError
from bench.gate.history import REF, Commit, Figure, NotedComparison, chains, entry_of, estimate, read, write
from bench.gate.history_study import WALL
from tests.bench.gate.conftest import git_in


def figure(rise: float, rng: np.random.Generator, head: float = 1.0) -> Figure:
    return Figure("train", "command", "wall_s", [round(one, 6) for one in rng.normal(rise, 0.005, 30)], 1.0, head)


@pytest.fixture(scope="module")
def noted(tmp_path_factory):
    """Twelve commits, noted but the first; the seventh is 5 % slower, and after the fourth the machine changed."""
    top, rng = tmp_path_factory.mktemp("noted"), np.random.default_rng(0)
    git_in(top, "init", "--quiet", "--initial-branch=main")
    names = []
    for number in range(12):
        git_in(top, "commit", "--quiet", "--allow-empty", "--message", f"Change {number}")
        names.append(git_in(top, "rev-parse", "HEAD"))
        if number:
            rise = 0.05 if number == 6 else 0.0
            machine = "first" if number < 4 else "second"
            write(top, entry_of(names[-2], names[-1], machine, [figure(rise, rng, 1.0 if number < 4 else 2.0)]))
    return top, names


def test_notes_change_no_commit_and_are_read_along_the_line(noted):
    top, names = noted
    assert git_in(top, "log", "--format=%H", "--reverse").split() == names
    commits = read(top)
    assert [commit.name for commit in commits] == names
    assert [len(commit.entries) for commit in commits] == [0] + [1] * 11
    assert [commit.name for commit in read(top, "HEAD~3")] == names[:9]
    with pytest.raises(UsageError, match="nowhere"):
        read(top, "nowhere")


def test_the_slower_commit_is_named_and_the_change_of_the_machine_is_not(noted):
    (chain,), notes = chains(read(noted[0]))
    (change,) = chain.changes
    assert (change.first, change.last, notes) == (6, 6, [])
    assert change.rise == pytest.approx(0.05, abs=0.01)
    assert {machine for _, _, machine in chain.raw} == {"first", "second"}


def test_pairs_that_a_later_call_noted_again_count_once():
    rng = np.random.default_rng(3)
    whole, other = figure(0.0, rng), figure(0.0, rng)
    part = replace(whole, rises=whole.rises[:20])
    entries = [NotedComparison("a" * 40, "b" * 40, "", "first", [one]) for one in (part, whole, other, whole)]
    (chain,), _ = chains([Commit("a" * 40, "", ""), Commit("b" * 40, "", "", entries)])
    assert [one.rise for one in chain.comparisons] == [estimate(one.rises, WALL)[0] for one in (other, whole)]


def test_what_is_no_entry_is_left_out_and_another_branch_s_base_is_told(noted, tmp_path):
    top = tmp_path / "copy"
    git_in(tmp_path, "clone", "--quiet", str(noted[0]), str(top))
    git_in(top, "fetch", "--quiet", "origin", f"{REF}:{REF}")
    git_in(top, "notes", "--ref=bench", "append", "-m", '{"schema": 99}\nwritten by hand', "HEAD")
    git_in(top, "commit", "--quiet", "--allow-empty", "--message", "New")
    write(top, entry_of("0" * 40, git_in(top, "rev-parse", "HEAD"), "first", [figure(0.0, np.random.default_rng(1))]))
    (chain,), notes = chains(read(top))
    assert len(chain.comparisons) == 11
    assert "000000000 and" in notes[0]


def test_a_note_is_written_where_git_knows_no_user(noted, tmp_path, monkeypatch):
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("EMAIL", "")
    top, names = noted
    write(top, entry_of(names[0], names[2], "first", []))
    assert len(read(top)[2].entries) == 2
    git_in(top, "notes", "--ref=bench", "remove", names[2])
    write(top, entry_of(names[1], names[2], "first", [figure(0.0, np.random.default_rng(2))]))


def test_the_command_draws_in_the_terminal_and_in_a_file(noted, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(noted[0])
    for name in ("history.svg", "history.png", "history.html"):
        history(HistoryOptions(plot=tmp_path / name))
    out = capsys.readouterr().out
    assert "11 comparisons of 12 commits on 2 machines" in out
    assert "slower" in out
    assert f"{noted[1][6][:9]}" in out
    assert "▲" in out
    assert (tmp_path / "history.svg").read_text().startswith("<?xml")
    assert (tmp_path / "history.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "history.html").read_text()
    assert "level since the first commit" in page
    assert re.search(rf"\+\d\.\d % {noted[1][6][:9]}", page)
    history(HistoryOptions(as_json=True))
    told = json.loads(capsys.readouterr().out)
    assert told["chains"][0]["changes"][0]["verdict"] == "slower"


@pytest.mark.parametrize(
    ("options", "error", "why"),
    [
        (HistoryOptions(cell="tran"), UsageError, "there are: train: wall_s"),
        (HistoryOptions(plot="x.pdf"), UsageError, "ends in .png, .svg or .html"),
        (HistoryOptions("HEAD~11"), MissingError, "bench regress --base HEAD~1 --note"),
    ],
)
def test_a_mistake_is_one_message(noted, monkeypatch, options, error, why):
    from pathlib import Path

    monkeypatch.chdir(noted[0])
    options = replace(options, plot=options.plot and Path(options.plot))
    with pytest.raises(error, match=why):
        history(options)
