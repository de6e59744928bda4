import io

import pytest

from bench.profiling.profile import Profile, StageFigures
from bench.profiling.reference import Rate
from bench.report.terminal.profile import print_profile
from bench.spec import recipes
from bench.statistics.sampling import Samples, Stop
from bench.text.console import LastingConsole

SECONDS = Samples((0.010, 0.010), Stop.RELATIVE_ERROR)


@pytest.fixture
def example() -> Profile:
    stem = StageFigures("stem", "Conv2d", (4, 16, 8, 8), 100, 8_000_000, 16_000_000, 2**20, 0.001, 0.002, 7)
    head = StageFigures("head", "Linear", (4, 10), 50, 4_000, 8_000, 2**10, 0.0005, 0.0005, 7)
    net = StageFigures("net", "Net", (4, 10), 150, 8_004_000, 16_008_000, 2**21, 0.002, 0.003, 7)
    parts = {"loader": 0.001, "forward": 0.002, "loss": 0.001, "backward": 0.003, "optimiser": 0.002, "other": 0.001}
    return Profile(4, "fp32", [stem, head], net, parts, SECONDS, 0.001, Rate(1e9, SECONDS))


def shown(profile: Profile, *settings: str, width: int = 80) -> str:
    out = io.StringIO()
    print_profile(LastingConsole(file=out, width=width), "mine", recipes.load("digits", "cpu", settings), profile)
    return out.getvalue()


def cells(text: str, row: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f" {row} ")]
    return line.split()


def test_a_stage_is_told_with_its_share_and_rate(example):
    row = " ".join(cells(shown(example), "stem"))
    # 24 MFLOP in 3 ms are 8 GFLOP/s, of a peak of 100; 2 MFLOP an example; 3 of 10 ms.
    assert row == "stem Conv2d 16×8×8 100 2 M 1 ms 2 ms 30.0 % 1 MiB 8 G 8.0 %"


def test_what_lies_around_the_net_makes_up_the_step(example):
    text = shown(example)
    assert cells(text, "between stages")[2:6] == ["0.5", "ms", "0.5", "ms"]
    shares = [float(cells(text, row)[-2]) for row in ("loader", "loss", "optimiser", "other")]
    assert sum(shares) == pytest.approx(50.0)
    assert "100.0 %" in " ".join(cells(text, "step"))
    assert "evaluation, on top" in text


def test_nothing_is_cropped_on_a_narrow_screen(example):
    assert "…" not in shown(example, width=40)


def test_it_is_told_what_the_figures_are_worth(example):
    text = shown(example)
    assert "Slowest: stem 30.0 %, head 10.0 %." in text
    assert "a ratio of 0.80" in text
    assert "n = 2 steps, 7 of each stage" in text
    assert "torch.compile" not in text
    assert "torch.compile is on in the recipe and off here" in shown(example, "compile=true", "warm_up_steps=1")
