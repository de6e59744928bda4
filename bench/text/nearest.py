"""What a mistyped name may have meant, in the words of an error."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MOST_NAMED = 3
# So many names fit into a message; of more, the nearest and where to find the others.
MOST_LISTED = 6


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest three names, ` (did you mean 'digits' or 'mnist'?)`, to be put behind the wrong one; else nothing."""
    close = [repr(one) for one in difflib.get_close_matches(name, list(dict.fromkeys(known)), n=MOST_NAMED)]
    if not close:
        return ""
    *first, last = close
    return f" (did you mean {', '.join(first) + ' or ' if first else ''}{last}?)"


def unknown(what: str, name: str, known: Iterable[str], listed_by: str | None) -> str:
    """The message about a name that is not known, such as "unknown recipe 'digts' (did you mean 'digits'?)".

    It ends with all names where they are few, else with the command `listed_by`, which lists them.
    """
    names = [str(one) for one in known]
    return f"unknown {what} {name[:80]!r}{did_you_mean(name, names)}; {choices(names, listed_by)}"


def choices(names: Iterable[str], listed_by: str | None) -> str:
    """`there are: a, b` of few names; of more, the command that lists them, where there is one."""
    known = list(names)
    if len(known) <= MOST_LISTED or listed_by is None:
        return f"there are: {', '.join(known)}" if known else "there is none"
    return f"`{listed_by}` lists all {len(known)}"
