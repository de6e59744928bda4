from dataclasses import replace

import pytest

from bench.host.clock import Clock
from bench.host.contention import Sampler


class ManualTime:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class SlowDevice:
    """A device with queued work: synchronising takes time, and its events know how much it worked."""

    def __init__(self, time: ManualTime) -> None:
        self.time, self.queued_s, self.worked_s = time, 0.0, 0.0

    def synchronize(self) -> None:
        self.time.now_s += self.queued_s
        self.worked_s += self.queued_s
        self.queued_s = 0.0

    def event(self):
        return Event(self)


class Event:
    def __init__(self, device: SlowDevice) -> None:
        self.device, self.at_s = device, device.worked_s + device.queued_s

    def elapsed_time(self, end: "Event") -> float:
        return (end.at_s - self.at_s) * 1000


def test_a_span_is_the_time_between_its_ends():
    time = ManualTime()
    clock = Clock(now=time)
    time.now_s += 1
    with clock.span("data"):
        time.now_s += 5
    (span,) = clock.spans
    assert (span.name, span.start_s, span.end_s, span.duration_s) == ("data", 1.0, 6.0, 5.0)
    assert span.device_s is None


def test_work_still_queued_belongs_to_the_span_that_queued_it():
    time = ManualTime()
    device = SlowDevice(time)
    clock = Clock(timeline=device, now=time)
    device.queued_s = 2.0
    with clock.span("train", epoch=0):
        device.queued_s = 3.0
    (span,) = clock.spans
    assert (span.start_s, span.end_s, span.epoch) == (2.0, 5.0, 0)
    assert span.device_s == pytest.approx(3.0)


def test_a_span_that_fails_is_kept():
    clock = Clock()
    with pytest.raises(RuntimeError, match="out of luck"), clock.span("train"):
        raise RuntimeError("out of luck")
    assert [span.name for span in clock.spans] == ["train"]


def test_totals_are_by_name():
    time = ManualTime()
    clock = Clock(now=time)
    for seconds in (1, 2):
        with clock.span("train"):
            time.now_s += seconds
        with clock.span("eval"):
            time.now_s += 10
    assert clock.total_s("train") == 3
    assert clock.total_s("eval") == 20
    assert clock.total_s("checkpoint") == 0


def test_an_origin_before_the_clock_counts_what_came_before():
    time = ManualTime()
    clock = Clock(origin_s=90.0, now=time)
    clock.add("import", 0.0, clock.elapsed_s())
    assert clock.spans[0].duration_s == 10.0


def test_phases_are_announced_as_they_are_entered():
    entered: list[str] = []
    clock = Clock(entered=entered.append)
    with clock.span("build"):
        assert entered == ["build"]


def test_what_several_agree_on_is_recorded():
    clock = Clock()
    with clock.span("device"):
        pass
    clock.agree = lambda span: replace(span, rank_s=(1.0, 2.0))
    with clock.span("train"):
        pass
    assert [span.rank_s for span in clock.spans] == [None, (1.0, 2.0)]


def test_a_body_that_fails_waits_for_nobody():
    clock = Clock()
    clock.agree = lambda span: pytest.fail("the others are elsewhere")
    with pytest.raises(ZeroDivisionError), clock.span("train"):
        1 / 0  # noqa: B018
    assert [span.name for span in clock.spans] == ["train"]


def test_the_machine_is_looked_at_outside_of_the_span():
    time = ManualTime()

    class SlowSampler(Sampler):
        def read(self):
            time.now_s += 0.25
            return super().read()

    clock = Clock(now=time)
    clock.sampler = SlowSampler(now=time)
    time.now_s += 1  # since that looked first
    with clock.span("train"):
        time.now_s += 5
    (span,) = clock.spans
    assert span.duration_s == 5.0
    assert span.host["wall_s"] == 5.25


def test_spans_back_to_back_share_a_look_at_the_machine():
    time, looks = ManualTime(), []

    class CountedSampler(Sampler):
        def read(self):
            looks.append(time.now_s)
            return super().read()

    clock = Clock(now=time, sampler=CountedSampler(now=time))
    for _ in range(3):
        with clock.span("train"):
            time.now_s += 5
    assert looks == [100.0, 105.0, 110.0, 115.0]
    assert [span.host["wall_s"] for span in clock.spans] == [5.0, 5.0, 5.0]
