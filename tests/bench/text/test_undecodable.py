"""Bytes that are no text: any that a file name or an argument may hold."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.runs.run import Run
from bench.text.undecodable import command_line, readable

ARGUMENTS = st.lists(st.binary(min_size=1, max_size=20).map(lambda b: b.replace(b"\0", b"0")), max_size=4)


@given(ARGUMENTS)
def test_a_shell_makes_the_same_bytes_of_the_command_again(arguments):
    argv, sys.argv = sys.argv, ["bench", *map(os.fsdecode, arguments)]
    try:
        typed = command_line()
    finally:
        sys.argv = argv
    typed.encode()  # can be kept
    done = subprocess.run(["bash", "-c", f"bench() {{ printf '%s\\0' \"$@\"; }}; {typed}"], capture_output=True)
    assert done.stdout.split(b"\0")[:-1] == (arguments or [b""])


@given(st.text(st.characters(categories=("Cs", "Lu", "Po", "So")), max_size=20))
def test_a_record_holds_any_text_in_any_place(text):
    value = {text: [text, {"a": text}, 1.5, None]}
    json.dumps(readable(value), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("text", "written"), [("café", "café"), ("caf\udce9", "caf\\xe9"), ("\udcff\udc80/é", "\\xff\\x80/é"), ("", "")]
)
def test_text_stays_and_bytes_are_written_out(make_run, text, written):
    run = make_run(recipe=text, reason=text, log_tail=[text], config={"data": {"dir": text}}, machine={text: 1})
    back = Run.from_json_line(run.to_json_line())
    assert (back.recipe, back.reason, back.log_tail) == (written, written, [written])
    assert (back.config, back.machine) == ({"data": {"dir": written}}, {written: 1})
