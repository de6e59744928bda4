"""Standard streams in every state in which a user, or a shell, hands them over; each in a process of its own."""

import os
import subprocess
import sys

import pytest

PRINTS = """
import sys
from bench.text import streams
streams.protect()
if "outlasts" in sys.argv:
    streams.work_outlasts_output()
for number in range(20000):
    print("94.20 % ± 0.31 \\u2501", number)
print("to stderr \\u2501", file=sys.stderr)
with open(sys.argv[1], "w") as file:
    file.write("the work")
sys.exit(streams.exit_code(0))
"""


def shell(redirection, folder, *arguments, **environment):
    command = f'"$@" {redirection}'
    made = [sys.executable, "-c", PRINTS, str(folder / "work"), *arguments]
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}", "bash", *made],
        env=os.environ | environment,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("redirection", "alone", "outlasting"),
    [
        (">&-", 0, 0),
        (">&- 2>&- <&-", 0, 0),
        ("2>&-", 0, 0),
        ("| head -1", 0, 0),
        ("> /dev/full", 3, 0),
        ("2> /dev/full", 0, 0),
    ],
)
def test_whatever_becomes_of_the_output_the_work_is_done(tmp_path, redirection, alone, outlasting):
    for arguments, code in (((), alone), (("outlasts",), outlasting)):
        done = shell(redirection, tmp_path, *arguments)
        assert (done.returncode, b"Traceback" in done.stderr) == (code, False), done.stderr
        # In that file alone: no stream took the number of a closed one.
        assert (tmp_path / "work").read_text() == "the work"
        (tmp_path / "work").unlink()


def test_a_lost_output_is_said_once_and_a_reader_that_had_enough_is_not(tmp_path):
    lost = shell("> /dev/full", tmp_path).stderr.decode()
    assert lost.count("bench: the output cannot be written: No space left on device\n") == 1
    assert shell("| head -1", tmp_path).stderr.decode() == "to stderr ━\n"
    assert "the work goes on, and Ctrl-C stops it" in shell("| head -1", tmp_path, "outlasts").stderr.decode()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "shift_jis"])
def test_what_an_encoding_lacks_is_replaced(tmp_path, encoding):
    done = shell("", tmp_path, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("94.20 % ± 0.31 ━ 0\n".encode(encoding, "replace"))


def test_a_pipe_that_does_not_block_loses_nothing(tmp_path):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with subprocess.Popen([sys.executable, "-c", PRINTS, str(tmp_path / "work")], stdout=writer) as process:
        os.close(writer)
        with open(reader, "rb") as file:
            assert len(file.read().splitlines()) == 20000
    assert process.returncode == 0
