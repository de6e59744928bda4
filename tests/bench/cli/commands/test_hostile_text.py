"""What records, file names and arguments hold, seen by every command that reads: shown, never obeyed."""

from __future__ import annotations

import csv
import io
import json
import unicodedata

import pytest

from bench.runs.store import Store

ESCAPES = "\x1b]0;owned\x07 \x1b]52;c;aGk=\x1b\\ \x9b2J [/x] [link=http://x]y[/link]"
FORMULAS = ("=HYPERLINK(1)", "+1+cmd", "-2+3", "@SUM(1)")
COMMANDS = [
    ("results",),
    ("results", "-f", "csv"),
    ("results", "-f", "json"),
    ("results", "--by", "recipe"),
    ("results", "columns"),
    ("results", "show", "last"),
    ("results", "show", "last", "--json"),
    ("results", "--recipe", ESCAPES),
    ("results", "--columns", ESCAPES),
    ("results", "show", ESCAPES),
    ("leaderboard",),
    ("leaderboard", "-f", "csv"),
    ("leaderboard", "-f", "markdown"),
    ("compare", "results/runs", "results/runs"),
    ("compare", "results/runs", "results/runs", "-f", "markdown"),
    ("compare", "results/runs", "results/runs", "-f", "json"),
    ("compare", "recipe=" + ESCAPES, "results/runs"),
    ("export", "dawnbench", "results/runs"),
    ("export", "mllog", "results/runs", "--out", "logs"),
    ("check", "entries"),
    ("import", "entries"),
    ("run", ESCAPES),
    ("run", "digits", "--set", ESCAPES + "=1"),
    ("run", "digits", "--nothing" + ESCAPES),
    ("run", "digits", "--seeds", ESCAPES),
    (ESCAPES,),
    ("show", ESCAPES + ".yaml"),
    ("sweep", ESCAPES),
    ("baseline", "show", ESCAPES),
    ("data", ESCAPES),
    ("report", "--out", "pages"),
]  # fmt: skip


@pytest.fixture
def poisoned(tmp_path, make_run):
    """A store whose every text is hostile, a line that cannot be read, and an entry with such a name."""
    run = make_run(
        recipe=ESCAPES,
        sweep=ESCAPES,
        reason=ESCAPES,
        command=f"bench run '{ESCAPES}'",
        config={
            "data": {"name": "cifar10", ESCAPES: 1},
            "model": {"name": ESCAPES},
            "device": "cpu",
            "target_accuracy": 0.94,
        },
        metrics={"accuracy": 0.95, "train_s": 3.0, "total_s": 5.0, "reached": True, ESCAPES: 1.0},
        machine={"id": ESCAPES, "cpu_model": ESCAPES, "usable_cores": 2},
        spans=[{"name": ESCAPES, "start_s": 0.0, "end_s": 1.0, "epoch": 1, "device_s": None}],
        epochs=[{"epoch": 1, "accuracy": 0.95, "note": ESCAPES}],
        log_tail=[ESCAPES],
        data={"name": "cifar10", "official": True, "fingerprint": ESCAPES},
        versions={"torch": ESCAPES},
    )
    store = Store(tmp_path / "results" / "runs" / f"r{ESCAPES[:8]}.jsonl")
    store.append(run)
    with store.path.open("ab") as file:
        file.write(json.dumps({"run_id": ESCAPES, "schema": ESCAPES}).encode() + b"\n")
    (tmp_path / "entries").mkdir()
    name = tmp_path / "entries" / f"a_b_c{ESCAPES[:8]}_d.json"
    name.write_text(json.dumps({"version": ESCAPES, "author": ESCAPES, ESCAPES: 1}))


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: " ".join(arguments).replace(ESCAPES, "ESC"))
def test_no_command_prints_what_a_terminal_obeys(arguments, poisoned, bench):
    answer = bench(*arguments)
    printed = answer.out + answer.err
    assert [c for c in printed if unicodedata.category(c) in ("Cc", "Cf") and c not in "\n\t"] == []
    assert printed
    assert answer.code in (0, 1, 2, 3)


def test_json_on_the_output_still_holds_the_values(poisoned, bench):
    assert json.loads(bench("results", "show", "last", "--json").out)["recipe"] == ESCAPES
    assert json.loads(bench("results", "-f", "json").out)[0]["recipe"] == ESCAPES


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_spreadsheet_runs_nothing_of_an_export(formula, bench, tmp_path, make_run):
    run = make_run(recipe=formula, reason=f"\t{formula}", metrics={formula: -1.5}, config={"note": " " + formula})
    Store(tmp_path / "results" / "runs" / "runs.jsonl").append(run)
    assert bench("results", "export", "out.csv").code == 0
    assert bench("results", "export", "epochs.csv", "--epochs").code == 0
    for text in ((tmp_path / "out.csv").read_text(), bench("results", "-f", "csv").out):
        head, row = csv.reader(io.StringIO(text))
        cells = dict(zip(head, row, strict=True))
        assert [one for one in (*head, *row) if one.strip().startswith(("=", "+", "-", "@")) and one != "-1.5"] == []
        assert cells["recipe"] == "'" + formula
        assert cells["'" + formula] == "-1.5"


def test_markdown_of_the_gate_makes_no_link_of_a_name(bench, tmp_path, make_run):
    name = "[click](http://evil) ![](http://pixel)"
    for folder in ("a", "b"):
        Store(tmp_path / folder / "runs.jsonl").append(make_run(recipe=name, metrics={"train_s": 1.0}))
    printed = bench("compare", "a", "b", "-f", "markdown").out
    assert r"\[click\](http://evil)" in printed
    assert "[click](" not in printed.replace(r"\[click\](", "")


def test_a_wrong_command_line_is_one_message(bench):
    for arguments in (("ruin",), ("run",), ("run", "digits", "--seeds", "x"), ("run", "digits", "--device", "tpu")):
        answer = bench(*arguments)
        assert answer.code == 2
        assert answer.err.startswith("bench: ")
        assert answer.err.count("\n") == 1
        assert "--help" in answer.err
    assert "Commands" in bench().out
