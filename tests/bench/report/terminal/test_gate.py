from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.errors import MissingError, UsageError
from bench.gate.quantity import ACCURACY, QUANTITIES
from bench.gate.report import GateFinding, Report, Side
from bench.gate.study import Outcome
from bench.gate.verdict import Case, Verdict, judge
from bench.report.terminal.gate import print_report, refuse_unwritable, study_table, to_markdown, write_report
from bench.report.terminal.gate_files import to_json, to_junit
from bench.text.console import LastingConsole

STEP, MEMORY = QUANTITIES["throughput"][:2]
STEADY = [0.0100, 0.0101, 0.0099, 0.0102, 0.0098, 0.0100, 0.0101, 0.0099, 0.01, 0.0101]


def finding(factor, cell="gate_step", quantity=STEP):
    base = [quantity.floor * 1000 * time_s if quantity.scale == "ratio" else time_s for time_s in STEADY]
    (judgement,) = judge([Case(quantity, base, [value * factor for value in base[::-1]])])
    return GateFinding(cell, "throughput", judgement)


NO_BASELINE = GateFinding("gate_new", "", None, Verdict.NO_BASELINE, "the base has no such | cell")
BROKEN = GateFinding("gate_bad", "throughput", None, Verdict.BROKEN, "failed: <ValueError>")
(_unsure,) = judge([Case(STEP, STEADY, [0.008, 0.013, 0.012, 0.009, 0.008, 0.012, 0.01, 0.012, 0.009, 0.013])])
UNSURE = GateFinding("gate_loud", "throughput", _unsure)
OPEN = "gate_loud, training step: perhaps +4 %"


UNMEASURED = GateFinding("gate_late", "throughput", None, Verdict.UNSURE, "not one pair of runs was measured")
_faster_perhaps = replace(_unsure, not_worse=True)
FASTER_PERHAPS = GateFinding("gate_loud", "throughput", _faster_perhaps)


def report(*findings, **fields):
    return Report(Side("main (1234567)"), Side("this"), findings, ["a note"], {"cpu_model": "A CPU"}, **fields)


@pytest.mark.parametrize(
    ("findings", "unsure", "code", "headline"),
    [
        ([finding(1.0)], "say", 0, "No regression"),
        ([finding(1.2), finding(1.0)], "say", 1, "Regression: gate_step (slower)"),
        ([finding(0.8)], "say", 0, "No regression"),
        ([BROKEN], "pass", 1, "Regression: gate_bad (broken)"),
        ([NO_BASELINE], "say", 3, "Nothing could be compared: no baseline"),
        ([NO_BASELINE, finding(1.0)], "say", 0, "No regression found; 1 could not be compared"),
        ([UNMEASURED, UNMEASURED], "say", 3, "Nothing could be compared: no time"),
        ([FASTER_PERHAPS], "fail", 0, "No regression; 1 of 1 figures is not worse, perhaps better"),
        ([FASTER_PERHAPS], "own-code", 0, "No regression; 1 of 1 figures is not worse, perhaps better"),
        ([UNSURE, finding(1.0)], "say", 0, f"Not decided: 1 of 2 figures ({OPEN})"),
        ([UNSURE], "pass", 0, f"Not decided: 1 of 1 figures ({OPEN})"),
        ([UNSURE], "fail", 1, f"Not decided: 1 of 1 figures ({OPEN})"),
        ([UNSURE, finding(1.0)], "own-code", 4, f"Not decided: 1 of 2 figures ({OPEN})"),
        ([finding(1.0)], "own-code", 0, "No regression"),
        ([UNMEASURED], "own-code", 3, "Nothing could be compared: no time"),
        ([UNMEASURED, finding(1.0)], "own-code", 4, "Not decided: 1 of 2 figures"),
        ([UNSURE, BROKEN], "own-code", 1, f"Regression: gate_bad (broken); not decided: 1 of 2 figures ({OPEN})"),
        (
            [UNSURE, FASTER_PERHAPS, NO_BASELINE],
            "say",
            0,
            f"Not decided: 1 of 2 figures ({OPEN}); 1 of 2 figures is not worse, perhaps better; "
            "1 could not be compared",
        ),
    ],
)
def test_the_exit_code_and_the_headline(findings, unsure, code, headline):
    assert UNSURE.verdict is Verdict.UNSURE
    made = report(*findings, unsure=unsure)
    assert (made.exit_code, made.headline) == (code, headline)


@pytest.mark.parametrize(
    ("findings", "mark"),
    [([finding(1.0)], "✅"), ([UNSURE, finding(1.0)], "❔"), ([finding(1.2), UNSURE], "❌"), ([NO_BASELINE], "⚪"),
     ([FASTER_PERHAPS], "✅")],
)  # fmt: skip
def test_only_what_is_decided_is_marked_as_good(findings, mark):
    for unsure in ("say", "pass", "own-code"):
        assert to_markdown(report(*findings, unsure=unsure)).startswith(f"### {mark} Speed gate: ")


def test_the_table_says_everything_that_matters(capsys):
    made = report(finding(1.2), finding(1.0, quantity=MEMORY), NO_BASELINE, BROKEN, UNSURE, seconds=125.0, rounds=10)
    print_report(made, LastingConsole(width=120))
    printed = capsys.readouterr().out
    for text in (
        "+20.0 %", "slower", "same", "no_baseline", "broken", "unsure",
        "gate_new: no_baseline: the base has no such | cell",
        "gate_bad: broken: failed: <ValueError>",
        "gate_loud, training step: unsure: ",
        "Note: a note",
        "this against main (1234567), 10 rounds at most in 2 min 05 s on A CPU.",
        f"Regression: gate_bad (broken); gate_step (slower); not decided: 1 of 4 figures ({OPEN})",
    ):  # fmt: skip
        assert text in printed


