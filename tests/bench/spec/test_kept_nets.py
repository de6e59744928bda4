"""Networks trained earlier: how a recipe names one, and what a cell's identity says of it."""

from __future__ import annotations

import hashlib
from inspect import isclass
from typing import get_args

import pytest

from bench.errors import MissingError, UsageError
from bench.ingredients.ingredient import Ingredient
from bench.runs.annotation import SCHEMA, Annotation
from bench.runs.run import new_run_id
from bench.runs.store import Store
from bench.runs.weights import place_of
from bench.spec import kept_nets, recipes
from bench.spec.recipe import Recipe


@pytest.fixture
def results(tmp_path):
    token = kept_nets.RESULTS.set(tmp_path)
    yield tmp_path
    kept_nets.RESULTS.reset(token)


@pytest.fixture
def keep(results, make_run):
    """A recorded run of `digits` that kept this content as its weights."""

    def keep(content: bytes, recipe: str = "digits"):
        run = make_run(recipe=recipe)
        sha256 = hashlib.sha256(content).hexdigest()
        file = place_of(run.run_id, results)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        kept = {"file": f"runs/weights/{file.name}", "sha256": sha256}
        run = make_run(run_id=run.run_id, recipe=recipe, config={"resolved": {"kept_weights": kept}})
        Store(results / "runs" / "runs.jsonl").append(run)
        return run, sha256

    return keep


def recipe(features="digits"):
    return recipes.load("wgan_smoke", "cpu", [f"task.features={features}"])


def cell(of, measure="time_to_accuracy"):
    return recipes.identify(of.config(), "cpu", measure)[1]


def test_a_recipe_stands_for_its_newest_run_that_kept_weights(keep):
    keep(b"one")
    _, newer = keep(b"two")
    keep(b"three", recipe="others")
    assert kept_nets.needed(recipe())["features"].sha256 == newer


def test_a_run_that_was_declared_invalid_lends_its_network_by_its_id_alone(keep, results):
    _, older = keep(b"one")
    spoilt, newer = keep(b"two")
    said = Annotation(annotates=spoilt.run_id, id=new_run_id(), schema=SCHEMA, invalid="trained on the test images")
    Store(results / "runs" / "runs.jsonl").extend(lambda: [said.to_json_line()])
    assert kept_nets.needed(recipe())["features"].sha256 == older
    assert kept_nets.needed(recipe(spoilt.run_id))["features"].sha256 == newer


def test_a_cell_goes_on_with_its_network_after_all_runs_of_the_recipe_were_declared_invalid(keep, results):
    spoilt, sha256 = keep(b"one")
    told = {"task": {"features": {"sha256": sha256[:16]}}}
    said = Annotation(annotates=spoilt.run_id, id=new_run_id(), schema=SCHEMA, invalid="trained on the test images")
    Store(results / "runs" / "runs.jsonl").extend(lambda: [said.to_json_line()])
    assert kept_nets.needed(recipe(), cell=told)["features"].sha256 == sha256
    with pytest.raises(MissingError, match="bench run digits"):
        kept_nets.needed(recipe())


def test_a_run_and_a_file_name_their_own(keep, results):
    older, sha256 = keep(b"one")
    keep(b"two")
    assert kept_nets.needed(recipe(older.run_id))["features"].sha256 == sha256
    assert kept_nets.needed(recipe(place_of(older.run_id, results)))["features"].sha256 == sha256


def test_which_network_judges_is_part_of_the_cell(keep):
    nobody = cell(recipe())
    run, sha256 = keep(b"one")
    judged = cell(recipe())
    config, _ = recipes.identify(recipe().config(), "cpu", "time_to_accuracy")
    assert config["task"]["features"] == {"sha256": sha256[:16]}
    keep(b"two")
    assert len({nobody, judged, cell(recipe())}) == 3
    assert cell(recipe(run.run_id)) == judged
    # What a record says makes the same cell again, and finds the same weights.
    again = recipes.load("wgan_smoke", "cpu", {"task.features": config["task"]["features"]})
    assert cell(again) == judged
    assert kept_nets.needed(again)["features"].sha256 == sha256


def test_a_cell_keeps_its_network_when_a_newer_one_comes(keep):
    _, sha256 = keep(b"one")
    config, _ = recipes.identify(recipe().config(), "cpu", "time_to_accuracy")
    keep(b"two")
    assert kept_nets.needed(recipe(), cell=config)["features"].sha256 == sha256


def test_the_throughput_does_not_depend_on_it(keep):
    before = cell(recipe(), "throughput")
    keep(b"one")
    assert cell(recipe(), "throughput") == before


def test_without_one_the_command_is_told_that_trains_one(results):
    with pytest.raises(MissingError, match=r"task\.features: no run of digits .*`bench run digits --keep-weights"):
        kept_nets.needed(recipe())
    assert "bench run digits --keep-weights" in kept_nets.lack(recipe())
    assert results.exists()


