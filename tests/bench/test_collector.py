"""Python's collector is as it was afterwards."""

from __future__ import annotations

import gc

import pytest

from bench.collector import collector_paused


def test_is_off_inside_and_on_again_after_an_error() -> None:
    @collector_paused()
    def work() -> None:
        assert not gc.isenabled()
        raise ValueError

    for _ in range(2):
        with pytest.raises(ValueError):  # noqa: PT011
            work()
        assert gc.isenabled()


def test_stays_off_where_it_was() -> None:
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
