from bench.report.terminal.curve import HEIGHT, WIDTH, draw_curve

RATES = [10 ** (-7 + 8 * step / 99) for step in range(100)]


def columns(lines):
    """The drawn part of each line, padded."""
    return [line.partition("│")[2].ljust(WIDTH) for line in lines[:HEIGHT]]


def test_a_falling_line_goes_from_the_upper_left_to_the_lower_right_corner():
    lines = draw_curve(RATES, [3 - step / 50 for step in range(100)])
    drawn = columns(lines)
    assert drawn[0][0] != " "
    assert drawn[-1][-1] != " "
    assert drawn[0][-1] == drawn[-1][0] == " "
    assert lines[0].startswith("      3 │")
    assert lines[HEIGHT - 1].startswith("   1.02 │")


def test_the_explosion_is_left_out_and_the_mark_stands_at_its_rate():
    losses = [2.0 - step / 100 if step < 90 else 1e6 for step in range(100)]
    drawn = columns(draw_curve(RATES, losses, marked=1e-3))
    at = {line.index("┊") for line in drawn if "┊" in line}
    assert at == {round((WIDTH - 1) / 2)}
    assert all(line[-5:].isspace() for line in drawn)


def test_the_axis_names_powers_of_ten_that_do_not_touch():
    *_, axis = draw_curve(RATES, [1.0] * 100)
    assert axis.split() == [f"1e{power}" for power in range(-7, 2)]


def test_what_is_not_finite_is_not_drawn():
    losses = [2.0 - step / 100 for step in range(98)] + [float("nan"), float("inf")]
    assert len(draw_curve(RATES, losses)) == HEIGHT + 2