@pytest.mark.usefixtures("results")
@pytest.mark.parametrize(
    ("features", "said"),
    [
        ("null", "task.features: null names no network"),
        ("20261120T10", "task.features 20261120T10: there is no such file, and"),
        ("digts", "It is no recipe either (did you mean 'digits'?); `bench list recipes` lists those"),
        ("{sha256: 0123456789abcdef}", "no weights with SHA-256 0123456789abcdef"),
    ],
)
def test_what_names_nothing_is_told(features, said):
    with pytest.raises((UsageError, MissingError)) as caught:
        kept_nets.needed(recipe(features))
    assert said in str(caught.value)


def test_a_claim_knows_the_cells_of_every_network_trained_so_far(keep):
    config = recipe().config()
    assert list(kept_nets.alternatives(config)) == [config]
    first, second = keep(b"one")[1], keep(b"two")[1]
    told = {one["task"]["features"]["sha256"] for one in kept_nets.alternatives(config)}
    assert told == {first[:16], second[:16]}
    plain = recipes.load("digits", "cpu").config()
    assert list(kept_nets.alternatives(plain)) == [plain]


def test_networks_in_files_of_runs_count_for_their_claims(keep, results, tmp_path):
    keep(b"one")
    moved = tmp_path / "elsewhere.jsonl"
    (results / "runs" / "runs.jsonl").rename(moved)
    config = recipe().config()
    assert list(kept_nets.alternatives(config)) == [config]
    with kept_nets.judged_by([moved]):
        (found,) = kept_nets.alternatives(config)
    assert kept_nets.judges_of(found) == found["task"]["features"]["sha256"]


def test_a_network_that_lends_its_weights_judges_nothing():
    of = {"name": "restoration", "encoder": {"sha256": "b" * 16}, "features": {"sha256": "a" * 16}}
    assert kept_nets.judges_of({"task": of}) == "a" * 16
    assert kept_nets.judges_of({"task": of | {"features": None}}) == ""
    assert kept_nets.judges_of({"task": {"name": "restoration_gan", "features": {"sha256": "a" * 16}}}) == "a" * 16
    assert kept_nets.judges_of({}) == ""


def test_every_ingredient_that_needs_such_a_network_is_known():
    kinds = [(key, kind) for key, field in Recipe.model_fields.items() for kind in get_args(field.annotation)]
    needing = {key for key, kind in kinds if isclass(kind) and issubclass(kind, Ingredient) and kind.NETS}
    assert needing == kept_nets.INGREDIENTS.keys() == {"distillation"}


def student(teacher="digits"):
    return recipes.load("digits", "cpu", [f"distillation.teacher={teacher}"])


def test_a_teacher_is_part_of_the_cells_that_it_taught(keep):
    _, sha256 = keep(b"one")
    config, taught = recipes.identify(student().config(), "cpu", "time_to_accuracy")
    assert config["distillation"]["teacher"] == {"sha256": sha256[:16]}
    assert kept_nets.needed(student(), "throughput")["teacher"].sha256 == sha256
    keep(b"two")
    assert cell(student()) != taught == cell(student(f"{{sha256: {sha256[:16]}}}"))


def test_the_inference_of_a_student_needs_no_teacher(keep):
    before = cell(student(), "inference")
    keep(b"one")
    assert kept_nets.needed(student(), "inference") == {}
    assert cell(student(), "inference") == before


def test_a_teacher_cannot_be_null():
    with pytest.raises(
        UsageError, match=r"distillation\.teacher: null names no network trained earlier; give a recipe"
    ):
        student("null")


@pytest.mark.usefixtures("results")
def test_without_a_teacher_nothing_is_trained():
    with pytest.raises(MissingError, match=r"distillation\.teacher: no run of digits .*--keep-weights"):
        kept_nets.needed(student())
    assert kept_nets.untrained(student().config()) == ["digits"]
    assert kept_nets.untrained(student().config(), "throughput") == ["digits"]
    assert kept_nets.untrained(student().config(), "inference") == []
    assert kept_nets.untrained(recipe().config(), "throughput") == []


def test_a_claim_knows_the_cells_of_every_teacher_and_none_of_them_is_a_judge(keep):
    first, second = keep(b"one")[1], keep(b"two")[1]
    found = list(kept_nets.alternatives(student().config()))
    assert {one["distillation"]["teacher"]["sha256"] for one in found} == {first[:16], second[:16]}
    assert {kept_nets.judges_of(one) for one in found} == {""}


@pytest.mark.parametrize("config", [{"task": "sum"}, {"distillation": "strong"}, {"task": None, "distillation": None}])
def test_what_a_users_command_calls_so_names_no_network(config):
    assert kept_nets.judges_of(config) == ""
    assert kept_nets.untrained(config) == []
    assert list(kept_nets.alternatives(config)) == [config]
