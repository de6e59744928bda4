"""The measures that the lectures' claims need: a real run of each, and what of a recipe makes their cells."""

import dataclasses

import pytest

from bench import spec
from bench.errors import UsageError
from bench.execution.runner import execute
from bench.spec import recipes


def end_of(told):
    assert told[-1]["kind"] == "end"
    return told[-1]["metrics"], {
        key: value for event in told if event["kind"] == "facts" for key, value in event.items()
    }


def test_find_lr_suggests_a_rate_for_digits_that_trains_it(make_job, run_here):
    metrics, facts = end_of(run_here(make_job("find_lr", "model.width=16")))
    curve = facts["resolved"]["curve"]
    assert len(curve["rate"]) == len(curve["loss"]) == len(curve["smoothed"]) == metrics["steps"]
    assert 0.01 < metrics["suggested_lr"] < metrics["best_lr"]
    trained, _ = end_of(
        run_here(make_job("time_to_accuracy", "model.width=16", f"optimizer.lr={metrics['suggested_lr']}", "epochs=10"))
    )
    assert trained["accuracy"] > 0.9


def test_a_surface_has_the_trained_loss_in_its_middle(make_job, run_here):
    told = run_here(make_job("surface", "epochs=2", "surface={points: 5, reach: 0.5, images: 100}"))
    metrics, facts = end_of(told)
    surface = facts["resolved"]["surface"]
    assert surface["steps"] == [-0.5, -0.25, 0.0, 0.25, 0.5]
    assert surface["loss"][2][2] == metrics["centre_loss"] < metrics["highest_loss"]
    assert metrics["roughness"] > 0
    assert metrics["epochs"] == 2


def test_resizing_tells_both_passes_and_what_was_resized(make_job):
    measured = execute(
        make_job("resize", "resize={method: opencv, how: threads, workers: 2, images: 40}", recipe="resize"),
        lambda _: None,
    )
    assert measured.status == "ok", measured.log_tail
    metrics = measured.metrics
    assert metrics["images_per_s"] == pytest.approx(40 / metrics["first_pass_s"])
    assert metrics["stored_bytes"] == 40 * 224 * 224 * 3
    assert metrics["stored_pass_s"] < metrics["first_pass_s"]
    assert measured.facts["data"]["train_count"] == 40
    assert [span["name"] for span in measured.spans][-3:] == ["warm_up", "measure", "stored"]


def test_neighbours_of_the_index_are_nearly_those_of_brute_force(make_job, run_here):
    pytest.importorskip("faiss")
    settings = ("data=digits", "neighbours={base: 1000, queries: 50, k: 5}")
    for index in ("hnsw", "ivf"):
        told = run_here(make_job("neighbours", *settings, f"neighbours.index={index}", recipe="neighbours"))
        metrics, _ = end_of(told)
        assert metrics["recall"] > 0.95, index
        assert metrics["speed_up"] == pytest.approx(metrics["brute_s"] / metrics["approximate_s"])
        took_s = {span["name"]: span["end_s"] - span["start_s"] for span in told[-1]["spans"]}
        assert metrics["build_s"] == pytest.approx(took_s["approximate_index"])
        assert "exact_index" in took_s
        assert "build" not in took_s  # which is a network's


def test_more_images_than_there_are_is_refused(make_job, run_here):
    pytest.importorskip("faiss")
    with pytest.raises(UsageError, match="20,000 images are asked for, and there are 1,437; ask for fewer"):
        run_here(make_job("neighbours", "data=digits", recipe="neighbours"))


def test_a_checkerboard_is_drawn_by_the_seed(make_job, run_here):
    runs = [make_job("checkerboard", "checkerboard.channels=8", recipe="checkerboard") for _ in range(2)]
    first, again, other = (
        end_of(run_here(one))[0]["phase_variation"] for one in (*runs, dataclasses.replace(runs[0], seed=1))
    )
    assert first == again != other


def test_what_a_measure_does_not_look_at_is_no_part_of_its_cells():
    def cell(measure, *settings):
        return recipes.identify(recipes.load("resize", "cpu", settings).config(), "cpu", measure)

    config, same = cell("resize", "epochs=7", "find_lr.steps=9")
    assert set(config) == {"resize", "device"}
    assert cell("resize")[1] == same != cell("resize", "resize.pixels=72")[1]
    assert cell("throughput", "resize.pixels=72")[1] == cell("throughput")[1]
    assert all(name in recipes.Recipe.model_fields for name in spec.measures.WITH_OPTIONS)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("resize.workers=3", "serial is one worker, not 3"),
        ("resize.method=pilow", "pillow"),
        ("neighbours.base=5", "5 images have no 10 nearest; ask for fewer"),
        ("find_lr.end=1e-9", "1e-09 should be more than 1e-07, the start"),
    ],
)
def test_options_that_do_not_fit_are_refused(setting, said):
    settings = ["find_lr={}", setting] if setting.startswith("find_lr") else [setting]
    with pytest.raises(UsageError, match=said):
        recipes.load("resize", "cpu", settings)


def test_a_recipe_that_trains_nothing_is_for_its_own_measure_alone():
    recipe = recipes.load("resize", "cpu")
    assert recipe.only_measure == "resize"
    recipes.check_measure(recipe, "resize")
    with pytest.raises(UsageError, match="--measure resize, not throughput"):
        recipes.check_measure(recipe, "throughput")
    with_task = {name for name in recipes.names() if recipes.load(name, "cpu").task is not None}
    others = {"resize", "neighbours", "checkerboard"}
    assert set(recipes.names()) - set(recipes.trained_names()) == others | with_task
