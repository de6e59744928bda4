import io

from rich.console import Console

from bench.report.terminal.summary import table


def printed(*runs):
    console = Console(file=io.StringIO(), width=140)
    console.print(table(runs))
    return console.file.getvalue()


def rows(*runs):
    lines = [line.split("│") for line in printed(*runs).splitlines() if line.startswith("│")]
    return {cells[1].strip(): [cell.strip() for cell in cells[2:-1]] for cells in lines}


def test_throughput_with_and_without_the_loader(make_run):
    metrics = {
        "samples_per_s": 1500.0,
        "samples_per_s_without_loader": 2000.0,
        "loader_cost_fraction": 0.25,
        "step_median_s": 0.0421,
        "step_p95_s": 0.05,
        "n": 1234,
        "relative_error": 0.0043,
    }
    shown = rows(make_run(measure="throughput", metrics=metrics))
    assert shown["samples/s without the loader"] == ["2,000/s"]
    assert shown["the loader's share"] == ["25.00 %"]
    assert shown["step, median"] == ["42.1 ms"]
    assert shown["samples"] == ["1,234"]
    assert shown["relative standard error"] == ["0.43 %"]


def test_latency_in_milliseconds_and_throughput_by_batch_size_in_order(make_run):
    metrics = {"samples_per_s_at_256": 9000.0, "samples_per_s_at_1": 1000.0, "latency_p99_ms": 1.25}
    shown = rows(make_run(metrics=metrics), make_run(metrics=metrics | {"latency_p99_ms": 1.75}))
    assert shown["latency, p99"][:2] == ["1.25 ms", "1.75 ms"]
    assert [label for label in shown if "batch size" in label] == [
        "samples/s, batch size 1",
        "samples/s, batch size 256",
    ]


def test_what_a_run_is_worth_is_not_averaged(make_run):
    shown = rows(*(make_run(metrics={"samples_per_s": 1500.0 + n, "n": n}) for n in (12, 13, 14)))
    assert shown["samples"] == ["12", "13", "14", ""]
    assert "±" in shown["samples/s, training"][3]


def test_time_to_accuracy_has_none_of_these_rows(make_run):
    shown = rows(make_run(metrics={"accuracy": 0.94, "samples_per_s": 1500.0}))
    assert not {"samples", "the loader's share", "latency, p50"} & set(shown)
