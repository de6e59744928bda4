"""Scripts as users have them, run for real: how each of them ends, and what is known of it then."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UsageError
from bench.execution import script_output
from bench.execution.measured import Measured
from bench.execution.script import run_script
from bench.spec.command import Command

PATTERN = r"epoch (?P<epoch>\d+).*acc (?P<accuracy>[\d.]+)"
# Python without what takes the time at its start.
PYTHON = [sys.executable, "-S"]


@pytest.fixture
def time_script(tmp_path):
    """Times a script of these lines, in a language."""

    def run(text: str, *, shell: bool = False, on_event: Any = lambda _: None, **said: Any) -> Measured:
        (tmp_path / "train").write_text(text)
        argv = ["sh", "train"] if shell else [*PYTHON, "train", "{seed}"]
        return run_script(Command(argv=argv, **said), 3, tmp_path, tmp_path / "logs" / "log", on_event)

    return run


@pytest.fixture
def alive():
    """Whether a process is there and no zombie."""

    def ask(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    return ask


def test_epochs_are_found_by_the_pattern_when_they_are_printed(time_script):
    measured = time_script(
        "import time\nfor e in (1, 2):\n    time.sleep(0.1)\n    print('epoch', e, 'acc', 45.5 * e)\ntime.sleep(0.1)",
        epoch_pattern=PATTERN,
        target=0.9,
    )
    assert (measured.status, measured.reason) == ("ok", None)
    assert measured.facts["versions"]["python"] == platform.python_version()
    assert [row["accuracy"] for row in measured.epochs] == pytest.approx([0.455, 0.91])
    first, look, second, _, rest = measured.spans
    assert [first["name"], look["name"], rest["name"]] == ["load_and_train", "eval", "rest"]
    assert 0 < first["end_s"] == look["start_s"] == look["end_s"] == second["start_s"] < second["end_s"]
    assert measured.metrics["time_to_target_s"] == second["end_s"]
    assert measured.metrics["wall_s"] == rest["end_s"]
    assert measured.facts["resolved"]["accuracy_scale"] == "accuracies are percent, because 91 is above 1"


def test_events_tell_spans_epochs_and_figures_in_any_language(time_script):
    measured = time_script(
        """
        say() { echo "$1" >> "$BENCH_EVENTS"; }
        say '{"event": "span", "name": "data", "state": "start"}'; sleep 0.1
        say '{"event": "span", "name": "data", "state": "end"}'
        say '{"event": "span", "name": "train", "state": "start"}'; sleep 0.1
        say '{"event": "span", "name": "train", "state": "end"}'
        say '{"event": "epoch", "accuracy": 0.93}'
        say '{"event": "metrics", "samples_per_s": 120.5}'
        """,
        shell=True,
        target=0.9,
    )
    assert measured.status == "ok", measured.reason
    assert measured.metrics["samples_per_s"] == 120.5
    assert measured.metrics["accuracy"] == 0.93
    assert measured.metrics["train_s"] == pytest.approx(
        sum(s["end_s"] - s["start_s"] for s in measured.spans if s["name"] == "train")
    )
    assert measured.facts["resolved"]["reported"] == ["data", "train", "epochs"]
    seconds = {span["name"]: span["end_s"] - span["start_s"] for span in measured.spans}
    assert seconds["data"] > seconds["eval"] == 0


def test_the_helper_needs_no_more_than_one_line(time_script):
    helper = Path(__file__).parents[3] / "bench" / "events.py"
    measured = time_script(
        f"import runpy; told = runpy.run_path({str(helper)!r})\n"
        "with told['span']('train'):\n    pass\ntold['epoch'](0.8, loss=1.5)\ntold['metrics'](step_s=0.25)",
        target=0.9,
    )
    assert measured.status == "not_reached"
    assert measured.reason == "accuracy 80.00 % is below the target of 90.00 %"
    assert measured.epochs == [{"epoch": 1, "accuracy": 0.8, "loss": 1.5, "train_s": measured.metrics["train_s"]}]
    assert measured.metrics["step_s"] == 0.25


def test_the_script_has_the_users_environment_and_its_seed(time_script, tmp_path):
    measured = time_script(
        "import os, sys\nprint(sys.argv[1:], os.environ['BENCH_SEED'], os.environ.get('PYTHONSAFEPATH'))\n"
        "print(sys.stdin.read() == '', os.getcwd())"
    )
    assert measured.status == "ok"
    assert (tmp_path / "logs" / "log").read_text() == f"['3'] 3 {os.environ.get('PYTHONSAFEPATH')}\nTrue {tmp_path}\n"


@pytest.mark.parametrize(
    ("text", "status", "word"),
    [
        ("exit 3", "crashed", "exit code 3; it printed nothing"),
        ("echo one; echo two; exit 1", "crashed", "its last lines were: one / two"),
        ("kill -SEGV $$", "crashed", "killed by SIGSEGV"),
        ("echo 'torch.OutOfMemoryError: CUDA out of memory.'; exit 1", "oom", "CUDA out of memory"),
        ("echo training", "failed", "no accuracy was found by the pattern; its last line was: training"),
        (":", "failed", "no accuracy was found by the pattern; it printed nothing"),
        ("echo epoch 1 acc 93.5; echo epoch 2 acc .935", "failed", "name the group percent"),
        ("echo epoch 1 acc .5", "not_reached", "below the target"),
        (r"printf 'epoch 1 acc .95\377\376\n'", "ok", "None"),
        (r"printf 'epoch 1 acc .5\repoch 2 acc .95'", "ok", "None"),
    ],
)
def test_how_it_ends_is_told_with_the_reason(time_script, text, status, word):
    measured = time_script(text, shell=True, epoch_pattern=PATTERN, target=0.9)
    assert measured.status == status, measured.reason
    assert word in str(measured.reason)
    assert measured.metrics["wall_s"] > 0


def test_without_pattern_and_target_the_time_is_all_that_is_asked_for(time_script):
    measured = time_script("echo hello", shell=True)
    assert (measured.status, measured.reason) == ("ok", None)
    assert [span["name"] for span in measured.spans] == ["rest"]


def test_a_divergence_is_one(time_script):
    measured = time_script("""echo '{"event": "epoch", "accuracy": 0.1, "loss": NaN}' > $BENCH_EVENTS""", shell=True)
    assert (measured.status, measured.reason) == ("diverged", "its last loss is nan")


def test_a_pattern_that_backtracks_for_ever_ends_the_looking_and_not_the_run(time_script):
    measured = time_script("print('1' * 60)\nprint('done')", epoch_pattern=r"(?P<accuracy>(\d+\.?)+)%z", target=0.9)
    assert measured.status == "failed"
    assert "backtracks without end on the line '1111" in str(measured.reason)


def test_lines_that_all_come_at_the_end_have_no_times(time_script):
    measured = time_script(
        "import time\nprint('epoch 1 acc .5')\ntime.sleep(0.6)\nprint('epoch 2 acc .95')",
        epoch_pattern=PATTERN,
        target=0.9,
        buffered=True,
        env={"PYTHONUNBUFFERED": ""},
    )
    assert measured.status == "ok"
    assert "its output is buffered" in str(measured.reason)
    assert measured.metrics["accuracy"] == 0.95
    assert "time_to_target_s" not in measured.metrics
    assert [span["name"] for span in measured.spans] == ["rest"]
    assert measured.facts["resolved"]["reported"] == []


def test_the_memory_is_that_of_the_whole_tree(time_script):
    size = 60 << 20
    measured = time_script(
        "import os, time\nfor _ in range(2):\n    if not os.fork():\n"
        f"        held = bytearray(os.urandom(1 << 20)) * {size >> 20}\n        time.sleep(1.2)\n        os._exit(0)\n"
        "os.wait(); os.wait()"
    )
    assert measured.status == "ok"
    assert 2 * size < measured.metrics["peak_host_bytes"] < 3 * size


def test_pages_that_forked_processes_share_count_once(time_script):
    size = 80 << 20
    measured = time_script(
        f"import os, time\nheld = bytearray(os.urandom(1 << 20)) * {size >> 20}\n"
        "for _ in range(3):\n    if not os.fork():\n        time.sleep(1)\n        os._exit(0)\n"
        "for _ in range(3):\n    os.wait()"
    )
    assert size < measured.metrics["peak_host_bytes"] < 1.5 * size


def test_what_outlives_the_command_is_ended_off_the_clock(time_script, alive, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.execution.leftovers.LINGER_S", 0.6)
    measured = time_script("setsid sleep 60 & echo $! > pid; (sleep 60 &) ; exit 0", shell=True)
    assert measured.status == "ok"
    assert measured.metrics["wall_s"] == measured.spans[-1]["end_s"]
    assert "2 of its processes outlived it and were ended: " in str(measured.reason)
    assert not alive(int((tmp_path / "pid").read_text()))


def test_an_epoch_told_after_the_command_has_ended_is_none_of_its(time_script):
    measured = time_script(
        "(sleep 0.3; echo epoch 2 acc 95) & echo epoch 1 acc 50", shell=True, epoch_pattern=PATTERN, target=0.4
    )
    assert measured.status == "ok", measured.reason
    assert len(measured.epochs) == measured.metrics["epochs"]
    assert measured.epochs[-1]["accuracy"] == measured.metrics["accuracy"]


def test_what_ends_soon_after_the_command_is_not_worth_a_word(time_script):
    measured = time_script("(sleep 0.1 &) ; exit 0", shell=True)
    assert (measured.status, measured.reason) == ("ok", None)


def test_a_time_out_ends_all_of_it(time_script, alive, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.execution.time_limit.GRACE_S", 0.3)
    measured = time_script(
        "trap '' TERM; sh -c 'trap \"\" TERM; sleep 60' & echo $! > pid; echo epoch 4 acc .5; sleep 60",
        shell=True,
        timeout_s=0.3,
        epoch_pattern=PATTERN,
    )
    assert measured.status == "timeout"
    assert measured.reason == "not done after timeout_s = 0.3 seconds; its last epoch was 4"
    assert not alive(int((tmp_path / "pid").read_text()))


def interrupt(number: signal.Signals, times: int):
    """Sends this process signals, the first when the script has begun to talk."""

    def on_event(event: dict[str, Any]) -> None:
        if event["kind"] == "line":
            for _ in range(times):
                os.kill(os.getpid(), number)

    return on_event


@pytest.mark.parametrize(("number", "times"), [(signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGINT, 2)])
def test_a_stopped_run_is_recorded_as_interrupted(time_script, tmp_path, number, times):
    measured = time_script(
        # The signal may come before print has returned.
        "import time\ntry:\n    print('begun')\n    time.sleep(60)\n"
        # Longer than a second signal takes to come, and shorter than the time that a first one leaves.
        "except KeyboardInterrupt:\n    time.sleep(1)\n    print('asked to end')",
        on_event=interrupt(number, times),
    )
    assert (measured.status, measured.reason) == ("interrupted", "stopped by the user")
    # Ctrl-C is told as such, so that it can tidy up; a SIGTERM and a second Ctrl-C leave no time for that.
    is_told = (number, times) == (signal.SIGINT, 1)
    assert ("asked to end" in (tmp_path / "logs" / "log").read_text()) == is_told


def test_a_flood_of_output_is_kept_at_both_ends_and_slows_nothing_down(time_script, tmp_path, monkeypatch):
    monkeypatch.setattr(script_output, "MOST_HEAD_BYTES", 1 << 20)
    measured = time_script(
        "import sys\nline = 'x' * 99 + '\\n'\nprint('first')\nfor _ in range(100):\n    sys.stdout.write(line * 2000)\n"
        "print('epoch 1 acc .95')",
        epoch_pattern=PATTERN,
        target=0.9,
    )
    assert measured.status == "ok", measured.reason
    log = (tmp_path / "logs" / "log").read_bytes()
    assert log.startswith(b"first\n")
    assert log.endswith(b"epoch 1 acc .95\n")
    assert b"bytes are left out here]" in log
    assert len(log) < 4 << 20


def test_a_writer_is_not_kept_waiting_by_the_display(time_script):
    slow = threading.Event()
    measured = time_script("for _ in range(30):\n    print('step')", on_event=lambda _: slow.wait(0.001))
    assert measured.status == "ok"


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (["python train.py"], "no program 'python train.py' on PATH; it is one word .* leave out the quotes"),
        (["pyton", "train.py"], "no program 'pyton' on PATH .did you mean 'python'"),
        ([*PYTHON[:1], "trian.py"], r"would find no file trian.py .*did you mean 'train.py'"),
        (["./nothing"], "there is no program ./nothing"),
        (["./train.py"], r"not executable; `chmod \+x ./train.py`"),
        (["./garbage"], "name its interpreter first"),
        (["python3", "x" * 300], "would find no file xxx"),
        (["./" + "x" * 300], "there is no program ./xxx"),
        (["x" * 300], "there is no program .xxx"),
    ],
)
def test_what_cannot_be_started_is_refused(tmp_path, argv, word):
    (tmp_path / "train.py").write_text("print(1)")
    (tmp_path / "garbage").write_text("no program at all")
    (tmp_path / "garbage").chmod(0o755)
    with pytest.raises(UsageError, match=word):
        run_script(Command(argv=argv), 0, tmp_path, tmp_path / "log")


def test_a_folder_that_leads_out_by_a_link_is_refused(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "out").symlink_to(tmp_path)
    for cwd, word in (("out", "leads out"), ("none", "no folder none")):
        with pytest.raises(UsageError, match=word):
            run_script(Command(argv="true", cwd=cwd), 0, tmp_path / "root", tmp_path / "log")


def test_no_script_outlives_a_bench_that_was_killed(tmp_path, alive):
    program = (
        "import pathlib, sys\nfrom bench.execution.script import run_script\nfrom bench.spec.command import Command\n"
        "run_script(Command(argv=['sh', '-c', 'echo $$ > pid; exec sleep 60']), 0, pathlib.Path(), pathlib.Path('log'))"
    )
    root = Path(__file__).parents[3]
    bench = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(root)})
    pid = tmp_path / "pid"
    while not (pid.exists() and pid.read_text().strip()):
        assert bench.poll() is None
        time.sleep(0.02)
    bench.kill()
    bench.wait()
    script = int(pid.read_text())
    for _ in range(200):
        if not alive(script):
            return
        time.sleep(0.02)
    os.kill(script, signal.SIGKILL)
    pytest.fail("the script went on")


def test_ctrl_z_stops_the_script_too_and_is_told(tmp_path):
    program = (
        "import json\nfrom pathlib import Path\nfrom bench.execution.script import run_script\n"
        "from bench.spec.command import Command\n"
        'script = \'import os, time\\nopen("pid", "w").write(str(os.getpid()))'
        '\\nwhile not os.path.exists("go"): time.sleep(0.01)\'\n'
        f"done = run_script(Command(argv=[{sys.executable!r}, '-c', script]), 0, Path(), Path('log'))\n"
        "print(json.dumps([done.status, done.reason, done.metrics['paused_s'], done.metrics['wall_s']]))"
    )
    root = Path(__file__).parents[3]
    bench = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
    )
    pid = tmp_path / "pid"
    while not (pid.exists() and pid.read_text().strip()):
        assert bench.poll() is None
        time.sleep(0.02)
    bench.send_signal(signal.SIGTSTP)
    script = Path(f"/proc/{pid.read_text().strip()}/stat")
    while (state := script.read_text().rpartition(")")[2].split()[0]) != "T":
        assert state != "Z"
        time.sleep(0.02)
    time.sleep(0.8)
    (tmp_path / "go").touch()
    bench.send_signal(signal.SIGCONT)
    status, reason, paused_s, wall_s = json.loads(bench.communicate()[0])
    assert status == "ok"
    assert "it was stopped once from outside" in reason
    assert 0.4 < paused_s <= wall_s


def test_an_ignored_sigchld_that_was_inherited_loses_no_exit_code(time_script):
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        measured = time_script("exit 3", shell=True)
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert measured.status == "crashed"
    assert "exit code 3" in measured.reason
