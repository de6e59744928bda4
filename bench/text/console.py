"""All output to the terminal; control characters in records, file names and messages are shown, not obeyed.

Tables and lines are printed by a `LastingConsole`, text for programs by `write_out`, errors and warnings by `complain`.
`bench.text.streams` takes care of the streams themselves.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

# Characters that a terminal obeys or hides: Unicode's controls (Cc), formats such as changes of the writing direction
# (Cf), halves of surrogate pairs (Cs), and separators of lines and paragraphs (Zl, Zp).
_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u2064\u2066-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f]"
)
# Wide enough that no line is folded for a program that reads it.
PIPE_COLUMNS = 10_000
# Python represents bytes that are not UTF-8, for instance in file names, by these characters.
_FIRST_STAND_IN, _LAST_STAND_IN = 0xDC80, 0xDCFF


def visible(text: str) -> str:
    r"""The text with `\x1b` in place of an escape, `\r` in place of a return and so on; new lines and tabs are kept."""
    return _OBEYED.sub(_escape, text)


def visible_json(text: str) -> str:
    """The same JSON, with characters that a terminal would obey written as escapes."""
    return _OBEYED.sub(lambda match: _escape(match, in_json=True), text)


def write_out(text: str, *, is_json: bool = False) -> None:
    """Write text for a program to standard output, with characters that a terminal would obey written as escapes."""
    sys.stdout.write(visible_json(text) if is_json else visible(text))


def complain(message: object) -> None:
    """Write a message to standard error."""
    print(f"bench: {visible(str(message))}", file=sys.stderr)


def say(console: Console, line: str) -> None:
    """Print a line unchanged: without markup, and not broken to the terminal's width."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


class LastingConsole(Console):
    """A rich console that prints text literally: it interprets no markup, emoji codes or escapes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Escape a string before rich sees it, because rich silently drops some control characters."""
        return super().render_str(visible(text), **options | {"markup": False, "emoji": False})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Escape everything else that is printed, except rich's own cursor movements, which are control segments."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


def unfolded_console() -> LastingConsole:
    """A console that folds its lines for a terminal's width alone, and never for a program that reads them."""
    console = LastingConsole()
    return console if console.is_terminal else LastingConsole(width=PIPE_COLUMNS)


def _escape(match: re.Match[str], in_json: bool = False) -> str:
    letter = match[0]
    code = ord(letter)
    if in_json:
        units = letter.encode("utf-16-be", "surrogatepass")
        return "".join(f"\\u{units[start : start + 2].hex()}" for start in range(0, len(units), 2))
    if _FIRST_STAND_IN <= code <= _LAST_STAND_IN:
        return f"\\x{code - 0xDC00:02x}"
    return "\\r" if letter == "\r" else f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
