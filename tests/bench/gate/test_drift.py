from __future__ import annotations

from bench.gate.drift import between, middle


def reference(seconds, hz=None):
    return {"matrix_product_s": seconds, "matrix_product_hz": hz, "memory_copy_s": 0.02, "memory_copy_hz": hz}


def test_a_clock_that_fell_is_told_from_work_that_takes_longer():
    clock = between([reference(0.010, 3e9)] * 3, [reference(0.012, 2.5e9)] * 3)
    assert clock.told(["matrix_product"]) == "a matrix product +20.0% (in cycles +0.0%)"
    work = between([reference(0.010, 3e9)], [reference(0.012, 3e9)])
    assert work.told(["matrix_product"]) == "a matrix product +20.0% (in cycles +20.0%)"
    assert work.explained == "; in cycles too, so that it is not the clock alone"


def test_a_memory_copy_that_is_no_slower_at_a_lower_clock_needs_no_word():
    slower_clock = between([reference(0.010, 3e9)], [reference(0.010, 2e9)])
    assert slower_clock.explained == ""


def test_a_clock_that_cannot_be_read_is_said_only_where_it_matters():
    moved = between([reference(0.010)], [reference(0.011)])
    assert moved.told() == "a matrix product +10.0%, a memory copy +0.0%"
    assert moved.explained == "; whether that is its clock is not known, because the clock cannot be read here"
    assert between([reference(0.010)], [reference(0.0101)]).explained == ""


def test_what_an_older_reading_lacks_is_left_out():
    old = {"matrix_product_s": 0.01, "memory_copy_s": 0.02}
    assert between([old], [reference(0.02, 3e9)]).cycles == {}
    assert middle([old, reference(0.02, 3e9)]) == {"matrix_product_s": 0.015, "memory_copy_s": 0.02}
    assert middle([]) == {}
