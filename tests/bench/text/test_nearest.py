from bench.text.nearest import choices, did_you_mean, unknown

PLANETS = ["mercury", "venus", "earth", "mars", "jupiter", "saturn", "uranus", "neptune"]


def test_the_nearest_three_are_named_at_most():
    assert did_you_mean("marz", PLANETS) == " (did you mean 'mars'?)"
    assert did_you_mean("h1000", ["h100", "h200", "v100"]) == " (did you mean 'h100', 'v100' or 'h200'?)"
    assert did_you_mean("x1", ["x1a", "x1b", "x1c", "x1d"]).count("'") == 6
    assert did_you_mean("accurcy", ["accuracy", "accuracy"]) == " (did you mean 'accuracy'?)"
    assert did_you_mean("q", PLANETS) == ""


def test_few_are_listed_and_of_many_the_command_is_told_that_lists_them():
    assert choices(PLANETS[:3], "planets") == "there are: mercury, venus, earth"
    assert choices(PLANETS, "planets") == "`planets` lists all 8"
    assert choices(PLANETS, None).count(",") == 7
    assert choices([], "planets") == "there is none"


def test_a_message_about_a_wrong_name_is_short_whatever_the_name():
    assert unknown("planet", "marz", PLANETS, "planets") == (
        "unknown planet 'marz' (did you mean 'mars'?); `planets` lists all 8"
    )
    assert len(unknown("planet", "x" * 5000, PLANETS, "planets")) < 200
