import pytest

import bench
from bench.errors import UsageError
from bench.exchange import dawnbench
from bench.exchange.to_runs import UNKNOWN_SEED, entry_back, run_of
from bench.runs.labels import is_imported
from bench.runs.run import Run
from bench.runs.store import Store
from bench.scores.rules import RULES, rule
from bench.scores.rules.timing import UNDIVIDED


def test_the_same_entry_is_the_same_run(put_train):
    first = run_of(dawnbench.load(put_train()), "one")
    assert first.run_id == run_of(dawnbench.load(put_train()), "other").run_id
    assert first.run_id.startswith("20181106T000000.000000Z-")
    changed = run_of(dawnbench.load(put_train([["1", "0.1", "94.1"]])), "one")
    assert changed.run_id != first.run_id
    assert changed.cell != first.cell


def test_it_is_marked_as_anothers(put_train, make_run):
    run = run_of(dawnbench.load(put_train()), "their_net")
    assert is_imported(run)
    assert not is_imported(make_run())
    assert run.config["imported"]["source"] == "dawnbench"
    assert run.seed == UNKNOWN_SEED
    assert run.machine == {"id": None, "hardware": "1 V100 / 61 GB, 8 CPU"}
    # No span that a clock of ours would take for training alone.
    assert {span["name"] for span in run.spans} == {UNDIVIDED}


def test_its_figures(put_train, put_inference):
    run = run_of(dawnbench.load(put_train()), "their_net")
    assert run.price_per_hour == 3.06
    assert run.metrics["time_to_target_s"] == pytest.approx(1080)
    assert run.metrics["accuracy"] == 0.935
    assert [row["epoch"] for row in run.epochs] == [1, 2, 3, 4]
    assert run.spans[-1]["end_s"] == pytest.approx(0.4 * 3600)
    run = run_of(dawnbench.load(put_inference()), "their_net")
    assert (run.measure, run.metrics["latency_mean_ms"]) == ("inference", 0.9)
    assert run.price_per_hour * run.metrics["latency_mean_ms"] / 3.6e6 == pytest.approx(7.65e-7)


def test_the_store_and_the_table_take_it(put_train, put_inference, make_run, tmp_path):
    store = Store(tmp_path / "results" / "runs" / "imported.jsonl")
    made = [run_of(dawnbench.load(path), path.stem) for path in (put_train(), put_inference())]
    for run in made:
        store.append(run)
    Store(store.path.with_name("runs.jsonl")).append(make_run(epochs=[{"epoch": 1, "accuracy": 0.5}]))
    assert store.read() == made
    runs, epochs = bench.load(results=tmp_path / "results")
    foreign = runs[runs["config.imported.source"].notna()]
    assert list(foreign["recipe"]) == ["author_resnet9_1v100_pytorch"] * 2
    assert list(foreign["machine.hardware"]) == ["1 V100 / 61 GB, 8 CPU"] * 2
    assert epochs["epoch"].dtype == "int64"
    assert len(epochs) == 5


def test_every_real_entry_goes_in_and_out_unchanged(real_entries):
    ids = set()
    for path in dawnbench.find([real_entries]):
        entry = dawnbench.load(path)
        run = run_of(entry, path.stem)
        ids.add(run.run_id)
        assert entry_back(Run.from_json_line(run.to_json_line())) == entry
    assert len(ids) == 52


def test_only_dawnbenchs_own_rule_scores_it(put_train, put_inference):
    run = run_of(dawnbench.load(put_train()), "their_net")
    score = rule("dawnbench").score([run])
    assert score.qualifies, score.reasons
    assert score.time_s.value == pytest.approx(1080)
    assert score.cost_usd.value == pytest.approx(0.3 * 3.06)
    for name in set(RULES) - {"dawnbench"}:
        assert "imported" in {reason.code for reason in rule(name).score([run]).reasons}
    score = rule("dawnbench", "inference").score([run_of(dawnbench.load(put_inference()), "their_net")])
    assert score.latency_ms.value == 0.9
    assert score.cost_usd.value == pytest.approx(7.65e-7)


@pytest.mark.parametrize("imported", [{}, {"document": "{"}, {"document": "[]"}, {"document": "{}"}])
def test_what_is_marked_as_anothers_and_holds_no_entry_is_refused(imported, make_run):
    with pytest.raises(UsageError):
        entry_back(make_run(config={"imported": imported}))
