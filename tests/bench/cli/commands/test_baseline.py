"""`bench baseline` where nothing is measured: its help, and names of baselines that are not there."""

import pytest


@pytest.mark.parametrize("command", [[], ["save"], ["list"], ["show"], ["noise"], ["drop"]])
def test_help_has_the_exit_codes_of_that_command_and_not_those_of_the_gate(bench, command):
    told = " ".join(bench("baseline", *command, "--help").out.split())
    assert "Exit codes: 0" in told
    assert "--unsure" not in told
    assert "regression" not in told


@pytest.mark.parametrize(
    ("arguments", "code"), [(["list"], 3), (["show", "x"], 2), (["noise", "x"], 2), (["drop", "x"], 2)]
)
def test_a_baseline_that_is_not_there_ends_with_the_code_that_help_tells(bench, arguments, code):
    answer = bench("baseline", *arguments)
    assert answer.code == code
    assert f"; {code} " in " ".join(bench("baseline", arguments[0], "--help").out.split())
