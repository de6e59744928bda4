import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.training.fake_pool import FakePool


def pool(size, seed=0):
    return FakePool(size, torch.Generator().manual_seed(seed))


def numbered(first, count):
    """Images that tell their number."""
    return torch.arange(first, first + count).float().view(-1, 1, 1, 1).expand(-1, 3, 2, 2)


def shown_numbers(some_pool, batches):
    """The numbers that the pool shows for consecutive batches of these sizes."""
    shown, first = [], 0
    for count in batches:
        images = some_pool.shown(numbered(first, count))
        assert images.shape == (count, 3, 2, 2)
        assert (images == images[:, :1, :1, :1]).all()  # no image is mixed with another
        shown += images[:, 0, 0, 0].int().tolist()
        first += count
    return shown


@given(size=st.integers(0, 8), batches=st.lists(st.integers(1, 5), max_size=20), seed=st.integers(0, 99))
def test_a_shown_fake_is_the_new_one_or_one_that_is_forgotten_with_that(size, batches, seed):
    some_pool = pool(size, seed)
    shown = shown_numbers(some_pool, batches)
    assert len(some_pool) == min(size, len(shown))
    for position, number in enumerate(shown):
        assert number <= position
        if position < size:
            assert number == position  # while there is room, the new one is shown, and kept
    # What is taken from the pool is shown once more at most, and what was not kept never again.
    assert all(shown.count(number) <= (2 if number < size else 1) for number in shown)


def test_of_a_full_pool_half_of_the_shown_are_earlier_ones_of_any_age():
    shown = shown_numbers(pool(50), [4] * 500)[50:]
    ages = [position + 50 - number for position, number in enumerate(shown)]
    assert 0.45 < sum(age > 0 for age in ages) / len(ages) < 0.55
    assert max(ages) > 300  # 50 places, of which every second fake takes one: 100 on average


def test_kept_fakes_are_copies_without_a_history():
    some_pool = pool(1)
    fakes = torch.zeros(1, 1, 2, 2, requires_grad=True) * 1
    assert not some_pool.shown(fakes).requires_grad
    with torch.no_grad():
        fakes += 1
    later = {some_pool.shown(torch.full((1, 1, 2, 2), 7.0)).mean().item() for _ in range(20)}
    assert later <= {0.0, 7.0}


def test_without_places_every_fake_is_shown_once():
    assert shown_numbers(pool(0), [2, 3]) == [0, 1, 2, 3, 4]


def test_a_pool_goes_on_where_another_was():
    one, other = pool(3), pool(3, seed=1)
    shown_numbers(one, [5, 5])
    other.restore(one.state())
    assert shown_numbers(other, [4, 4]) == shown_numbers(one, [4, 4])


def test_the_critic_sees_them_in_the_memory_format_of_its_network():
    some_pool = pool(2)
    for number in range(5):
        fakes = torch.full((2, 3, 4, 4), float(number)).contiguous(memory_format=torch.channels_last)
        shown = some_pool.shown(fakes)
        assert shown.is_contiguous(memory_format=torch.channels_last)
        assert not shown.is_contiguous()
