"""Python's collector is as it was afterwards."""

from __future__ import annotations

import gc

import pytest

from bench.host.gc_pause import collector_paused, heap_frozen, importing


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


def test_what_is_there_is_not_looked_through_while_frozen() -> None:
    class Node:
        pass

    node = Node()
    with heap_frozen():
        assert gc.get_freeze_count() > 0
        assert not any(one is node for one in gc.get_objects())
    assert gc.get_freeze_count() == 0
    assert any(one is node for one in gc.get_objects())


def test_what_is_imported_is_neither_looked_through_meanwhile_nor_later() -> None:
    class Module:
        pass

    try:
        with importing():
            assert not gc.isenabled()
            module = Module()
        assert gc.isenabled()
        assert not any(one is module for one in gc.get_objects())
    finally:
        gc.unfreeze()
