"""Several ranks for one run: the worker's process starts them by torch.distributed.run and reports for them.

In a run on several hosts each of them has such a worker, which starts its part of the ranks.

The runner communicates only with the worker. The worker forwards rank 0's messages, keeps each rank's last one, and
reports how the run ended after all ranks have ended.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.execution import imports
from bench.execution.measuring import measure
from bench.execution.teller import Teller, end_with_parent
from bench.host.clock import Clock, Span
from bench.host.contention import of_this_run
from bench.host.fingerprint import oom_kills
from bench.host.gc_pause import importing
from bench.measures.lookup import measure_module
from bench.spec.job import Job

if TYPE_CHECKING:
    from torch.distributed.launcher.api import LaunchConfig

MONITOR_S = 0.1
# How long a failed rank stays alive. When one rank dies, all others fail at once; in this time the worker can see which
# of them died.
LAST_WORDS_S = 2.0
# The time from being asked to end until being killed: a rank that waits inside a library does not handle signals.
RANK_GRACE_S = 3.0
# How long the ranks of several hosts wait for each other at the beginning.
RENDEZVOUS_S = 300
FINAL = ("end", "refused")

Event = dict[str, Any]


@dataclass(frozen=True)
class Cause:
    """The rank that ended the others, and its exit code, negative for a signal."""

    rank: int
    exit_code: int
    out_of_memory: bool = False


def launch(job: Job, clock: Clock, tell: Teller) -> None:
    """Run the job on one rank per device, and send the messages that a worker on one device would."""
    with contextlib.suppress(PermissionError):
        # A terminal sends Ctrl-C to the whole process group; the runner decides what to do.
        os.setpgid(0, 0)
    tell("phase", name="import", spans=[])
    started_s = clock.elapsed_s()
    _start_fork_server(job.measure)
    with importing():
        from torch.distributed.elastic.multiprocessing import SignalException
        from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
        from torch.distributed.launcher.api import elastic_launch

    clock.add("import", started_s, clock.elapsed_s())
    count = job.recipe.devices_of_a_node
    first_rank = count * job.meeting.host_index if job.meeting else 0
    pipes = [multiprocessing.Pipe(duplex=False) for _ in range(count)]
    relay = Relay([receiver for receiver, _ in pipes], tell, first_rank)
    relay.start()
    cause: Cause | None = None
    interrupted = False
    oom_kills_before = oom_kills()
    try:
        with TemporaryDirectory(prefix="ranks-") as folder:
            run = elastic_launch(_config(job, folder), be_rank)
            run(job, clock.spans, [sender for _, sender in pipes], imports.ROOT)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        cause = Cause(rank, failure.exitcode, failure.exitcode == -signal.SIGKILL and oom_kills() > oom_kills_before)
    except SignalException:
        interrupted = True
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for process in multiprocessing.active_children():
            process.kill()  # a rank that was being started when the signal arrived
        for _, sender in pipes:
            sender.close()
    relay.join()
    event: Event = {"metrics": {"total_s": clock.elapsed_s()}} | verdict(
        relay.last_words, cause, interrupted, first_rank
    )
    tell(**event)


def verdict(last_words: dict[int, Event], cause: Cause | None, interrupted: bool, first_rank: int = 0) -> Event:
    """The end of the run, from each rank's last event (with `told_s`) and the cause that ended the ranks, if any.

    The report of this host's `first_rank` is kept. If another rank was the cause, its status and reason are used: those
    of a killed rank, else of the one that failed first, because the others only lost their connection to it.
    """
    said = {rank: {key: value for key, value in event.items() if key != "told_s"} for rank, event in last_words.items()}
    silent = {"kind": "end", "status": "crashed", "reason": f"rank {first_rank} ended with no word"}
    own = said.get(first_rank, silent)
    if interrupted:
        return own | {"kind": "end", "status": "interrupted", "reason": "stopped by the user"}
    if cause is None:
        return own
    if cause.out_of_memory:
        reason = f"the kernel killed rank {cause.rank}: the host is out of memory"
        return own | {"kind": "end", "status": "oom", "reason": reason}
    if cause.exit_code < 0 and cause.exit_code != -signal.SIGTERM:
        name = signal.Signals(-cause.exit_code).name
        return own | {"kind": "end", "status": "crashed", "reason": f"rank {cause.rank} was killed by {name}"}
    by_time = sorted(last_words, key=lambda rank: last_words[rank]["told_s"])
    failed = [rank for rank in by_time if said[rank].get("status") not in ("ok", "not_reached", "interrupted")]
    if not failed:
        reason = f"rank {cause.rank} ended with exit code {cause.exit_code} and no word"
        return own | {"kind": "end", "status": "crashed", "reason": reason}
    first = said[failed[0]]
    if first["kind"] == "refused":
        return first
    return own | {"kind": "end", "status": first["status"], "reason": f"rank {failed[0]}: {first['reason']}"}


class Relay(threading.Thread):
    """Forwards the messages of rank 0 until every rank has closed its pipe; keeps the `last_words` of each rank."""

    def __init__(self, receivers: Sequence[Connection], tell: Teller, first_rank: int = 0) -> None:
        super().__init__(daemon=True)
        self.last_words: dict[int, Event] = {}
        self._rank_of = {receiver: rank for rank, receiver in enumerate(receivers, first_rank)}
        self._tell = tell

    def run(self) -> None:
        while self._rank_of:
            for receiver in wait(list(self._rank_of)):
                assert isinstance(receiver, Connection)
                try:
                    event = receiver.recv()
                except Exception:  # the end, or the rest of a killed rank's message
                    del self._rank_of[receiver]
                    continue
                if event["kind"] in FINAL:
                    self.last_words.setdefault(self._rank_of[receiver], event)
                else:
                    self._tell(**event)


def be_rank(job: Job, spans: Sequence[Span], senders: Sequence[Connection], root: str) -> None:
    """The entry point of a rank's process; `spans` are those of the launching process, and `root` is its tree."""
    rank = int(os.environ["RANK"])
    clock = Clock(job.origin_s)
    clock.spans += spans
    clock.add("start", spans[-1].end_s, clock.elapsed_s())
    clock.sampler = of_this_run(is_rank=True)
    end_with_parent()
    tell = RankTeller(senders[int(os.environ["LOCAL_RANK"])], rank)
    _end_soon_after_sigterm()
    ours = root == imports.ROOT
    if wrong := imports.difference(imports.places()) if ours else f"bench comes from {imports.ROOT}, not {root}":
        tell("refused", message=imports.refusal(wrong), exit_code=UsageError.exit_code)
        raise SystemExit(1)
    if not measure(replace(job, rank=rank), clock, tell):
        if tell.status == "failed":
            time.sleep(LAST_WORDS_S)
        raise SystemExit(1)


