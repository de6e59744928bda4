"""A seed of a cell is one process's at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.runs.checkpoint_lock import CheckpointLock

OTHER = """
import sys
from pathlib import Path
from bench.runs.checkpoint_lock import CheckpointLock
lock = CheckpointLock(Path(sys.argv[1]))
for asked in sys.stdin:
    cell, seed = asked.split()
    print(lock.release() if cell == "release" else lock.hold(cell, int(seed)), flush=True)
"""


def test_what_another_process_holds_is_refused_until_it_lets_go_or_ends(tmp_path: Path) -> None:
    here = CheckpointLock(tmp_path)
    assert here.hold("cell", 0)
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None

        def ask(what: str) -> str:
            print(what, file=other.stdin, flush=True)
            return other.stdout.readline().strip()  # type: ignore[union-attr]

        assert ask("cell 0") == "False"
        assert ask("cell 1") == "True"
        assert ask("another 0") == "True"
        assert not here.hold("cell", 1)
        here.release()
        assert ask("cell 0") == "True"
        assert ask("release 0") == "None"
        assert here.hold("cell", 0)
        here.release()
        assert ask("cell 0") == "True"
        other.stdin.close()
        other.wait()
        assert here.hold("cell", 0)
        here.release()


def test_where_nothing_can_be_locked_everything_is_held(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file, and no folder")
    assert CheckpointLock(tmp_path).hold("cell", 0)
