"""What `bench show` says of a script."""

import io

from rich.console import Console

from bench.report.terminal.script import print_script


def test_a_script_is_shown_by_its_newest_run(make_run):
    config = {
        "command": ["python", "train.py", "--seed", "{seed}"],
        "env": {"OMP_NUM_THREADS": "2"},
        "target_accuracy": 0.9,
        "data": {"name": "shapes"},
        "device": "cpu",
        "resolved": {"reported": ["train", "epochs"]},
    }
    common = {"recipe": "train.py", "config": config, "code": {"commit": "a" * 40, "dirty": True}}
    runs = [
        make_run(seed=0, cell="b" * 16, metrics={"accuracy": 0.8}, **common),
        make_run(seed=1, metrics={"accuracy": 0.95, "total_s": 3.0}, command="bench time -- python train.py", **common),
    ]
    console = Console(file=io.StringIO(), width=120)
    print_script(console, "train.py", runs)
    said = console.file.getvalue()
    for words in (
        "--seed '{seed}'",
        "OMP_NUM_THREADS=2",
        "90.00 %",
        "epochs, train",
        "aaaaaaaaa, with changes",
        "1: ok",
    ):
        assert words in said
    assert "95.00 %" in said
    assert "others (bbbbbbbb)" in said
