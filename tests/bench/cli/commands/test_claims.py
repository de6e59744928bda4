"""`bench claims` as a user meets it: what is missing is measured, nothing twice, and a stop loses nothing."""

import io
import re
import signal
from types import SimpleNamespace

import pytest
from rich.console import Console

from bench.cli import claim_nets
from bench.cli.claim_options import ClaimsOptions, budget_s
from bench.cli.commands.claims import claims
from bench.errors import MissingError, UsageError
from bench.runs.store import Store
from tests.bench.claims.conftest import CLAIM
from tests.bench.cli.commands.sweeping import wait_for_workers
from tests.command import TIMEOUT_S, read_until, records, start, statuses

COUNTED = """
statement: An activation in place saves memory.
source: nobody
matrix: memory.yaml
minutes: 0.1
tests:
  - what: bytes kept, in place over not
    quantity: ratio
    metric: activation_bytes
    of: {model.inplace: true}
    to: {model.inplace: false}
    counted: true
    claimed: {below: 1}
"""
MEMORY = "recipe: digits\nmeasure: memory\nset: {target_accuracy: null}\naxes: {model.inplace: [true, false]}\n"
JUDGED = """
statement: Weights that are clipped more tightly make worse images.
source: nobody
matrix: clips.yaml
minutes: 0.1
tests:
  - what: Fréchet distance, 0.001 over 0.01
    quantity: ratio
    metric: frechet_distance
    of: {task.clip: 0.001}
    to: {task.clip: 0.01}
    claimed: {above: 1}
"""
CLIPS = """
recipe: wgan_smoke
set: {model.width: 4, epochs: 1, evaluation.every_epochs: 1, task.samples: 60}
axes: {task.clip: [0.001, 0.01]}
seeds: 3
"""
FOR_EVER = "recipe: digits\nset: {target_accuracy: null, epochs: 100000}\naxes: {model.width: [8, 16]}\nseeds: 3\n"


def told(**options):
    """What the command says in this process, and its exit code."""
    file = io.StringIO()
    code = claims(ClaimsOptions(**options), Console(file=file, width=200))
    return code, file.getvalue()


@pytest.fixture(scope="module")
def measured(here, tmp_path_factory):
    """A claim that was measured, and the folder that it was measured in."""
    folder = tmp_path_factory.mktemp("measured")
    (folder / "claim.yaml").write_text(COUNTED)
    (folder / "memory.yaml").write_text(MEMORY)
    return here(folder, "claims", "claim.yaml"), folder


def test_what_is_missing_is_measured_and_judged(measured):
    answer, folder = measured
    assert answer.code == 0, answer.out + answer.err
    assert statuses(folder) == ["ok", "ok"]
    assert "1 claim: 1 confirmed" in answer.out
    assert {one["sweep"] for one in records(folder)} == {"memory"}


def test_what_is_there_is_not_measured_again(measured, monkeypatch):
    _, folder = measured
    monkeypatch.chdir(folder)
    code, said = told(names=["claim.yaml"])
    assert (code, "run 1 of" in said) == (0, False)
    assert "1 confirmed" in said
    assert len(records(folder)) == 2


def test_a_file_of_runs_gives_the_same_verdict_as_a_page(measured, monkeypatch):
    _, folder = measured
    monkeypatch.chdir(folder)
    code, said = told(
        names=["claim.yaml"], runs=[folder / "results" / "runs"], format="markdown", out=folder / "page.md"
    )
    assert (code, said) == (0, f"{folder / 'page.md'}: 1 claims\n")
    page = (folder / "page.md").read_text()
    assert re.search(r"\| claim \| An activation in place saves memory\. \|.*\*\*confirmed\*\* \|", page)
    assert re.search(r"\| {2}\| – bytes kept, in place over not \| &lt; 1\.00 \| 0\.\d\d \| 1 \|", page)


def test_runs_of_other_sources_are_refused_in_one_message(measured, tmp_path, monkeypatch):
    _, folder = measured
    monkeypatch.chdir(folder)
    first, second = Store(folder / "results" / "runs" / "runs.jsonl").read()
    store = Store(tmp_path / "mixed.jsonl")
    store.append(first)
    store.append(type(second)(**{name: getattr(second, name) for name in second.__struct_fields__} | {"code": {}}))
    code, said = told(names=["claim.yaml"], runs=[tmp_path / "mixed.jsonl"])
    assert code == 1
    assert "refused to compare runs that differ in more than the claim does" in said


