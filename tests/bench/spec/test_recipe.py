import contextlib
import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.runs.run import cell_id
from bench.spec import recipes
from bench.spec.recipe import Recipe

MINIMAL = """
data: digits
model: darknet
batch_size: 64
epochs: 2
optimizer: {name: sgd, lr: 0.1}
"""


@pytest.fixture
def write(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return str(path)

    return write


def refusal(path: str, *settings: str, device: str = "cpu") -> str:
    with pytest.raises(UsageError) as caught:
        recipes.load(path, device, settings)
    return str(caught.value)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("name", recipes.names())
def test_every_shipped_recipe_is_valid_and_says_what_it_is(name, device):
    recipe = recipes.load(name, device)
    assert recipe.summary
    assert recipe.source


def test_bare_names_are_mappings_without_options(write):
    recipe = recipes.load(write(MINIMAL), "cpu")
    assert (recipe.data.name, recipe.model.name, recipe.model.options) == ("digits", "darknet", {})


def test_a_setting_overrides_at_any_depth(write):
    recipe = recipes.load(write(MINIMAL), "cpu", ["epochs=0.5", "model.width=8", "optimizer.lr=0.3", "schedule=linear"])
    assert recipe.epochs == 0.5
    assert recipe.model.options == {"width": 8}
    assert recipe.optimizer.lr == 0.3
    assert recipe.schedule.name == "linear"


def test_another_name_drops_the_old_ones_options(write):
    text = MINIMAL.replace("model: darknet", "model: {name: darknet, width: 8}")
    for setting in ("model=speedrun", "model.name=speedrun"):
        assert recipes.load(write(text), "cpu", [setting]).model.options == {}
    assert recipes.load(write(text), "cpu", ["model.blocks=[1]"]).model.options == {"width": 8, "blocks": [1]}


@pytest.mark.parametrize(
    ("text", "lr"), [("1e-4", 1e-4), ("1E2", 100.0), ("+2e0", 2.0), ("1.5e-3", 1.5e-3), ("3", 3.0)]
)
def test_numbers_with_exponents_are_numbers(write, text, lr):
    assert recipes.load(write(MINIMAL.replace("0.1", text)), "cpu").optimizer.lr == lr
    assert recipes.load(write(MINIMAL), "cpu", [f"optimizer.lr={text}"]).optimizer.lr == lr


@pytest.mark.parametrize("value", [".nan", "-.inf", "[1, {low: .inf}]"])
def test_an_option_that_no_record_can_hold_is_refused(write, tmp_path, value):
    assert re.search(r"model\.scale\S*: \S+ is not finite", refusal(write(MINIMAL), f"model.scale={value}"))
    (tmp_path / "mine.py").write_text("class Mine: ...")
    own = f"optimizer.groups={{biases: {{name: '{tmp_path}/mine.py:Mine', lr: 1, fancy: {value}}}}}"
    assert re.search(r"optimizer\.groups\.biases\.fancy\S*: \S+ is not finite", refusal(write(MINIMAL), own))


def test_an_overlay_counts_on_its_device_alone(write):
    path = write(MINIMAL + "on_cuda: {precision: pure_fp16, optimizer: {lr: 0.7}}\n")
    cpu, cuda = (recipes.load(path, device) for device in ("cpu", "cuda"))
    assert (cpu.precision, cpu.optimizer.lr) == ("auto", 0.1)
    assert (cuda.precision, cuda.optimizer.lr, cuda.optimizer.name) == ("pure_fp16", 0.7, "sgd")


def test_a_setting_beats_an_overlay(write):
    path = write(MINIMAL + "on_cpu: {batch_size: 32}\n")
    assert recipes.load(path, "cpu", ["batch_size=16"]).batch_size == 16


def test_another_recipe_may_stand_in_on_a_device(write, tmp_path):
    path = write(MINIMAL + "on_cpu: digits\non_cuda: {batch_size: 32}\n")
    assert recipes.load(path, "cpu") == recipes.load("digits", "cpu")
    assert recipes.load(path, "cuda").batch_size == 32
    assert refusal(path, "batch_size=0").startswith("--set batch_size=0: ")
    chain = tmp_path / "chain.yaml"
    chain.write_text(f"on_cpu: {path}\non_cuda: 3\n")
    assert "chain.yaml:2: on_cuda is 3; it holds the keys that differ" in refusal(str(chain))
    chain.write_text(f"on_cpu: {path}\n")
    assert recipes.load(str(chain), "cpu") == recipes.load("digits", "cpu")
    assert "unknown recipe 'digtis' (did you mean 'digits'?)" in refusal(write(MINIMAL + "on_cpu: digtis\n"))


def test_an_unknown_recipe_names_the_nearest():
    said = r"unknown recipe 'cifar_94' \(did you mean 'cifar94', 'cifar9\d' or 'cifar9\d'\?\); `bench recipes` lists"
    assert re.search(said, refusal("cifar_94"))


def test_a_missing_file_is_named():
    assert refusal("nowhere/x.yaml") == "there is no recipe file nowhere/x.yaml"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("ephocs: 3", r"7: unknown key 'ephocs' \(did you mean 'epochs'\?\); `bench list keys` lists all"),
        ("loss: {smoothing: 0.1}", r"7: unknown key 'loss.smoothing' .*there are: label_smoothing, reduction"),
        ("threads: many", r"7: threads is 'many': input should be a valid integer"),
        ("target_accuracy: 94", r"7: target_accuracy is 94: input should be less than 1; accuracies are fractions"),
        ("precision: fp8", r"7: precision is 'fp8'.*allowed: 'auto', 'fp32'"),
        ("loader: residnet", r"7: loader: unknown loader 'residnet' \(did you mean 'resident'\?\); there are: "),
        ("schedule: {name: one_cycel}", r"7: schedule.name is 'one_cycel' \(did you mean 'one_cycle'.*; allowed:"),
        ("schedule: {name: linear, div: 3}", r"7: unknown key 'schedule.div'.*; `bench list keys` lists"),
        ("stop_at_target: true", r"7: stop_at_target: needs a target_accuracy"),
        ("compile: true", r"7: compile: needs warm_up_steps"),
        ("compile: yes please", r"7: compile is 'yes please': input should be a valid boolean"),
        ("evaluation:\n  tta: 3", r"8: evaluation.tta is 3; allowed: 0, 1 or 2"),
        ("augment: {flip: sideways}", r"7: augment.flip is 'sideways'; allowed: 'none', 'random' or 'alternating'"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_and_what_is_allowed(write, change, message):
    assert re.search(message, refusal(write(MINIMAL.strip() + "\n\n" + change + "\n")))


def test_impossible_combinations_are_refused(write):
    random = MINIMAL.replace("digits", "random") + "target_accuracy: 0.9\n"
    assert "random data has nothing to learn" in refusal(write(random))
    muon = MINIMAL.replace("{name: sgd, lr: 0.1}", "{name: sgd, lr: 0.1, newton_schulz_steps: 3}")
    assert "optimizer.newton_schulz_steps: sgd has no such option" in refusal(write(muon))
    group = MINIMAL.replace("{name: sgd, lr: 0.1}", "{name: muon, lr: 0.1, groups: {biases: {name: sgd}}}")
    assert "optimizer.groups.biases.lr: needed" in refusal(write(group))
    role = MINIMAL.replace("{name: sgd, lr: 0.1}", "{name: sgd, lr: 0.1, groups: {haed: {lr: 1.0}}}")
    assert re.search(r"haed.*allowed.*'head'", refusal(write(role)))


def test_a_setting_is_blamed_by_its_own_words(write):
    assert refusal(write(MINIMAL), "epochs=-1").startswith(
        "--set epochs=-1: epochs is -1: input should be greater than 0"
    )
    assert refusal(write(MINIMAL), "epocs=1").startswith("--set epocs=1: unknown key 'epocs' (did you mean 'epochs'?)")
    assert "write key=value" in refusal(write(MINIMAL), "epochs")


def test_a_missing_key_is_named(write):
    assert "mine.yaml: the key 'epochs' is missing" in refusal(write(MINIMAL.replace("epochs: 2\n", "")))


def test_several_mistakes_are_told_at_once(write):
    assert len(refusal(write(MINIMAL + "a: 1\nb: 2\n")).splitlines()) == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a\n- b\n",
        "just words",
        "epochs: [1, 2",
        "\x00",
        "a: 1\na: 2\n",
        "a: &x [*x]\n",
        "!!python/object:os.system {}",
    ],
)
def test_what_is_no_recipe_is_refused_with_its_file(write, text):
    assert "mine.yaml" in refusal(write(text))


