"""The one gate to the terminal: it obeys nothing that is in a record, a file name or a message.

Whatever this package tells a person goes through here: tables and lines through a `LastingConsole`, text for programs
through `write_out`, errors and warnings through `complain`. The streams below are `bench.text.streams`' affair.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

# What a terminal obeys or hides: Unicode's controls (Cc), formats such as those that turn the direction of writing
# (Cf), halves of surrogate pairs (Cs), and separators of lines and paragraphs (Zl, Zp).
_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u2064\u2066-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f]"
)
# Wide enough that no line is folded for a program that reads it.
PIPE_COLUMNS = 10_000
# Python's own stand-ins for bytes that are no UTF-8, as in file names.
_FIRST_STAND_IN, _LAST_STAND_IN = 0xDC80, 0xDCFF


def visible(text: str) -> str:
    r"""The text with `\x1b` for an escape, `\r` for a return and so on; new lines and tabs stay as they are."""
    return _OBEYED.sub(_escape, text)


def visible_json(text: str) -> str:
    """JSON that holds the same values, with escapes for what a terminal would obey."""
    return _OBEYED.sub(lambda match: _escape(match, in_json=True), text)


def write_out(text: str, *, is_json: bool = False) -> None:
    """Text for a program, on standard output as it is but for what a terminal would obey."""
    sys.stdout.write(visible_json(text) if is_json else visible(text))


def complain(message: object) -> None:
    """A message on standard error."""
    print(f"bench: {visible(str(message))}", file=sys.stderr)


def say(console: Console, line: str) -> None:
    """A line as it is: nothing in it is marked up, and it is not broken to the terminal's width."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


class LastingConsole(Console):
    """Prints text as data: no markup, no emoji codes, no escapes, whatever is in it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """A string before rich sees it, which drops some controls without a word."""
        return super().render_str(visible(text), **options | {"markup": False, "emoji": False})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Everything else on its way out; rich's own movements of the cursor are segments of another kind."""
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
