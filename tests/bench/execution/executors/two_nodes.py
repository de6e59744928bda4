"""A Ray cluster of two node processes with one core each on this machine: `python -m …two_nodes` prints its address.

Each line on its standard input is an order: `kill` ends a node without a word, `add` starts one. It answers each order
with a line, and ends the cluster at the end of its input.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.command import ENVIRONMENT

STORE_BYTES = 80 << 20


class TwoNodes:
    """The cluster in a process of its own, which a test gives orders."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.address = self._heard()

    def order(self, what: str) -> None:
        """`kill` or `add`; done when this returns."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        self._heard()

    def _heard(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("> "):
                return line[2:].strip()
        raise AssertionError("the cluster has ended")


@contextmanager
def two_nodes(**environment: str) -> Iterator[TwoNodes]:
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        env=ENVIRONMENT | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield TwoNodes(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=60)


def main() -> None:
    from ray.cluster_utils import Cluster

    options = {"include_dashboard": False, "object_store_memory": STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **options})
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES) for _ in range(2)]
    print(f"> {cluster.address}", flush=True)
    for line in sys.stdin:
        if line.strip() == "kill":
            cluster.remove_node(nodes.pop(0), allow_graceful=False)
        elif line.strip() == "add":
            nodes.append(cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES))
        print("> done", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
