"""The Python that a command runs, found in its words."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

# Programs that start another one in their place, and what may stand between the two: options, numbers and lists of
# numbers. An option with another argument hides the program, and then no Python is found.
WRAPPERS = ("chrt", "ionice", "nice", "nohup", "numactl", "setsid", "stdbuf", "taskset", "time", "timeout")
OF_A_WRAPPER = re.compile(r"-.*|\d[\da-fA-Fx,:.-]*[smhd]?")
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
# Options of Python that decide what it imports, and those that take an argument.
DECIDING, WITH_ARGUMENT, LAST = "EIPsS", "XW", "cm"
SHEBANG_BYTES = 512
# The longest chain of scripts, each named by the next one's `#!` line, that Linux runs.
MOST_SCRIPTS = 4


class Interpreter(NamedTuple):
    """A Python, the options that decide what it imports (`-Es`), and the variables that `env` sets for it."""

    path: str
    options: str = ""
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def argv(self) -> list[str]:
        return [self.path, *filter(None, [self.options])]


def interpreter_of(
    argv: Sequence[str], folder: Path, env: Mapping[str, str], scripts: int = MOST_SCRIPTS
) -> Interpreter | None:
    """The Python that runs this command in this folder and environment: its program, or the one that its program's `#!`
    line names.

    None for every other program, such as a shell, which may run any. At most `scripts` such lines are followed.
    """
    if not argv:
        return None
    program, rest = argv[0], argv[1:]
    if Path(program).name == "env":
        return _by_env(rest, folder, env, scripts)
    if Path(program).name in WRAPPERS:
        wrapped = next((at for at, word in enumerate(rest) if not OF_A_WRAPPER.fullmatch(word)), len(rest))
        return interpreter_of(rest[wrapped:], folder, env, scripts)
    found = program if os.sep in program else shutil.which(program, path=env.get("PATH", os.defpath))
    if found is None:
        return None
    if _is_python(program):
        return Interpreter(str(folder / found), _deciding(rest))
    named = _shebang(folder / found)
    if not named or not scripts or not (_is_python(named[0]) or Path(named[0]).name == "env"):
        return None
    return interpreter_of(named, folder, env, scripts - 1)


def _by_env(words: Sequence[str], folder: Path, env: Mapping[str, str], scripts: int) -> Interpreter | None:
    if words and words[0] in ("-S", "--split-string"):
        words = words[1:]
    at = next((at for at, word in enumerate(words) if not ASSIGNMENT.match(word)), len(words))
    if at < len(words) and words[at].startswith("-"):  # such as -i and -u, which take variables away
        return None
    variables = tuple((name, value) for name, _, value in (word.partition("=") for word in words[:at]))
    found = interpreter_of(words[at:], folder, {**env, **dict(variables)}, scripts)
    return None if found is None else found._replace(variables=variables + found.variables)


def _is_python(program: str) -> bool:
    return Path(program).name.rstrip("0123456789.t") in ("python", "pypy")


def _deciding(words: Iterable[str]) -> str:
    """Python's own options among these words, as far as they decide what it imports: `-Es`, or nothing."""
    found, words = "", iter(words)
    for word in words:
        if not word.startswith("-") or word == "-":
            break
        letters = "" if word.startswith("--") else word[1:]
        for at, letter in enumerate(letters):
            if letter in LAST:
                return f"-{found}" if found else ""
            if letter in WITH_ARGUMENT:
                if at == len(letters) - 1:
                    next(words, None)
                break
            found += letter if letter in DECIDING else ""
    return f"-{found}" if found else ""


def _shebang(program: Path) -> list[str]:
    """The words of a file's `#!` line; none if it has no such line."""
    try:
        with program.open("rb") as file:
            line = file.readline(SHEBANG_BYTES).decode()
    except (OSError, UnicodeDecodeError):
        return []
    return line[2:].split() if line.startswith("#!") else []
