"""The `published` key: what a recipe's source measured, as facts."""

import re

import pytest

from bench.errors import UsageError
from bench.execution.duration_estimate import PUBLISHED, cell_now
from bench.runs.run import FINISHED, cell_id
from bench.runs.store import Store
from bench.spec import matrix as matrices
from bench.spec import recipes
from bench.spec.published import Published
from bench.spec.recipe import Recipe
from bench.statistics import estimates


@pytest.mark.parametrize("name", recipes.names())
def test_every_published_fact_of_a_shipped_recipe_names_its_hardware(name):
    for fact in recipes.load(name, "cpu").published:
        assert fact.hardware
        assert fact.time_s is not None or fact.accuracy is not None


OWN = [(name, fact) for name in recipes.names() for fact in recipes.load(name, "cpu").published if fact.runs]


@pytest.mark.parametrize(("name", "fact"), OWN, ids=[name for name, _ in OWN])
def test_our_own_facts_are_what_our_runs_say(name, fact):
    """Of all runs of the recipe as it is now: seeds 0, 1, 2 and so on, none left out."""
    runs = Store(PUBLISHED / fact.runs).read()
    device = runs[0].config["device"]
    # CPUs differ in what `auto` means.
    recipe = recipes.load(name, device, ["precision=bf16"] if device == "cpu" else [])
    _, cell = recipes.identify(recipe.config(), device, "time_to_accuracy")
    these = [run for run in runs if cell_now(run) == cell and run.status in FINISHED]
    assert [run.seed for run in these] == list(range(fact.n))
    for metric, value, margin, digits in (
        ("accuracy", fact.accuracy, fact.accuracy_margin, 4),
        ("train_s", fact.time_s, fact.time_margin_s, 1 if device == "cpu" else 3),
    ):
        found = estimates.mean([run.metrics[metric] for run in these])
        assert found.high is not None
        assert (value, margin) == (round(found.value, digits), round(found.high - found.value, digits))


def test_facts_are_read_and_null_where_nothing_is_said():
    (fact,) = recipes.load("digits", "cpu", ["published=[{hardware: 1 K80, time_s: 3158, accuracy: 0.91}]"]).published
    assert fact == Published(hardware="1 K80", time_s=3158, accuracy=0.91)
    assert (fact.n, fact.cost_usd, fact.clock) == (None, None, None)


def test_they_are_no_part_of_a_cells_identity():
    plain = recipes.load("digits", "cpu")
    told = recipes.load("digits", "cpu", ["published=[{hardware: V100, time_s: 10}]"])
    assert told.published
    assert told.config() == plain.config()
    assert cell_id(told.config()) == cell_id(plain.config())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("words", r"published is 'words'.*list"),
        ("[{time_s: 3}]", r"key 'published.0.hardware' is missing"),
        ("[{hardware: x, acuracy: 1}]", r"'published.0.acuracy' \(did you mean 'accuracy'.*`bench list keys`"),
        ("[{hardware: x, accuracy: 94}]", r"published.0.accuracy is 94.*fractions"),
        ("[{hardware: x, n: 0}]", r"published.0.n is 0"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_key(value, message):
    with pytest.raises(UsageError) as caught:
        recipes.load("digits", "cpu", [f"published={value}"])
    assert re.search(message, str(caught.value))


def published_runs():
    return [(path.stem, run) for path in sorted(PUBLISHED.glob("*.jsonl")) for run in Store(path).read()]


def test_no_key_that_came_later_renames_the_cell_of_a_published_run():
    for file, run in published_runs():
        added = {"device", "resolved", "sampling", "weights"}
        recipe = Recipe.model_validate({key: value for key, value in run.config.items() if key not in added})
        extra = {key: run.config[key] for key in added & set(run.config) - {"device", "resolved"}}
        # A run that was interrupted early had not resolved its own.
        precision = run.config["resolved"].get("precision", run.config["precision"])
        config = recipe.config() | extra | {"precision": precision}
        _, cell = recipes.identify(config, run.config["device"], run.measure)
        assert cell == cell_now(run), (file, run.run_id)


def test_the_ablation_still_makes_the_cells_that_were_published():
    cells = matrices.expand(matrices.load("cifar94_cpu_ablation"), "cpu")
    ids = {recipes.identify(cell.config | {"precision": "bf16"}, "cpu", "time_to_accuracy")[1] for cell in cells}
    assert ids == {cell_now(run) for file, run in published_runs() if file == "cifar94_cpu_ablation"}
