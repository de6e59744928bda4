"""Compiled modules that Python would run in place of sources that they were not made from."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import marshal
import time
from collections.abc import Set
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from bench.files import open_regular, private_folder, replacing, user_cache
from bench.host.source_paths import CHECKED, HASHED, source_paths

# A file that was changed so recently may change again without a later time: a file system's clock ticks.
SETTLED_NS = 1_000_000_000


class Bytecode:
    """The compiled modules beside the sources in `root`; each is examined again only after it has changed.

    To examine all of them takes seconds, so the user's cache keeps which ones were right, and when they had changed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        # By source: when it or its compiled module last changed, and whether the module was of another source.
        self._seen: dict[str, tuple[int, bool]] = {}
        self._kept: dict[str, int] | None = None

    def not_of_its_source(self) -> list[str]:
        """The sources for which Python would run a compiled module that was not made from them.

        Python trusts a compiled module that states its source's size and time, or an unchecked hash.
        """
        if self._kept is None:
            self._kept = self._read()
            self._seen = {name: (changed_ns, False) for name, changed_ns in self._kept.items()}
        sources = [path for path in source_paths(self._root) if path.suffix == ".py"]
        wrong = [path.relative_to(self._root).as_posix() for path in sources if self._is_wrong(path)]
        self._keep({str(path) for path in sources})
        return wrong

    def _is_wrong(self, source: Path) -> bool:
        name = str(source)
        try:
            compiled = Path(importlib.util.cache_from_source(name))
            changed_ns = max(source.stat().st_ctime_ns, compiled.stat().st_ctime_ns)
            if self._seen.get(name, (0, False))[0] != changed_ns:
                self._seen[name] = changed_ns, _would_run_other_code(source.read_bytes(), source, compiled)
            return self._seen[name][1]
        except (OSError, NotImplementedError):  # there is none; Python will compile the source
            return False

    def _file(self) -> Path:
        """Raises OSError or RuntimeError if there is no folder that this user alone can write to."""
        # Modules of this Python; another one has others.
        own = f"{self._root}\0{importlib.util.MAGIC_NUMBER.hex()}".encode(errors="surrogateescape")
        return private_folder(user_cache() / "bytecode") / f"{hashlib.sha256(own).hexdigest()[:16]}.json"

    def _read(self) -> dict[str, int]:
        try:
            with open(open_regular(self._file()), "rb") as file:
                return TypeAdapter(dict[str, int]).validate_json(file.read())
        except (OSError, RuntimeError, ValidationError):  # nothing is known to be right
            return {}

    def _keep(self, names: Set[str]) -> None:
        latest_ns = time.time_ns() - SETTLED_NS
        seen = [(name, *self._seen[name]) for name in names & self._seen.keys()]
        right = {name: at_ns for name, at_ns, is_wrong in seen if not is_wrong and at_ns <= latest_ns}
        if right != self._kept:
            self._kept = right
            with suppress(OSError, RuntimeError), replacing(self._file()) as draft:
                draft.write_text(json.dumps(right))


def _would_run_other_code(text: bytes, source: Path, compiled: Path) -> bool:
    content, stat = compiled.read_bytes(), source.stat()
    flags = int.from_bytes(content[4:8], "little")
    if content[:4] != importlib.util.MAGIC_NUMBER:
        return False
    if flags & HASHED:
        is_believed = not flags & CHECKED or content[8:16] == importlib.util.source_hash(text)
    else:
        made_of = tuple(int.from_bytes(content[at : at + 4], "little") for at in (8, 12))
        is_believed = made_of == (int(stat.st_mtime) & 0xFFFFFFFF, stat.st_size & 0xFFFFFFFF)
    try:
        return is_believed and marshal.loads(content[16:]) != compile(text, source, "exec", dont_inherit=True)
    except (ValueError, EOFError, TypeError, SyntaxError):
        return True
