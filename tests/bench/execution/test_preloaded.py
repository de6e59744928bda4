"""What a fork server imports for its workers: in a process like it, because importing is all that the module does."""

import json
import subprocess
import sys

SCRIPT = """
import gc, json, sys
import bench.execution.preloaded as preloaded
lacking = [name for name in preloaded.PRELOADED if name not in sys.modules]
print(json.dumps([lacking, gc.isenabled(), gc.get_freeze_count(), "ffcv" in sys.modules]))
"""


def test_everything_is_there_and_no_garbage_for_the_collector():
    printed = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, timeout=120, check=True).stdout
    lacking, enabled, frozen, ffcv = json.loads(printed)
    assert (lacking, enabled, ffcv) == ([], True, False)
    assert frozen > 100_000  # torch alone has more
