"""The one gate to the terminal: what is printed there is data, whatever it holds."""

from __future__ import annotations

import ast
import io
import json
import unicodedata
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

import bench
from bench.text.console import LastingConsole, complain, visible, visible_json, write_out

TITLE = "\x1b]0;owned\x07"
CLIPBOARD = "\x1b]52;c;aGk=\x1b\\"
HOSTILE = [TITLE, CLIPBOARD, "\x9b31m", "over\rwritten", "\u202egnp.exe", "a\u2028b", "\x7f", "\ud83d"]
SOURCES = Path(bench.__file__).parent


def obeyed(text: str) -> list[str]:
    return [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in "\n\t"]


def test_every_character_that_a_terminal_obeys_becomes_visible():
    everything = "".join(map(chr, range(0x110000)))
    assert obeyed(visible(everything)) == []
    kept = "naïve ✅ ❌ 日本語 │\n\t"
    assert visible(kept) == kept
    assert visible("a\x1b\r\x85\u202e\udce9") == r"a\x1b\r\x85\u202e\xe9"


@pytest.mark.parametrize("text", HOSTILE[:-1])
def test_json_keeps_its_values_and_shows_nothing_that_a_terminal_obeys(text):
    raw = json.dumps({"key": text + "\U000e0001"}, ensure_ascii=False)
    assert obeyed(visible_json(raw)) == []
    assert json.loads(visible_json(raw)) == json.loads(raw)


@pytest.mark.parametrize("text", [*HOSTILE, "[/x]", "[link=http://x]y[/link]", "[bold]b[/bold]", ":warning:"])
@pytest.mark.parametrize("force_terminal", [True, False])
def test_lines_tables_and_texts_are_printed_as_data(text, force_terminal):
    file = io.StringIO()
    console = LastingConsole(file=file, force_terminal=force_terminal, color_system=None, width=200)
    table = Table(text, title=text, caption=text, box=None)
    table.add_row(text)
    table.add_row(Text(text))
    for printed in (text, Text(text), table):
        console.print(printed)
    console.print(text, markup=True, emoji=True)
    assert obeyed(file.getvalue()) == []
    if not obeyed(text):
        assert file.getvalue().count(text) == 8


def test_messages_and_text_for_programs_go_through_it_too(capsys):
    complain(f"no file {TITLE}")
    write_out(f"{CLIPBOARD}\n")
    write_out('"\x9b"', is_json=True)
    printed = capsys.readouterr()
    assert printed.err == "bench: no file \\x1b]0;owned\\x07\n"
    assert printed.out == '\\x1b]52;c;aGk=\\x1b\\\n"\\u009b"'


def test_nothing_else_prints():
    """Beside the gate only the worker prints, into its log, and two that hand bytes on which have passed it."""
    allowed = {
        "text/console.py",
        "text/streams.py",
        "execution/measuring.py",
        "execution/recording.py",
        "host/energy.py",
        "report/terminal/gate.py",
    }
    found = []
    for path in sorted(SOURCES.rglob("*.py")):
        name = path.relative_to(SOURCES).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in ("print", "Console", "typer.echo") or called.startswith(("sys.stdout.", "sys.stderr.")):
                    found.append((name, called))
    assert [one for one in found if one[0] not in allowed] == []
    assert ("text/console.py", "print") in found
