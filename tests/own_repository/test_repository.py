"""The user's repository itself: its script runs without bench, and learns."""

from __future__ import annotations

import re
import subprocess
import sys


def test_the_script_trains_by_itself(own_repository):
    ran = subprocess.run(
        [sys.executable, "train.py", "--seed", "1"], cwd=own_repository.root, capture_output=True, text=True, check=True
    )
    accuracies = [float(text) for text in re.findall(r"^epoch \d+: acc ([\d.]+)$", ran.stdout, re.MULTILINE)]
    assert len(accuracies) == 4
    assert accuracies[-1] > 90
    assert own_repository.git("status", "--porcelain") == ""
