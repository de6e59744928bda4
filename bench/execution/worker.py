"""The entry of the worker's process. What it measures is in `bench.measures`.

It sends flat messages to the parent over a pipe (see `bench.execution.runner`), so that the results so far are known
whatever ends this process.
"""

from __future__ import annotations

from multiprocessing.connection import Connection

from bench.execution import programs
from bench.execution.measuring import measure, redirect_output
from bench.execution.teller import Teller
from bench.host.clock import Clock
from bench.host.contention import of_this_run
from bench.host.provenance import Sources
from bench.spec.job import Job


def work(job: Job, pipe: Connection) -> None:
    """The entry of the worker's process; its output goes to the job's log.

    SIGTERM ends the run early, recorded as interrupted. SIGINT is ignored, because the parent receives the same Ctrl-C
    and decides.
    """
    clock = Clock(job.origin_s)
    clock.spans += job.resume.spans() if job.resume else []
    clock.add("start", clock.spans[-1].end_s if clock.spans else 0.0, clock.elapsed_s())
    redirect_output(job.log)
    job.share.keep_to()
    clock.sampler = of_this_run()
    tell = Teller(pipe)
    # Before the rest is imported, and from this process's own import path.
    tell("facts", imported_sources_sha256=Sources.now().sha256)
    with programs.cached(job.keep_compiled):
        try:
            if job.recipe.device_count > 1:
                from bench.execution.ranks import launch

                launch(job, clock, tell)
            else:
                measure(job, clock, tell, pipe.recv if job.shared_process else None)
        except KeyboardInterrupt:
            tell("end", status="interrupted", reason="stopped by the user")
        except EOFError:
            pass  # the parent is gone
