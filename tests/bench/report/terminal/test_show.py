import io

import pytest

from bench.report.terminal.show import ingredients, machine_of, published_table, runs_table, words
from bench.spec import recipes
from bench.spec.published import Published
from bench.text.console import LastingConsole

CPU = {"cpu_model": "A CPU", "usable_cores": 2}


def shown(table) -> str:
    out = io.StringIO()
    LastingConsole(file=out, width=160).print(table)
    return out.getvalue()


@pytest.fixture
def a_run(make_run):
    def make(accuracy: float, train_s: float, cell: str = "0123456789abcdef", **fields):
        metrics = {"accuracy": accuracy, "train_s": train_s, "total_s": train_s + 1, "peak_host_bytes": 2**30}
        return make_run(cell=cell, metrics=metrics, machine=CPU, **fields)

    return make


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, ""),
        (0, ""),
        (False, ""),
        ({}, ""),
        (True, "on"),
        (0.0755, "0.0755"),
        ([1, 0, 2], "[1, 0, 2]"),
        ({"name": "linear", "start": 1.0, "end": 0.0}, "linear, start 1, end 0"),
        ({"name": None, "epochs": 3, "squeeze": False, "lr": None, "betas": []}, "epochs 3, squeeze off"),
        ({"name": "sgd", "lr": 0.1, "inner": {"a": 1}}, "sgd, lr 0.1, inner (a 1)"),
        ({"flip": "random", "cutout_pixels": 0}, "flip random"),
    ],
)
def test_a_config_value_in_words(value, said):
    assert words(value) == said


def test_ingredients_are_resolved():
    recipe = recipes.load("cifar94", "cpu", ["batch_size=500"])
    rows = dict(ingredients(recipe, "bf16"))
    assert rows["precision"] == "bf16 (auto)"
    assert rows["batch_size"] == "500"
    assert rows["  head"].startswith("sgd, lr 0.67")
    assert "50,000 + 10,000 images of 3×32×32" in rows["data"]
    assert "compile" not in rows
    assert rows["target"].startswith("94.00 %")


def test_what_the_newest_speed_runs_switch_is_told():
    rows = dict(ingredients(recipes.load("speedrun94_e1", "cuda"), "pure_fp16"))
    assert (rows["antialias"], rows["half_norms"]) == ("off", "on")
    assert "end 0.05, until 0.9577" in rows["schedule"]
    assert "equal_views on" in rows["evaluation"]
    assert "unit_filters_every [2, 17]" in rows["optimizer"]
    assert "antialias" not in dict(ingredients(recipes.load("speedrun94", "cuda"), "pure_fp16"))


def test_brackets_are_no_markup():
    text = shown(published_table([Published(hardware="V100 [8x]", accuracy=0.9, note="see [red]")]))
    assert "V100 [8x]" in text
    assert "see [red]" in text


def test_what_a_source_does_not_say_stays_empty():
    text = shown(published_table([Published(hardware="1 K80", time_s=3158, accuracy=0.91)]))
    assert "52 min 38 s" in text
    assert text.count("–") >= 3
    assert "not said" in text


def test_runs_of_these_settings_come_first_with_their_mean(a_run):
    these = [a_run(0.96, 30.0), a_run(0.98, 32.0), a_run(0.97, 31.0)]
    others = [a_run(0.5, 1.0, "ffffffffffffffff")]
    lines = shown(runs_table(these, others)).splitlines()
    first, second = [line for line in lines if "A CPU, 2 cores" in line]
    assert first.split()[0] == "these"
    assert "97.00 % ± 2.48 %" in first
    assert "31.0 s" in first
    assert second.startswith(" others (ffffffff)")


def test_groups_that_do_not_fit_are_counted(a_run):
    others = [a_run(0.5, float(number), f"{number:016d}") for number in range(8)]
    assert "and 3 more" in shown(runs_table([], others))


def test_the_machine_of_a_gpu_run_is_its_gpu(make_run):
    run = make_run(machine=CPU | {"gpus": [{"name": "A GPU"}]}, config={"device": "cuda"})
    assert machine_of(run) == "A GPU"
    assert machine_of(make_run(machine=CPU)) == "A CPU, 2 cores"