def test_nothing_is_measured_beyond_the_budget(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, said = told(budget="1s")
    assert code == 0
    assert re.search(r"Beyond the budget and not measured: S\d\d \(\d", said)
    assert not (tmp_path / "results").exists()
    assert said.rstrip().splitlines()[-1].startswith("42 claims: ")


def test_what_cannot_be_tested_here_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, said = told(names=["S12", "S01"], device="cpu")
    assert code == 3
    assert "S12: needs 1 GPU; found none" in said
    assert "S01: needs 8 GPUs; found none" in said


@pytest.fixture(scope="module")
def judged(here, tmp_path_factory):
    """A claim about a task that a network judges which no run had trained, and the folder that it was measured in."""
    folder = tmp_path_factory.mktemp("judged")
    (folder / "claim.yaml").write_text(JUDGED)
    (folder / "clips.yaml").write_text(CLIPS)
    return here(folder, "claims", "claim.yaml"), folder


def test_a_network_that_judges_is_trained_first(judged):
    answer, folder = judged
    assert answer.code == 0, answer.out + answer.err
    assert "claim needs a network that digits trains, and no run here kept one" in answer.out
    judge, *trained = records(folder)
    assert (judge["recipe"], judge["sweep"], judge["seed"]) == ("digits", None, 0)
    assert {one["config"]["resolved"]["nets"]["features"] for one in trained} == {judge["run_id"]}
    assert len(trained) == 6
    assert "1 claim: 1 " in answer.out
    assert "not measured" not in answer.out


def test_a_network_that_is_there_is_not_trained_again(judged, monkeypatch):
    _, folder = judged
    monkeypatch.chdir(folder)
    code, said = told(names=["claim.yaml"])
    assert (code, "needs a network" in said) == (0, False)
    assert len(records(folder)) == 7


@pytest.mark.parametrize(
    ("ends", "code", "told_why"),
    [
        (MissingError("the disk is gone\nmore"), 3, "claim: needs a network that digits trains: the disk is gone"),
        ("diverged", 1, "claim: needs a network that digits trains, and that training has the status diverged"),
        ("interrupted", 130, "Stopped before its end; the same command goes on"),
    ],
)  # fmt: skip
def test_a_network_that_cannot_be_trained(ends, code, told_why, tmp_path, monkeypatch):
    def run_seeds(options, *_, **__):
        assert (options.recipe, options.seeds, options.keep_weights) == ("digits", 1, True)
        if isinstance(ends, MissingError):
            raise ends
        run = SimpleNamespace(run_id="none", status=ends)
        return SimpleNamespace(runs=[run], exit_code=lambda: 130 if ends == "interrupted" else 1)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(claim_nets, "run_seeds", run_seeds)
    (tmp_path / "claim.yaml").write_text(JUDGED)
    (tmp_path / "clips.yaml").write_text(CLIPS)
    found, said = told(names=["claim.yaml"], device="cpu")
    assert found == code
    assert told_why in said
    assert not (tmp_path / "results" / "runs" / "runs.jsonl").exists()


def test_ctrl_c_keeps_what_was_measured(tmp_path):
    (tmp_path / "claim.yaml").write_text(CLAIM)
    (tmp_path / "widths.yaml").write_text(FOR_EVER)
    process = start("claims", "claim.yaml", cwd=tmp_path)
    read_until(process, "run 1 of 6")
    wait_for_workers(process)
    process.send_signal(signal.SIGINT)
    read_until(process, "Ctrl-C again stops now")
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert statuses(tmp_path) == ["interrupted"]


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("1.5h", 5400)])
def test_a_budget(text, seconds):
    assert budget_s(ClaimsOptions(budget=text)) == seconds


@pytest.mark.parametrize("text", ["30", "m", "-5m", "0m", "1d", "1e9h", "nan", "٣m"])
def test_no_budget(text):
    with pytest.raises(UsageError, match="give a time such as 90s, 30m or 2h"):
        budget_s(ClaimsOptions(budget=text))


def test_a_mistake_in_one_claim_keeps_no_other_verdict_back(measured, tmp_path, monkeypatch):
    _, folder = measured
    monkeypatch.chdir(folder)
    wrong = COUNTED.replace("metric: activation_bytes", "metric: activation_byte")
    (folder / "wrong.yaml").write_text(wrong)
    code, said = told(names=["claim.yaml", "wrong.yaml"], runs=[folder / "results" / "runs"])
    assert code == 2
    assert re.search(
        r"wrong.yaml:9: memory runs have no metric 'activation_byte' \(did you mean 'activation_bytes'", said
    )
    assert "2 claims: 1 confirmed, 1 unsure" in said


@pytest.mark.parametrize(
    ("options", "told_why"),
    [
        ({"out": "page.md"}, "--out page.md: .*add --format markdown or html"),
        ({"runs": ["x"], "budget": "1m"}, "--budget: with --runs nothing is measured"),
        ({"runs": ["x"], "seeds": 9}, "--seeds: with --runs nothing is measured"),
    ],
)
def test_options_that_would_do_nothing_are_refused(options, told_why):
    with pytest.raises(UsageError, match=told_why):
        told(**options)
