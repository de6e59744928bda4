import numpy as np
import pytest

from bench.statistics.change_points import CommitComparison, excess_variance, find_changes, levels

COMMITS = 200
ERROR = 0.0015


def chain(rises, rng, errors=ERROR, excess=0.0) -> list[CommitComparison]:
    """Each commit compared with the one before it."""
    sizes = np.broadcast_to(errors, len(rises))
    noise = rng.normal(0, 1, len(rises)) * np.hypot(sizes, excess)
    return [
        CommitComparison(at, at + 1, float(rise + one), float(size))
        for at, (rise, one, size) in enumerate(zip(rises, noise, sizes, strict=True))
    ]


@pytest.mark.parametrize("excess", [0.0, 0.003], ids=["own errors", "sessions differ"])
def test_a_line_without_a_change_hardly_ever_shows_one(excess):
    lines = [chain(np.zeros(COMMITS), np.random.default_rng(seed), excess=excess) for seed in range(150)]
    # 1 % are allowed; were it so, more than six of 150 would be false in one of a thousand tries.
    assert sum(bool(find_changes(line)) for line in lines) <= 6


@pytest.mark.parametrize("seed", range(5))
def test_every_change_that_stands_out_is_found_at_its_commit(seed):
    rng = np.random.default_rng(seed)
    planted = np.sort(rng.choice(COMMITS, 10, replace=False))
    rises = np.zeros(COMMITS)
    rises[planted] = np.where(rng.random(10) < 0.5, 0.0125, -0.0125)
    found = find_changes(chain(rises, rng))
    assert [(one.first, one.last) for one in found] == [(at + 1, at + 1) for at in planted]
    assert all(abs(one.rise - rises[one.first - 1]) < 5 * one.error for one in found)


def test_comparisons_with_an_older_commit_help_to_find_what_neighbours_alone_hide():
    rng = np.random.default_rng(1)
    rises = np.zeros(40)
    rises[20] = 0.01
    neighbours = chain(rises, rng, errors=0.003)
    level = np.concatenate([[0.0], np.cumsum(rises)])
    from_the_first = [
        CommitComparison(0, at, float(level[at] + rng.normal(0, 0.003)), 0.003) for at in range(2, len(level))
    ]  # fmt: skip
    assert find_changes(neighbours) == []
    (found,) = find_changes([*neighbours, *from_the_first])
    assert abs(found.first - 21) <= 1
    assert found.rise == pytest.approx(0.01, abs=0.003)


def test_a_change_that_no_comparison_places_names_the_commits_that_it_may_be_in():
    line = [CommitComparison(0, 1, 0.0, 0.001), CommitComparison(1, 5, 0.05, 0.001)]
    line += [CommitComparison(at, at + 1, 0.0, 0.001) for at in range(5, 12)]
    (found,) = find_changes(line)
    assert (found.first, found.last) == (2, 5)
    assert find_changes(line[:7]) == []  # too few to know what sessions differ by


def test_what_sessions_vary_by_is_estimated_and_a_change_is_not_taken_for_it():
    rng = np.random.default_rng(2)
    residuals, errors = rng.normal(0, 0.005, 2000), np.full(2000, 0.003)
    assert excess_variance(residuals, errors) ** 0.5 == pytest.approx(0.004, rel=0.15)
    residuals[:20] += 1.0
    assert excess_variance(residuals, errors) ** 0.5 == pytest.approx(0.004, rel=0.25)
    assert excess_variance(rng.normal(0, 0.002, 2000), errors) == 0.0


def test_levels_add_up_along_the_line_and_pieces_begin_anew():
    line = [CommitComparison(0, 1, 0.1, 0.03), CommitComparison(1, 2, 0.1, 0.04), CommitComparison(5, 7, -0.2, 0.01)]
    found = {level.position: level for level in levels(line)}
    assert found[2].rise == pytest.approx(0.2)
    assert found[2].error == pytest.approx(0.05)
    assert [found[position].piece for position in (0, 1, 2, 5, 7)] == [0, 0, 0, 1, 1]
    assert (found[5].rise, found[7].rise) == (0.0, pytest.approx(-0.2))
    twice = [*line[:2], CommitComparison(0, 2, 0.3, 0.05)]
    assert levels(twice)[-1].rise == pytest.approx(0.25)  # two ways of equal weight


def test_a_comparison_that_goes_backwards_is_refused():
    with pytest.raises(ValueError, match="back"):
        find_changes([CommitComparison(3, 2, 0.0, 0.1)])
    assert find_changes([]) == []