class RankTeller(Teller):
    """Sends all messages of rank 0, and of the others only how they ended, with the time on the host's clock."""

    def __init__(self, pipe: Connection, rank: int) -> None:
        super().__init__(pipe)
        self._rank = rank
        self.status: str | None = None

    def __call__(self, kind: str, **values: Any) -> None:
        self.status = values.get("status")
        if kind in FINAL:
            super().__call__(kind, told_s=time.monotonic(), **values)
        elif self._rank == 0:
            super().__call__(kind, **values)


def _start_fork_server(measure: str) -> None:
    """Let a separate process import what ranks need, once for all, while this one imports the launcher."""
    context = multiprocessing.get_context("forkserver")
    # Without this process's main module, which may be anything that started a run.
    context.set_forkserver_preload(["bench.execution.preloaded", measure_module(measure), __name__])
    forkserver.ensure_running()


def _config(job: Job, folder: str) -> LaunchConfig:
    """The launcher's configuration, without restarts. One host chooses a port; several have agreed on theirs."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.launcher.api import LaunchConfig

    nodes, meeting = job.recipe.node_count, job.meeting
    address: str | None
    configs: dict[str, int]
    if meeting is None:
        # Not the machine's name, which may not resolve.
        backend, endpoint, address, configs = "c10d", "localhost:0", "127.0.0.1", {}
    else:
        # Static, because the first host has rank 0, and reports.
        backend, endpoint, address = "static", meeting.endpoint, None
        configs = {"rank": meeting.host_index, "timeout": RENDEZVOUS_S}
    return LaunchConfig(
        min_nodes=nodes,
        max_nodes=nodes,
        nproc_per_node=job.recipe.devices_of_a_node,
        logs_specs=DefaultLogsSpecs(log_dir=folder),
        run_id=uuid.uuid4().hex if meeting is None else meeting.endpoint,
        rdzv_backend=backend,
        rdzv_endpoint=endpoint,
        rdzv_configs=configs,
        local_addr=address,
        max_restarts=0,
        monitor_interval=MONITOR_S,
        start_method="forkserver",
    )


def _end_soon_after_sigterm() -> None:
    """End the process some time after a SIGTERM that the main thread cannot handle while it waits in a library."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)

    def follow() -> None:
        while os.read(reader, 1) != bytes([signal.SIGTERM]):
            pass
        time.sleep(RANK_GRACE_S)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