def test_prose_and_price_do_not_change_a_cell(write):
    plain = recipes.load(write(MINIMAL), "cpu")
    priced = recipes.load(write(MINIMAL + "summary: words\nprice_per_hour: 3.0\nseeds: 7\n"), "cpu")
    other = recipes.load(write(MINIMAL), "cpu", ["epochs=3"])
    assert cell_id(plain.config()) == cell_id(priced.config()) != cell_id(other.config())


values = st.sampled_from([None, True, -1, 0, 1e400, "", "a b", [], [[]], {}, {"name": 3}, {"a": {"b": []}}, {1: 2}])


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*Recipe.model_fields, "on_cpu", "x"]), values))
def test_no_value_makes_a_traceback(tmp_path_factory, changes):
    path = tmp_path_factory.mktemp("recipe") / "mine.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(MINIMAL) | changes))
    with contextlib.suppress(UsageError):
        recipes.load(str(path), "cpu")


@pytest.mark.parametrize("settings", [["devices=1"], ["batch_per=global"], ["devices=1", "batch_per=device"]])
def test_one_device_is_the_same_cell_as_none_named(settings):
    plain, one = (recipes.load("digits", "cpu", some).config() for some in ([], settings))
    assert recipes.identify(one, "cpu", "throughput") == recipes.identify(plain, "cpu", "throughput")


def test_devices_share_the_batch_or_have_one_each():
    shared = recipes.load("digits", "cpu", ["devices=4"])
    each = recipes.load("digits", "cpu", ["devices=4", "batch_per=device"])
    assert (shared.of_one_device(shared.batch_size), each.of_one_device(each.batch_size)) == (16, 64)
    ids = {recipes.identify(recipe.config(), "cpu", "throughput")[1] for recipe in (shared, each)}
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["devices=0"], "devices is 0"),
        (["devices=true"], "devices is True"),
        (["devices=3"], "batch_size: 64 cannot be shared evenly by 3 devices; take a multiple, or batch_per: device"),
        (["devices=4", "accumulate=32"], "accumulate: 32 equal parts cannot be made of the 16 examples"),
    ],
)
def test_a_batch_that_devices_cannot_share_is_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        recipes.load("digits", "cpu", settings)