def test_times_are_told_together_and_nothing_else_is():
    made = report(finding(1.2), finding(1 / 1.2, "gate_other"), finding(1.5, quantity=MEMORY), NO_BASELINE)
    assert made.times is not None
    assert (made.times.value, made.times.n) == (pytest.approx(1.0, abs=0.005), 2)
    assert "Geometric mean of 2 times: +0.0 %." in to_markdown(made)
    assert json.loads(to_json(made))["times"] == {"change": made.times.value, "n": 2}
    assert report(finding(1.2), finding(1.5, quantity=MEMORY)).times is None


def test_markdown_is_a_table_that_no_text_can_break():
    text = to_markdown(report(finding(1.2), NO_BASELINE, BROKEN))
    assert text.startswith("### ❌ Speed gate: Regression: ")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 5
    assert {row.replace("\\|", "").count("|") for row in rows} == {9}
    assert "&lt;ValueError>" in text
    assert "❌ slower" in rows[2]


def test_what_a_message_holds_breaks_no_format():
    loud = GateFinding("gate_bad", "throughput", None, Verdict.BROKEN, "\x1b[31mfailed\x00 *HEAD~1* `x` \udc80")
    ElementTree.fromstring(to_junit(report(loud)).encode())
    assert "\\*HEAD\\~1\\* \\`x\\`" in to_markdown(report(loud))
    calling = GateFinding("gate_bad", "throughput", None, Verdict.BROKEN, "crashed: @torch.no_grad()")
    assert "@torch" not in to_markdown(report(calling))
    endless = finding(1.0)
    change = replace(endless.judgement.change, value=float("inf"))
    endless = replace(endless, judgement=replace(endless.judgement, change=change, p=float("nan")))
    (found,) = json.loads(to_json(report(endless)), parse_constant=pytest.fail)["findings"]
    assert (found["change"], found["p"]) == (None, None)


def test_json_has_every_number():
    content = json.loads(to_json(report(finding(1.2), finding(1.0, quantity=ACCURACY), NO_BASELINE)))
    slower, accuracy, missing = content["findings"]
    assert content["exit_code"] == 1
    assert (slower["verdict"], slower["regression"], slower["metric"], slower["n"]) == ("slower", True, STEP.metric, 10)
    assert slower["low"] < slower["change"] < slower["high"]
    assert accuracy["change_is"] == "head - base"
    assert missing == {
        "cell": "gate_new", "measure": "", "verdict": "no_baseline", "regression": False, "reason": NO_BASELINE.reason,
    }  # fmt: skip


@pytest.mark.parametrize(("unsure", "failures", "skipped"), [("say", 2, 2), ("pass", 2, 1), ("fail", 3, 1)])
def test_junit_counts_what_it_holds(unsure, failures, skipped):
    suite = ElementTree.fromstring(to_junit(report(finding(1.2), NO_BASELINE, BROKEN, UNSURE, unsure=unsure)))
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", str(failures), str(skipped))
    assert len(suite.findall("testcase/failure")) == failures
    assert len(suite.findall("testcase/skipped")) == skipped
    assert suite.find("testcase/failure").get("message") == "slower"


def test_a_report_is_written_where_it_is_asked_for(tmp_path, capsys):
    made, console = report(finding(1.0)), LastingConsole()
    write_report(made, "markdown", tmp_path / "new" / "gate.md", tmp_path / "gate.xml", console)
    assert (tmp_path / "new" / "gate.md").read_text().startswith("### ✅")
    ElementTree.parse(tmp_path / "gate.xml")
    assert capsys.readouterr().out == ""
    write_report(made, "terminal", tmp_path / "gate.txt", None, console)
    assert "No regression" in (tmp_path / "gate.txt").read_text()
    write_report(made, "json", None, None, console)
    assert json.loads(capsys.readouterr().out)["exit_code"] == 0
    (tmp_path / "file").write_text("")
    with pytest.raises(MissingError, match="cannot write"):
        write_report(made, "json", tmp_path / "file" / "x", None, console)


def test_a_place_where_no_report_can_be_written_is_refused_and_others_stay_as_they_are(tmp_path):
    file, new = tmp_path / "file", tmp_path / "new" / "gate.json"
    file.write_text("kept")
    for path in (file / "x", tmp_path):
        with pytest.raises(UsageError, match="cannot be written"):
            refuse_unwritable(None, path)
    reader, writer = os.pipe()
    refuse_unwritable(file, new, Path(f"/dev/fd/{writer}"))
    os.close(reader)
    os.close(writer)
    assert file.read_text() == "kept"
    assert not new.exists()


def test_a_study_has_a_row_a_rule_and_a_column_a_slow_down(capsys):
    outcomes = [
        Outcome(rule, slow_down, 200, slower, 1, same, 12.4)
        for rule, slow_down, slower, same in (
            ("bench regress", 0.0, 1, 150),
            ("bench regress", 0.05, 190, 0),
            ("min:5%", 0.0, 30, None),
            ("min:5%", 0.05, 90, None),
        )
    ]
    LastingConsole(width=120).print(study_table(outcomes))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["rule", "false", "alarms", "finds", "5%"]
    assert "2 of 200, 12 rounds" in lines[1]
    assert "95%, 12 rounds" in lines[1]
    assert lines[2].split() == ["min:5%", "31", "of", "200", "45%"]
